"""Serving on a socket of our own: its mode, what may lie in its place, who asks, and stopping."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import structlog

from packd.api import peer
from packd.api.app import create_app
from packd.api.guard import Access
from packd.api.server import Server
from packd.api.socket_file import bind
from packd.api.streaming import EventStream
from packd.client import Client
from packd.domain.failures import Code, Failure
from tests.unit.doors_ground import Ground, a_context, made_ground, report
from tests.waiting import wait_until

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from structlog.typing import EventDict


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[EventDict]:
    """What the server logs; the ground keeps all others quiet."""
    capture = structlog.testing.LogCapture()
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[capture], wrapper_class=structlog.BoundLogger)
    monkeypatch.setattr("packd.api.server.log", log)
    return capture.entries


def another(ground: Ground, path: Path) -> Server:
    """A second server over the same registry."""
    context = a_context(ground.registry, ground.asked, ground.feed, packs_dir=ground.folder)
    return Server(create_app(context), path, tail=context.tail)


def test_the_socket_is_for_owner_and_group(ground: Ground) -> None:
    """0660, whatever the umask: who may ask is decided by the socket's owner and group."""
    assert stat.S_IMODE(ground.socket.stat().st_mode) == 0o660
    assert stat.S_ISSOCK(ground.socket.stat().st_mode)


def test_what_a_dead_daemon_left_is_replaced(ground: Ground) -> None:
    """A socket file that nobody answers at is in nobody's way."""
    path = ground.folder / "left.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    server = another(ground, path)
    server.start()
    assert Client(path).get("/status")["data"]["pid"] == 4242
    server.stop()
    assert not path.exists()


def test_a_living_daemon_is_left_alone(ground: Ground) -> None:
    """A socket that somebody answers at is refused, and goes on answering."""
    with pytest.raises(Failure, match="another daemon answers") as caught:
        another(ground, ground.socket).start()
    assert caught.value.code == Code.CONFLICT
    assert ground.client.get("/status")


def test_a_file_is_left_alone(ground: Ground) -> None:
    """What is no socket is never removed."""
    path = ground.folder / "notes"
    path.write_text("mine")
    with pytest.raises(Failure, match="is no socket"):
        another(ground, path).start()
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["x" * 150, "missing/packd.sock"])
def test_a_place_that_can_not_be(ground: Ground, name: str) -> None:
    """A path that is too long, or in no folder, is refused with the way out."""
    with pytest.raises(Failure, match="--socket") as caught:
        another(ground, ground.folder / name).start()
    assert caught.value.code == Code.BAD_REQUEST


def until_answered(ground: Ground) -> None:
    """The one that is there now is ours again, and so is the file that is removed at the end."""
    assert ground.client.get("/status")["data"]["pid"] == 4242
    assert stat.S_IMODE(ground.socket.stat().st_mode) == 0o660
    ground.server.stop()
    assert not ground.socket.exists()


@pytest.mark.parametrize("by", ["nothing", "a dead socket"])
def test_a_socket_that_was_lost_is_made_anew(ground: Ground, said: list[EventDict], by: str) -> None:
    """Whoever removed it, the next look puts it back, again and again; what is connected stays so."""
    for _ in range(2):
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(str(ground.socket))
        ground.socket.unlink()
        if by == "a dead socket":
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(ground.socket))
        with pytest.raises(Failure):
            ground.client.get("/status")
        said.clear()
        ground.server.mind_the_file()
        ground.server.mind_the_file()
        lost = "removed" if by == "nothing" else "replaced"
        assert [(line["event"], line["lost"]) for line in said] == [("api.bound_again", lost)]
        with connected:
            connected.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connected.makefile("rb").read().startswith(b"HTTP/1.1 200")
    until_answered(ground)


