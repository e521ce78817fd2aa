"""The feed over HTTP: cursors, waiting, and a stream without gaps, also while the daemon comes and goes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from packd.api import events as events_module
from packd.api.app import create_app
from packd.api.feed import Choice, behind, choice, start
from packd.api.server import Server
from packd.client import Client
from packd.domain.failures import Code, Failure
from tests.unit.doors_ground import Ground, a_context, made_ground
from tests.waiting import wait_until


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


def forget(ground: Ground, below: int) -> None:
    """As retention does."""
    with ground.registry.write() as tx:
        tx.connection.execute(text("DELETE FROM events WHERE seq < :below"), {"below": below})


def follow(ground: Ground, count: int, *, after: int | None = 0, **more: Any) -> list[dict[str, Any]]:
    """The first `count` events of a stream."""
    client = Client(ground.socket)
    stream = client.follow(after=after, types=more.get("types", []), packs=more.get("packs", []), on_gap=print)
    found = list(islice(stream, count))
    stream.close()
    return found


def test_pages_behind_a_cursor(ground: Ground) -> None:
    """`cursor.next` leads from page to page until there is no more; nothing is missing and nothing comes twice."""
    ground.say(times=5)
    first = ground.client.get("/events", limit=2)
    assert [event["seq"] for event in first["items"]] == [1, 2]
    assert first["cursor"] == {"next": 2, "oldest": 1, "newest": 5, "has_more": True}
    second = ground.client.get("/events", after=2, limit=500)
    assert [event["seq"] for event in second["items"]] == [3, 4, 5]
    assert second["cursor"]["has_more"] is False


def test_the_cursor_moves_over_what_is_not_wanted(ground: Ground) -> None:
    """A choice that takes little does not read the same events again and again."""
    ground.say("core", times=3)
    ground.say("other")
    ground.say("core", times=2)
    answer = ground.client.get("/events", pack=["oth*"])
    assert [event["subject"] for event in answer["items"]] == ["packs/other"]
    assert answer["cursor"]["next"] == 6


def test_choosing_types(ground: Ground) -> None:
    """Globs, repeated or with commas; a type that no event has is refused with what was meant."""
    ground.activate("core", 1)
    ground.say()
    assert len(ground.client.get("/events", types=["pack.test_*,pack.updated", "pack.registered"])["items"]) == 2
    assert [event["type"] for event in ground.client.get("/events", types=["*.registered"])["items"]] == [
        "pack.registered"
    ]
    with pytest.raises(Failure, match=r"did you mean 'pack.updated'") as caught:
        ground.client.get("/events", types=["pack.update"])
    assert caught.value.code == Code.BAD_REQUEST


def test_a_cursor_older_than_what_is_kept(ground: Ground) -> None:
    """410 with `oldest`, on pages and on streams; without a cursor one begins at the oldest."""
    ground.say(times=5)
    forget(ground, 4)
    for path in ("/events", "/events/stream"):
        with pytest.raises(Failure, match="not kept any more") as caught:
            ground.client.get(path, after=2)
        assert (caught.value.code, caught.value.members) == (Code.GONE, {"oldest": 4})
    assert [event["seq"] for event in ground.client.get("/events", after=3)["items"]] == [4, 5]
    assert [event["seq"] for event in ground.client.get("/events")["items"]] == [4, 5]


def test_a_cursor_from_another_registry(ground: Ground) -> None:
    """A cursor ahead of every event would wait for what comes and miss what is there: it is refused."""
    with pytest.raises(Failure, match="no event 9 yet, the newest is 0"):
        ground.client.get("/events", after=9)
    ground.say(times=2)
    with pytest.raises(Failure, match="no event 9 yet"):
        ground.client.get("/events", after=9)
    assert start(ground.registry, 2, at_end=False) == 2


def test_an_answer_is_bounded(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice that matches nothing looks at so many events and hands back a cursor."""
    monkeypatch.setattr("packd.api.feed._BATCH", 2)
    monkeypatch.setattr("packd.api.feed._LOOKED_AT", 4)
    ground.say(times=9)
    batch = behind(ground.registry, 0, choice([], ["nobody"]), limit=10)
    assert (batch.events, batch.next, batch.has_more) == ((), 4, True)


def test_waiting_ends_with_the_next_event(ground: Ground) -> None:
    """`wait` answers as soon as there is something wanted, not before, and not when something else happens."""
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(
        target=lambda: answers.append(ground.client.get("/events", after=0, pack=["core"], wait=30))
    )
    asking.start()
    ground.say("other")
    asking.join(0.1)
    assert not answers
    ground.say("core")
    asking.join(10)
    assert [event["subject"] for event in answers[0]["items"]] == ["packs/core"]


