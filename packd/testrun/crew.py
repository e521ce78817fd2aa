"""Runs in processes of their own: suites that say much, or are many, leave the daemon its processor.

The processes are forked by one that was itself forked before the daemon had threads, since a process with threads can't
be forked safely; they have everything loaded from the beginning. Each carries out one run at a time, for one thread of
the daemon. All end with it, also when it is killed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from packd.processors import HERE
from packd.testrun.leftovers import end_run
from packd.testrun.mark import WALLS
from packd.testrun.member import serve
from packd.testrun.run import cancelled_report, lost_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import Report
    from packd.testrun.bench import Errand, Tools
    from packd.testrun.request import RunRequest

_ENDING_TAKES_S: Final = 5.0
_LOST: Final = (
    "the process that carried out the run was ended from outside, as for want of memory; nothing is known of it"
)


class Crew:
    """The process that makes the others."""

    def __init__(self, tools: Tools) -> None:
        """To be called while this process has one thread."""
        self._tools = tools
        self._lock = threading.Lock()
        self._door, theirs = socket.socketpair()
        gc.freeze()  # what is there stays: collecting it would make the processes copy its pages
        self._pid = os.fork()
        if self._pid == 0:
            serve(theirs, tools)
        theirs.close()

    def member(self) -> Member:
        """One for a thread of its own."""
        return Member(self, self._tools)

    def hire(self) -> _Line:
        """The line to a new process. Raises OSError when there can't be one."""
        (ours, theirs), (button, their_button) = socket.socketpair(), socket.socketpair()
        with theirs, their_button:
            try:
                with self._lock:
                    socket.send_fds(self._door, [b"+"], [theirs.fileno(), their_button.fileno()])
            except OSError:
                ours.close()
                button.close()
                raise
        return _Line(ours, button)

    def alive(self) -> bool:
        try:
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # closed
            return False

    def close(self) -> None:
        """Once every member is closed. Returns when none of the processes is left; one that hangs is killed.

        Walls end with whoever made them, but for those that were being made: bubblewrap may be killed before what it has
        forked knows that it is to die with it.
        """
        self._door.close()
        handle = os.pidfd_open(self._pid)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(_ENDING_TAKES_S * 1000):
            os.kill(self._pid, signal.SIGKILL)  # and with it the others
        os.close(handle)
        os.waitpid(self._pid, 0)
        end_run(self._tools.work_dir, WALLS)


class Member:
    """A process of the crew, seen from the thread that it works for. See Station."""

    def __init__(self, crew: Crew, tools: Tools) -> None:
        self._crew = crew
        self._tools = tools
        self._line: _Line | None = None

    def begin(self, errand: Errand) -> None:
        """See Station. The process has its request; one that was lost since the last run is replaced for this one."""
        for _ in range(2):
            try:
                if self._line is None:
                    self._line = self._crew.hire()
                self._line.ask(errand.request)
            except OSError:
                self.close()
            else:
                return

    def carry_out(self, errand: Errand) -> str | None:
        """See Station. A process that is lost is replaced for the next run."""
        hearing = _Hearing(errand)
        try:
            if self._line is None:
                raise EOFError  # it was lost when the run was begun
            with self._cancelling(errand, self._line):
                while not hearing.over:
                    hearing.take(self._line.receive())
        except (OSError, EOFError, pickle.UnpicklingError):
            self.close()
            return self._lost(errand, answered=hearing.answered)
        if hearing.error is not None:
            raise hearing.error
        return hearing.trouble

    def close(self) -> None:
        """Let the process go; it ends by itself."""
        if self._line is not None:
            self._line.close()
            self._line = None

    @contextlib.contextmanager
    def _cancelling(self, errand: Errand, line: _Line) -> Iterator[None]:
        def pass_on() -> None:
            with contextlib.suppress(OSError):  # lost: that is found by whoever listens
                line.cancel(errand.request.run_id, str(errand.cancel.reason))

        with errand.cancel.waking(pass_on):
            yield

    def _lost(self, errand: Errand, *, answered: bool) -> str | None:
        trouble = end_run(self._tools.work_dir, errand.request.run_id)
        if not answered:
            errand.answer(self._report_of(errand))
        return trouble or (None if answered else _LOST)

    def _report_of(self, errand: Errand) -> Report:
        """Of a run that nobody else will report."""
        isolation = self._tools.sandbox.isolation
        if errand.cancel.reason is not None:
            return cancelled_report(errand.request, isolation, errand.cancel.reason)
        return lost_report(errand.request, isolation, _LOST)


class _Hearing:
    """What a process says of one run, passed on. Whoever listens and fails ends the run, which is heard to its end."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self.over = self.answered = False
        self.trouble: str | None = None
        self.error: BaseException | None = None

    def take(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("over", trouble):
                self.over, self.trouble = True, trouble
            case ("raised", error):
                self.over, self.error = True, self.error or error
            case _ if self.error is None:
                self._pass_on(message)

    def _pass_on(self, message: tuple[Any, ...]) -> None:
        errand = self._errand
        try:
            match message:
                case ("case", suite, case) if errand.on_case is not None:
                    errand.on_case(suite, case)
                case ("suite", suite):
                    errand.on_suite(suite)
                case ("progress", words):
                    errand.on_progress(words)
                case ("report", report):
                    self.answered = True
                    errand.answer(report)
        except Exception as error:
            self.error = error
            errand.cancel.cancel(f"{type(error).__name__}: {error}")


class _Line:
    """Requests to a process and what it says of them; and a button beside it, which is heard while it works."""

    def __init__(self, ends_here: socket.socket, button: socket.socket) -> None:
        self._socket = ends_here
        self._button = button
        self._reader = ends_here.makefile("rb")

    def ask(self, request: RunRequest) -> None:
        self._socket.sendall(pickle.dumps((HERE.home, request)))

    def cancel(self, run_id: str, reason: str) -> None:
        """Also of a run that has just ended, or was asked for and not heard of yet."""
        self._button.sendall(pickle.dumps((run_id, reason)))

    def receive(self) -> tuple[Any, ...]:
        """Raises EOFError when nobody is there any more."""
        message: tuple[Any, ...] = pickle.load(self._reader)  # noqa: S301  written by packd's own process
        return message

    def close(self) -> None:
        self._reader.close()
        self._socket.close()
        self._button.close()