@pytest.mark.parametrize("what", ["a file", "a living socket", "no folder"])
def test_what_took_the_place_of_the_socket_is_left_alone(ground: Ground, said: list[EventDict], what: str) -> None:
    """It is said once why nobody can ask; when it is gone, the socket comes back."""
    path = ground.socket
    path.unlink()
    living = socket.socket(socket.AF_UNIX)
    if what == "a file":
        path.write_text("mine")
    elif what == "a living socket":
        living.bind(str(path))
        living.listen()
    else:
        path.parent.rename(f"{path.parent}-away")
    ground.server.mind_the_file()
    ground.server.mind_the_file()
    assert [line["event"] for line in said] == ["api.unreachable"]
    living.close()
    if what == "no folder":
        Path(f"{path.parent}-away").rename(path.parent)
    else:
        path.unlink()
    ground.server.mind_the_file()
    until_answered(ground)


def test_a_server_that_is_down_makes_no_socket(ground: Ground) -> None:
    """A look that comes late changes nothing."""
    ground.server.stop()
    ground.server.mind_the_file()
    assert not ground.socket.exists()


def test_stopping_removes_only_its_own_file(ground: Ground) -> None:
    """A socket that has been put in the place of ours is not ours to remove."""
    ground.socket.unlink()
    successor = socket.socket(socket.AF_UNIX)
    successor.bind(str(ground.socket))
    ground.server.stop()
    assert ground.socket.exists()
    successor.close()


def test_stopping_twice_is_stopping_once(ground: Ground) -> None:
    """So that whoever cleans up need not know how far things had come."""
    ground.server.stop()
    ground.server.stop()


def test_a_server_that_never_started_can_be_stopped(ground: Ground) -> None:
    """The same for one that was never begun."""
    another(ground, ground.folder / "other.sock").stop()


def test_a_command_that_goes_on_does_not_hold_up_stopping(ground: Ground) -> None:
    """The answer in hand gets the grace period; then the server is down and the asker learns of it."""
    ground.activate("core", 1)
    ground.add_run("core", 1, report())
    ground.asked.hold = threading.Event()
    failures: list[Failure] = []

    def asking() -> None:
        try:
            ground.client.post("/packs/core/test")
        except Failure as failure:
            failures.append(failure)

    asker = threading.Thread(target=asking)
    asker.start()
    wait_until(lambda: ground.asked.calls, "the command to be carried out")
    began = time.monotonic()
    ground.server.stop()
    took_s = time.monotonic() - began
    asker.join(10)
    ground.asked.hold.set()
    assert took_s < 4.0
    assert failures[0].code in (Code.UNREACHABLE, Code.INTERNAL)


def test_a_reader_that_goes_away_ends_its_stream(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    """Also in the middle of much that was to be read: nothing more is made for it, and nobody is warned of it."""
    context = a_context(ground.registry, ground.asked, ground.feed, packs_dir=ground.folder)
    made, ended, reader = [], threading.Event(), socket.socket(socket.AF_UNIX)

    async def content() -> AsyncIterator[str]:
        yield "data: first\n\n"
        reader.close()
        for number in range(100):
            made.append(number)
            yield f"data: {number}\n\n"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await EventStream(content())(scope, receive, send)
        finally:
            ended.set()

    server = Server(app, ground.folder / "stream.sock", tail=context.tail)
    server.start()
    try:
        reader.connect(str(ground.folder / "stream.sock"))
        reader.sendall(b"GET / HTTP/1.1\r\nHost: packd\r\n\r\n")
        assert ended.wait(60)
    finally:
        server.stop()
    assert len(made) < 10
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_stopping_cuts_what_nobody_reads(ground: Ground) -> None:
    """An answer behind the time of grace is not left to whoever collects the garbage."""
    context = a_context(ground.registry, ground.asked, ground.feed, packs_dir=ground.folder)
    under_way = threading.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        under_way.set()
        while True:
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})

    server = Server(app, ground.folder / "stream.sock", tail=context.tail, grace_s=1.0)
    server.start()
    with socket.socket(socket.AF_UNIX) as reader:
        try:
            reader.connect(str(ground.folder / "stream.sock"))
            reader.sendall(b"GET / HTTP/1.1\r\nHost: packd\r\n\r\n")
            assert under_way.wait(60)
        finally:
            server.stop()
        assert not server._serving.server_state.connections