def test_waiting_has_an_end(ground: Ground) -> None:
    """Nothing happened: an empty answer, after the time that was asked for."""
    began = time.monotonic()
    assert ground.client.get("/events", wait=0.2)["items"] == []
    assert time.monotonic() - began >= 0.2


def test_a_stream_has_no_gap(ground: Ground) -> None:
    """Everybody who follows gets every event once and in order, whatever is committed while they join."""
    total, followers = 120, 8
    ground.say(times=20)
    results: list[list[int]] = []

    def following() -> None:
        results.append([event["seq"] for event in follow(ground, total)])

    threads = [threading.Thread(target=following) for _ in range(followers)]
    writers = [threading.Thread(target=ground.say, kwargs={"times": 25}) for _ in range(4)]
    for thread in (*threads[:4], *writers, *threads[4:]):
        thread.start()
    for thread in (*writers, *threads):
        thread.join(30)
    assert results == [list(range(1, total + 1))] * followers


def test_a_stream_begins_now(ground: Ground) -> None:
    """Without a cursor only what happens from now on comes."""
    ground.say(times=3)
    client = Client(ground.socket)
    stream = client.follow(after=None, types=[], packs=[], on_gap=print)
    found: list[dict[str, Any]] = []
    reading = threading.Thread(target=lambda: found.extend(islice(stream, 1)))
    reading.start()
    wait_until(lambda: (ground.say(), found)[1])  # one comes behind the moment at which the reader asked
    reading.join(10)
    assert found[0]["seq"] > 3


def test_a_stream_is_chosen_from(ground: Ground) -> None:
    """Types and packs choose on the stream as on pages."""
    ground.activate("core", 1)
    ground.say("other")
    ground.say("core")
    assert [event["seq"] for event in follow(ground, 1, packs=["other"])] == [2]
    assert [event["seq"] for event in follow(ground, 2, types=["pack.test_failed"])] == [2, 3]


def raw_stream(ground: Ground, lines: int, **headers: str) -> list[str]:
    """The first lines of a stream as they are."""
    import http.client
    import socket

    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(ground.socket))
    connection.request("GET", "/api/v1/events/stream", headers=headers)
    response = connection.getresponse()
    assert response.getheader("Content-Type", "").startswith("text/event-stream")
    found = [response.readline().decode().rstrip("\n") for _ in range(lines)]
    response.close()
    connection.close()
    return found


def test_the_form_of_the_stream(ground: Ground) -> None:
    """`id` is the number, `event` the type, `data` the envelope on one line; Last-Event-ID resumes behind it."""
    ground.say(times=2)
    hello, empty, identity, kind, data, end = raw_stream(ground, 6, **{"Last-Event-ID": "1"})
    assert (hello, empty, identity, kind, end) == (": packd", "", "id: 2", "event: pack.test_failed", "")
    assert data.startswith('data: {"type":"pack.test_failed"')


def test_an_id_that_is_none_of_ours_is_passed_over(ground: Ground) -> None:
    """Whatever a reader sends: the stream begins where it would without."""
    for identity in ("x", "9" * 5000):
        assert raw_stream(ground, 2, **{"Last-Event-ID": identity}) == [": packd", ""]


def test_silence_is_told(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing happens a comment says that the stream is alive, with the number behind which a reader resumes."""
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.05)
    ground.say(times=2)
    silence = ["id: 2", ": still here", ""]
    assert raw_stream(ground, 8) == [": packd", "", *silence, *silence]


def test_silence_is_told_while_only_others_are_told_something(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that wants none of it would take the daemon for dead."""
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.2)
    over = threading.Event()

    def talking() -> None:
        while not over.wait(0.02):
            ground.say()

    speaker = threading.Thread(target=talking)
    speaker.start()
    client = Client(ground.socket)
    stream = client._stream(0, [], ["nobody"])
    try:
        assert [event for _, event in islice(stream, 3)] == [None, None, None]
    finally:
        over.set()
        speaker.join()
        stream.close()


