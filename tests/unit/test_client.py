"""The client, when what answers is odd."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from packd.client import Client, part
from packd.domain.failures import Code, Failure

Answering = Callable[[bytes], Client]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A client of somebody who answers with these bytes and hangs up."""
    folder = Path(tempfile.mkdtemp(prefix="packd-client-"))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "s"))
    listening.listen()
    threads: list[threading.Thread] = []

    def client(answer: bytes) -> Client:
        def answer_one() -> None:
            caller, _ = listening.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(answer)

        threads.append(threading.Thread(target=answer_one))
        threads[-1].start()
        return Client(folder / "s")

    yield client
    listening.close()
    for thread in threads:
        thread.join(10)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", Code.UNREACHABLE),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Code.UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Code.UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Code.INTERNAL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", Code.INTERNAL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe", Code.INTERNAL),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", Code.UNAVAILABLE),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", Code.NOT_FOUND),
        (b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", Code.BAD_REQUEST),
        (b"HTTP/1.1 502 Proxy\r\nContent-Length: 0\r\n\r\n", Code.UNREACHABLE),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", Code.INTERNAL),
        (b'HTTP/1.1 409 No\r\nContent-Length: 33\r\n\r\n{"detail": "so", "code": "NOVEL"}', Code.CONFLICT),
    ],
)
def test_odd_answers_are_failures(answering: Answering, answer: bytes, code: Code) -> None:
    """Whatever answers there, the client says what kind of trouble it is, in a sentence."""
    with pytest.raises(Failure) as caught:
        answering(answer).get("/status")
    assert caught.value.code == code
    assert caught.value.sentence


def test_a_daemon_that_is_silent_is_not_taken_for_one_that_is_away(tmp_path: Path) -> None:
    """It says that it is there and hangs, however many wait at its door; nobody is told to start another."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen(0)
        for _ in range(2):  # the first waits to be taken in, and there is no room for the second
            with pytest.raises(Failure, match="is there and does not answer") as caught:
                Client(tmp_path / "s", patience_s=0.1).get("/status")
            assert caught.value.code == Code.UNREACHABLE
            assert "packd run" not in caught.value.sentence


@pytest.mark.parametrize("name", ["", "a/b", "/"])
def test_what_is_no_single_step_is_never_asked_for(name: str) -> None:
    """A server would take it for another path; nothing is called so."""
    with pytest.raises(Failure, match="there is nothing called") as refused:
        part(name)
    assert refused.value.code == Code.NOT_FOUND


@pytest.mark.parametrize("name", ["core", "?", "My Pack", "naïve", "..", "%2e", "\udcff"])
def test_a_name_is_one_step_of_a_path(name: str) -> None:
    """Whatever is in it, it can't lead elsewhere."""
    quoted = part(name)
    assert quoted.isascii()
    assert not set("/?#& ") & set(quoted)


def test_a_path_that_is_too_long() -> None:
    """A socket that can't be is told from one where nobody answers."""
    with pytest.raises(Failure, match="too long"):
        Client(Path("/" + "x" * 200)).get("/status")
