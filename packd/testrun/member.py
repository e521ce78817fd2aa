"""The other side of `crew`: what the forked processes do. Nothing here ever returns to the daemon's code."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from packd.forked import stand_alone
from packd.processors import HERE
from packd.testrun.bench import Bench, Errand
from packd.testrun.cancel import CancelToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.testrun.bench import Tools
    from packd.testrun.request import RunRequest

# The daemon decides when it is time to end. Ctrl-C, and a `pkill` by name, reach these processes as well.
_NOT_FOR_US: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_LINE_AND_BUTTON: Final = 2  # descriptors; fewer come where no more can be opened


def serve(door: socket.socket, tools: Tools) -> NoReturn:
    """Fork a process for every pair that comes through the door: a line to the daemon and the stop button for what it
    carries out. Ends with the daemon."""
    try:
        stand_alone("packd-crew", os.getppid(), keep=(door.fileno(), tools.slots.descriptor))
        _leave_signals_to_the_daemon()
        signal.signal(signal.SIGCHLD, _see_to_the_others)
        here = os.getpid()
        while True:
            asked, given, _, _ = socket.recv_fds(door, 1, 2)
            if not asked:
                _outlive_the_others()
                os._exit(0)
            if len(given) == _LINE_AND_BUTTON and _forked() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                stand_alone("packd-testrun", here, keep=(*given, tools.slots.descriptor))
                line, button = (socket.socket(fileno=one) for one in given)
                # Without a daemon there is nobody to run anything for.
                _work(line, StopButton(button, gone=lambda: os._exit(0)), Bench(tools))
            for one in given:
                os.close(one)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _forked() -> int | None:
    """As os.fork; None where the machine has no room for one more just now. Whoever asked for it finds that nobody is at
    the other end of the line, as if the process had been lost at once, and asks again for the next run."""
    try:
        return os.fork()
    except OSError as failure:
        sys.stderr.write(f"packd-crew: no process for a run: {failure}\n")
        return None


def _see_to_the_others(*_: object) -> None:
    """Nobody asks how they ended. One that was stopped goes on: a suite on the lowest rung may do that to its parent, and
    then nobody would hold it to its time."""
    options = os.WEXITED | os.WSTOPPED | os.WNOHANG
    with suppress(ChildProcessError):
        while (change := os.waitid(os.P_ALL, 0, options)) is not None:
            if change.si_code == os.CLD_STOPPED:
                os.kill(change.si_pid, signal.SIGCONT)


def _outlive_the_others() -> None:
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _leave_signals_to_the_daemon() -> None:
    for number in _NOT_FOR_US:
        signal.signal(number, _nothing)  # not SIG_IGN, which suites would inherit


def _nothing(*_: object) -> None:
    """Heard, and left to the daemon."""


def _work(line: socket.socket, button: StopButton, bench: Bench) -> NoReturn:
    """Carry out what is asked for, until the daemon lets go of the line, or is gone.

    In the main thread: what a suite's processes leave behind is given to that one.
    """
    gc.enable()  # a daemon that starts has it off
    asked = line.makefile("rb")
    sending = threading.Lock()  # suites that run at the same time tell of their cases at the same time

    def say(*message: Any) -> None:
        data = pickle.dumps(message)
        with sending:
            line.sendall(data)

    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            home, request = pickle.load(asked)  # noqa: S301  written by packd itself
            HERE.keep_off(home)
            _carry_out(request, say, button, bench)
    os._exit(0)


def _carry_out(request: RunRequest, say: Callable[..., None], button: StopButton, bench: Bench) -> None:
    errand = Errand(
        request=request,
        cancel=button.of(request.run_id),
        on_case=lambda suite, case: say("case", suite, case),
        on_suite=lambda suite: say("suite", suite),
        on_progress=lambda words: say("progress", words),
        answer=lambda report: say("report", report),
    )
    try:
        trouble = bench.carry_out(errand)
    except BrokenPipeError:
        os._exit(0)
    except BaseException as error:  # a bug of ours: for whoever waits
        traceback.print_exc(file=sys.stderr)
        say("raised", error if isinstance(error, ValueError) else RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        say("over", trouble)


class StopButton:
    """Heard by a thread of its own. It may be pressed before the run is heard of that it is meant for."""

    def __init__(self, pressed: socket.socket, *, gone: Callable[[], object]) -> None:
        """`gone` is called when there is nobody any more to press it."""
        self._pressed = pressed
        self._gone = gone
        self._lock = threading.Lock()
        self._current: tuple[str, CancelToken] | None = None
        self._early: tuple[str, str] | None = None  # (run id, reason), of one that has not begun; or ended just now
        threading.Thread(target=self._listen, daemon=True).start()

    def of(self, run_id: str) -> CancelToken:
        """Of the run that begins now."""
        token = CancelToken()
        with self._lock:
            self._current = (run_id, token)
            early = self._early
        if early is not None and early[0] == run_id:
            token.cancel(early[1])
        return token

    def _press(self, run_id: str, reason: str) -> None:
        with self._lock:
            current = self._current
            if current is None or current[0] != run_id:
                self._early = (run_id, reason)
                return
        current[1].cancel(reason)

    def _listen(self) -> None:
        reader = self._pressed.makefile("rb")
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                self._press(*pickle.load(reader))  # noqa: S301  written by packd itself
        self._gone()
