"""The notification protocol of sd_notify(3): one datagram per message, to the address in `$NOTIFY_SOCKET`."""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Final

_SECOND_US: Final = 1_000_000
_STATUS_LENGTH: Final = 400  # characters; `systemctl status` shows one line


class Notifier:
    """Tells the service manager how the daemon is doing; silent when there is none.

    Nothing here raises for a manager that went away: being heard is not what the daemon lives for.
    """

    def __init__(self, environ: Mapping[str, str], *, pid: int | None = None) -> None:
        """`environ` is only read. `pid`: ours, told apart from that of a shell which the variables were meant for."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(environ, pid or os.getpid()) if self._address else None
        self._status = ""

    @property
    def listening(self) -> bool:
        """Is there anybody to be told?"""
        return self._address is not None

    def ready(self, status: str) -> bool:
        """The start, or a reload, is done."""
        return self._say("READY=1", self._status_line(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it. The time tells it apart from one that was asked for earlier."""
        return self._say("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def status(self, sentence: str) -> bool:
        """One line for `systemctl status`; said again only when it changed."""
        return sentence == self._status or self._say(self._status_line(sentence))

    def stopping(self, status: str) -> bool:
        """The end has begun."""
        return self._say("STOPPING=1", self._status_line(status))

    def extend(self, seconds: float) -> bool:
        """Whatever we are doing may take so long from now on, without being taken for stuck."""
        return self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * _SECOND_US)}")

    def alive(self) -> bool:
        """All is well: the watchdog may wait for another round."""
        return self._say("WATCHDOG=1")

    def barrier(self, timeout_s: float = 5.0) -> bool:
        """Returns when the manager has read everything said so far; False on time-out (sd_notify_barrier(3))."""
        if self._address is None:
            return True
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            said = self._say("BARRIER=1", fds=[theirs])
        finally:
            os.close(theirs)
        try:
            return said and bool(select.select([ours], [], [], timeout_s)[0])  # end of file: it closed its copy
        finally:
            os.close(ours)

    def _status_line(self, sentence: str) -> str:
        self._status = sentence
        return f"STATUS={' '.join(sentence.split())[:_STATUS_LENGTH]}"

    def _say(self, *lines: str, fds: Sequence[int] = ()) -> bool:
        if self._address is None:
            return False
        attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.settimeout(2.0)  # a manager that does not read must not stop us
            to.sendmsg(["\n".join(lines).encode()], attached, 0, self._address)
            return True
        return False


def _address(named: str) -> str | None:
    """A path, or a name in the abstract namespace; other families (vsock) are for guests of a virtual machine."""
    if named.startswith("@"):
        return f"\0{named[1:]}"
    return named if named.startswith("/") else None


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """How often at least `alive` must be said; None: nobody waits for it (sd_watchdog_enabled(3))."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / _SECOND_US if microseconds.isdigit() and int(microseconds) > 0 else None
