"""The notification protocol, against a socket that listens as a service manager does."""

from __future__ import annotations

import array
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packd.service.notify import Notifier
from packd.service.sockets import inherited


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Where a manager listens, and what it calls that."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.settimeout(10)
    named = str(tmp_path / "notify") if request.param == "path" else f"@packd-test-{os.getpid()}-{id(listening)}"
    listening.bind(named.replace("@", "\0", 1) if request.param == "abstract" else named)
    yield listening, named
    listening.close()


def test_what_is_said(manager: tuple[socket.socket, str]) -> None:
    """READY, STATUS, RELOADING with the monotonic time, EXTEND_TIMEOUT_USEC, WATCHDOG and STOPPING as sd_notify(3) has them."""
    listening, named = manager
    notifier = Notifier({"NOTIFY_SOCKET": named})
    notifier.ready("Watching\n/srv")
    assert listening.recv(4096) == b"READY=1\nSTATUS=Watching /srv"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    kind, moment = listening.recv(4096).decode().split("\n")
    assert kind == "RELOADING=1"
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= before + 10_000_000
    notifier.extend(1.5)
    assert listening.recv(4096) == b"EXTEND_TIMEOUT_USEC=1500000"
    notifier.alive()
    assert listening.recv(4096) == b"WATCHDOG=1"
    notifier.stopping("Draining")
    assert listening.recv(4096) == b"STOPPING=1\nSTATUS=Draining"


def test_a_status_is_said_once(manager: tuple[socket.socket, str]) -> None:
    """The same sentence twice is one message."""
    listening, named = manager
    notifier = Notifier({"NOTIFY_SOCKET": named})
    for sentence in ("one", "one", "two"):
        notifier.status(sentence)
    assert (listening.recv(4096), listening.recv(4096)) == (b"STATUS=one", b"STATUS=two")


def test_barrier(manager: tuple[socket.socket, str]) -> None:
    """A barrier hands over a descriptor and returns when the manager has closed it, not before."""
    listening, named = manager
    released = threading.Event()

    def read() -> None:
        message, ancillary, _, _ = listening.recvmsg(4096, socket.CMSG_SPACE(4))
        assert message == b"BARRIER=1"
        (fd,) = array.array("i", ancillary[0][2])
        released.set()
        os.close(fd)

    thread = threading.Thread(target=read)
    thread.start()
    assert Notifier({"NOTIFY_SOCKET": named}).barrier()
    assert released.is_set()
    thread.join()


def test_nobody_listens(tmp_path: Path) -> None:
    """Without a manager, or when it is gone, nothing is said and nothing raises."""
    assert not Notifier({}).ready("well")
    assert Notifier({}).barrier()
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("well")
    assert not Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).listening


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_whose_watchdog(environ: dict[str, str], expected: float | None) -> None:
    """The watchdog counts only when it is meant for this process and says a time."""
    assert Notifier({"NOTIFY_SOCKET": "/run/x", **environ}, pid=42).watchdog_s == expected


def test_inherited_sockets(tmp_path: Path) -> None:
    """Only listening stream sockets that are meant for this process are taken over, and no child inherits them."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        listening.bind(str(tmp_path / "api"))
        listening.listen()
        first = 200
        os.dup2(listening.fileno(), first, inheritable=True)
        os.dup2(other.fileno(), first + 1, inheritable=True)
        try:
            meant = {"LISTEN_FDS": "2", "LISTEN_PID": "42"}
            assert inherited(meant, pid=43, first=first) == []
            (taken,) = inherited(meant, pid=42, first=first)
            assert taken.getsockname() == str(tmp_path / "api")
            assert not os.get_inheritable(first)
            taken.detach()
        finally:
            os.close(first)
            os.close(first + 1)
