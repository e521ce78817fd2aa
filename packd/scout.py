"""The scout: a process that goes ahead while the daemon loads, which takes several times as long as looking at a folder.

It has the kernel watch every folder of the packs directory, into a queue that the daemon reads once it is there, and
compares what lies there with what is known. If all is as it was when packd last ended cleanly, and nothing has to go on,
packd is ready: the scout says so to whoever asks at the socket, and keeps everybody else waiting, with their requests
unread. When the daemon has loaded, it takes over the socket, those who wait, the queue, and what was found.

The scout changes nothing, and nothing depends on it: what it did not do, as when it was killed, the daemon does itself.
It is forked before the daemon has threads, and ends with it.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from packd.api import socket_file
from packd.domain.sizes import MIB
from packd.extent import extent_of
from packd.flow.scouting import Survey
from packd.orders import MOST_HANDED_ON, RELIEVED, SURVEYED, WAITING, Orders
from packd.service.signals import Signals
from packd.watch.queue import make_queue

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from packd.config import Settings
    from packd.extent import Extent

# The daemon decides when it is time to end. Ctrl-C, and a `pkill` by name, reach the scout as well.
_NOT_FOR_US: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_LISTENING: Final = 100  # callers who wait for their turn


class Scout:
    """The daemon's side, as a context: the process is gone when it is left. Called by one thread at a time."""

    def __init__(self, supposed: Extent) -> None:
        """Sends it ahead. To be called while this process has one thread. Raises OSError.

        `supposed`: what the settings will say, most probably. When they say something else, it looks once more.
        """
        self.signals: Signals | None = None  # None as long as it can't have told anybody that packd is ready
        self.queue = make_queue()
        self.door: socket.socket | None = None  # None until it was instructed
        self._file: tuple[Path, tuple[int, int] | None] | None = None
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._found: Survey | None = None
        here = os.getpid()
        self._pid: int | None = os.fork()
        if self._pid == 0:
            try:
                for number in _NOT_FOR_US:
                    signal.signal(number, signal.SIG_IGN)
                from packd.ahead import go_ahead  # what it needs is loaded while the daemon loads the rest

                go_ahead(supposed, here, line=theirs, queue=self.queue)
            finally:
                os._exit(1)
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self._file is not None and socket_file.identity(self._file[0]) == self._file[1]:
            self._file[0].unlink(missing_ok=True)  # the daemon did not get so far as to take it over

    def instruct(self, settings: Settings) -> None:
        """From now on it may answer. The state directory is locked. Raises Failure when the socket can't be made."""
        path = settings.socket_path
        self.door = socket_file.bind(path)
        self._file = path, socket_file.identity(path)
        self.door.listen(_LISTENING)
        tests = settings.tests
        orders = Orders(
            extent=extent_of(settings),
            state_dir=settings.state_dir,
            floor_bytes=settings.retention.min_free_mb * MIB,
            may_vouch=settings.database_url is None
            and settings.api.listen is None
            and tests.isolation == "auto"
            and tests.user is None,
        )
        if orders.may_vouch:
            self.signals = Signals()  # who was told so and stops packd gets the clean end of one that runs
        with suppress(OSError):  # it is lost, or its orders are too long
            socket.send_fds(self._line, [pickle.dumps(orders)], [self.door.fileno()])

    def survey(self) -> Survey:
        """What it found; waits for it. Empty when the scout was lost."""
        if self._found is None:
            self._found = self._received()
        return self._found

    def relieve(self) -> list[socket.socket]:
        """From now on it answers nobody. Returns the connections of those whom it kept waiting.

        While it still looks around it has not answered anybody, and will not: that is not waited for.
        """
        waiting: list[socket.socket] = []
        with suppress(OSError):
            self._line.send(RELIEVED)
            if not select.select([self._line], [], [], 0)[0]:
                return []
            self.survey()
            while descriptors := socket.recv_fds(self._line, len(WAITING), MOST_HANDED_ON)[1]:
                waiting += [socket.socket(fileno=descriptor) for descriptor in descriptors]
        return waiting

    @property
    def is_back(self) -> bool:
        """Has it told what it found?"""
        return self._found is not None

    def end(self) -> None:
        """What it found was used."""
        if self._pid is None:
            return
        self._found = Survey()
        self._line.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._pid = None

    def _received(self) -> Survey:
        try:
            descriptors = socket.recv_fds(self._line, len(SURVEYED), 1)[1]
            if not descriptors:
                return Survey()
            with os.fdopen(descriptors[0], "rb") as file:
                file.seek(0)
                found: Survey = pickle.load(file)  # noqa: S301  written by packd's own process
        except (OSError, EOFError, pickle.UnpicklingError):
            return Survey()
        return found