def test_a_hundred_streams_do_not_delay_stopping(ground: Ground) -> None:
    """Every subscriber gets a farewell and the server is down within moments."""
    import socket

    ground.say()
    sockets = []
    for _ in range(100):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(20)
        one.connect(str(ground.socket))
        one.sendall(b"GET /api/v1/events/stream?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        sockets.append(one)
    received = dict.fromkeys(sockets, b"")
    for one in sockets:
        while b"id: 1\n" not in received[one]:
            received[one] += one.recv(65536)
    began = time.monotonic()
    ground.server.stop()
    took_s = time.monotonic() - began
    for one in sockets:
        while chunk := one.recv(65536):
            received[one] += chunk
        one.close()
        assert b'event: farewell\ndata: {"reason": "stopping"}' in received[one]
    assert took_s < 2.0  # a second more than without them, at most: see the next one


def test_open_streams_cost_less_than_a_second(ground: Ground) -> None:
    """Stopping with a hundred streams open takes at most a second more than stopping with none."""
    import socket

    context = a_context(ground.registry, ground.asked, ground.feed)
    other = Server(create_app(context), ground.folder / "idle.sock", tail=context.tail)
    other.start()
    alone_s = _stopping_s(other)
    sockets = []
    for _ in range(100):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(20)
        one.connect(str(ground.socket))
        one.sendall(b"GET /api/v1/events/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        sockets.append(one)
    for one in sockets:
        assert one.recv(65536).startswith(b"HTTP/1.1 200")
    assert _stopping_s(ground.server) < alone_s + 1.0
    for one in sockets:
        one.close()


def _stopping_s(server: Server) -> float:
    began = time.monotonic()
    server.stop()
    return time.monotonic() - began


def test_a_reader_that_takes_nothing_is_cut_and_can_resume(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither holds up others nor fills packd's memory: the connection ends, and what it missed is there behind its id."""
    import socket

    cut = threading.Event()
    monkeypatch.setattr(events_module, "PATIENCE_S", 0.3)
    monkeypatch.setattr("packd.api.streaming.log", SimpleNamespace(info=lambda _, **__: cut.set()))
    lazy = socket.socket(socket.AF_UNIX)
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.settimeout(20)
    lazy.connect(str(ground.socket))
    lazy.sendall(b"GET /api/v1/events/stream?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
    ground.say(times=600)
    assert cut.wait(30)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := lazy.recv(65536):
            received += chunk
    lazy.close()
    seen = [int(line[4:]) for line in received.decode(errors="replace").splitlines() if line.startswith("id: ")]
    assert 0 < len(seen) < 600
    last = seen[-1] - 1  # the last one may have been cut in two
    assert [event["seq"] for event in follow(ground, 3, after=last)] == [last + 1, last + 2, last + 3]


def test_following_survives_a_restart(ground: Ground) -> None:
    """The client comes back to the next daemon and goes on behind the last event; it tells that there was a gap."""
    told: list[str] = []
    found: list[int] = []
    seen = threading.Semaphore(0)

    def following() -> None:
        stream = Client(ground.socket).follow(after=0, types=[], packs=[], on_gap=told.append)
        for event in islice(stream, 4):
            found.append(event["seq"])
            seen.release()
        stream.close()

    ground.say(times=2)
    reader = threading.Thread(target=following)
    reader.start()
    assert seen.acquire(timeout=10)
    assert seen.acquire(timeout=10)
    ground.server.stop()
    ground.say()  # nobody is told; the registry knows
    context = a_context(ground.registry, ground.asked, ground.feed, packs_dir=ground.folder)
    next_server = Server(create_app(context), ground.socket, tail=context.tail)
    next_server.start()
    ground.say()
    reader.join(20)
    next_server.stop()
    assert found == [1, 2, 3, 4]
    assert len(told) == 1


def test_following_passes_over_what_nobody_wanted(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """It resumes behind that, and is not refused because it is not kept any more."""
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.05)
    ground.say(times=3)
    client = Client(ground.socket)
    cursors = (seq for seq, _ in client._stream(0, [], ["nobody"]))
    assert list(islice(cursors, 2)) == [0, 3]


def test_following_starts_only_with_a_daemon(tmp_path: Any) -> None:
    """Nobody there at the beginning is an error; only later it is waited for."""
    stream = Client(tmp_path / "none.sock").follow(after=None, types=[], packs=[], on_gap=print)
    with pytest.raises(Failure) as caught:
        next(stream)
    assert caught.value.code == Code.UNREACHABLE


def test_a_reader_left_behind_is_sent_away(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """When events behind a stream's cursor are not kept any more the stream ends; asking again says 410."""
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.05)
    ground.say(times=2)
    told: list[str] = []
    stream = Client(ground.socket).follow(after=0, types=[], packs=["nobody"], on_gap=told.append)
    monkeypatch.setattr("packd.api.events.behind", _forgetting(ground, behind))
    with pytest.raises(Failure) as caught:
        next(stream)
    assert caught.value.code == Code.GONE


def _forgetting(ground: Ground, real: Any) -> Any:
    def forgetful(registry: Any, cursor: int, wanted: Choice, *, limit: int) -> Any:
        ground.say(times=2)
        forget(ground, 4)
        return real(registry, 0, wanted, limit=limit)

    return forgetful