def test_a_restart_on_the_same_path(ground: Ground) -> None:
    """Stopped and started again, the same address answers."""
    ground.server.stop()
    server = another(ground, ground.socket)
    server.start()
    assert ground.client.get("/status")
    server.stop()
    with pytest.raises(Failure) as caught:
        ground.client.get("/status")
    assert caught.value.code == Code.UNREACHABLE
    assert "packd run" in caught.value.sentence


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be")
def test_who_may_not_is_told(ground: Ground) -> None:
    """A user without access to the socket is told what is missing, not that nobody is there."""
    ground.folder.chmod(0o755)
    ground.socket.chmod(0o600)  # the group of this process is that of the socket
    os.seteuid(65534)
    try:
        with pytest.raises(Failure) as caught:
            ground.client.get("/status")
    finally:
        os.seteuid(0)
    assert caught.value.code == Code.UNREACHABLE
    assert "you may not talk" in caught.value.sentence


def test_who_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    """A daemon that was killed may leave its socket answering for a moment; the next one starts all the same."""
    path = tmp_path / "packd.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.listen()
    ending = threading.Timer(0.2, left.close)
    ending.start()
    with bind(path) as bound:
        assert bound.getsockname() == str(path)
    ending.join()


def test_an_answer_is_dated_by_its_request(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nobody asked for anything, and so nothing woke the server."""
    assert ground.client.get("/status")
    at_s = 784_111_777
    monkeypatch.setattr("packd.api.peer.time", SimpleNamespace(time=lambda: at_s, monotonic=time.monotonic))
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(ground.socket))
        asking.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, _ = asking.makefile("rb").read().partition(b"\r\n\r\n")
    dates = [line for line in head.split(b"\r\n") if line.lower().startswith(b"date:")]
    assert dates == [b"date: Sun, 06 Nov 1994 08:49:37 GMT"]


# --- who can connect, and holds a descriptor of the daemon's while he says nothing -------------------------------------


@pytest.fixture
def on_tcp(ground: Ground) -> Iterator[tuple[str, int]]:
    """The address of a server that anybody can connect to."""
    access = Access(hosts=frozenset({"127.0.0.1"}))
    context = a_context(ground.registry, ground.asked, ground.feed, packs_dir=ground.folder, access=access)
    server = Server(create_app(context), ground.folder / "tcp.sock", tail=context.tail, listen="127.0.0.1:0")
    server.start()
    assert server.address is not None
    yield server.address
    server.stop()


def answered(connection: socket.socket, said: bytes = b"") -> bytes:
    """All that comes until the other side ends it; `said` is dripped meanwhile."""
    connection.settimeout(0.02)
    heard = bytearray()

    def ended() -> bool:
        try:
            if said:
                connection.send(said)
            more = connection.recv(65536)
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        heard.extend(more)
        return not more

    wait_until(ended, "the end of the connection")
    return bytes(heard)


@pytest.mark.parametrize("first", [b"", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"], ids=["new", "kept"])
@pytest.mark.parametrize("said", [b"", b"X"], ids=["silent", "dripping"])
def test_a_connection_on_which_nothing_is_asked_is_ended(
    on_tcp: tuple[str, int], monkeypatch: pytest.MonkeyPatch, first: bytes, said: bytes
) -> None:
    """However slowly the next request drips in; no token was shown yet."""
    monkeypatch.setattr(peer, "REQUEST_S", 0.3)
    with socket.create_connection(on_tcp) as connection:
        connection.sendall(first)
        if first:
            assert b" 200 OK" in connection.recv(65536)
        answered(connection, said)


def test_a_crowd_on_tcp_keeps_nobody_from_the_socket(
    ground: Ground, on_tcp: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the daemon from its descriptors: whoever comes then is turned away, until another one has gone."""
    monkeypatch.setattr(peer, "most_on_tcp", lambda: 2)
    crowd = [socket.create_connection(on_tcp) for _ in range(2)]
    with socket.create_connection(on_tcp) as late:
        head, _, body = answered(late).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in head
    assert json.loads(body)["code"] == "UNAVAILABLE"
    assert Client(ground.folder / "tcp.sock").get("/status")
    for one in crowd:
        one.close()
    wait_until(lambda: b" 200 OK" in asked(on_tcp), "room for another one")


def asked(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return answered(connection)
