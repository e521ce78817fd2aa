"""The other side of `crew`: what the forked processes do. Nothing here ever returns to the daemon's code."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from packd.testrun.bench import Bench, Errand
from packd.testrun.cancel import CancelToken

if TYPE_CHECKING:
    from packd.testrun.bench import Tools
    from packd.testrun.request import RunRequest

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_STANDARD: Final = (0, 1, 2)
# The daemon decides when it is time to end. Ctrl-C, and a `pkill` by name, reach these processes as well.
_NOT_FOR_US: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def serve(door: socket.socket, tools: Tools) -> NoReturn:
    """Fork a process for every descriptor that comes through the door: its line to the daemon. Ends with the daemon."""
    try:
        _become("packd-crew", os.getppid(), keep=(door.fileno(), tools.slots.descriptor))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
        here = os.getpid()
        while True:
            _, lines, _, _ = socket.recv_fds(door, 1, 1)
            if not lines:
                with suppress(ChildProcessError):
                    os.wait()  # until the last of them has ended
                os._exit(0)
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become("packd-testrun", here, keep=(lines[0], tools.slots.descriptor))
                _work(socket.socket(fileno=lines[0]), Bench(tools))
            os.close(lines[0])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _become(name: str, parent: int, *, keep: tuple[int, ...]) -> None:
    """A process that dies with its parent and holds nothing of it: locks and ports must be free when it is gone."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
    for number in _NOT_FOR_US:
        signal.signal(number, _nothing)  # not SIG_IGN, which suites would inherit
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in (*_STANDARD, *keep):
            with suppress(OSError):
                os.close(descriptor)


def _nothing(*_: object) -> None:
    """Heard, and left to the daemon."""


def _work(line: socket.socket, bench: Bench) -> NoReturn:
    """Carry out what is asked for. In the main thread: what a suite's processes leave behind is given to that one."""
    gc.enable()  # a daemon that starts has it off
    asked: queue.SimpleQueue[tuple[RunRequest, CancelToken]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(line, asked), daemon=True).start()
    sending = threading.Lock()  # suites that run at the same time tell of their cases at the same time

    def say(*message: Any) -> None:
        data = pickle.dumps(message)
        with sending:
            line.sendall(data)

    while True:
        request, cancel = asked.get()
        errand = Errand(
            request=request,
            cancel=cancel,
            on_case=lambda suite, case: say("case", suite, case),
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


def _listen(line: socket.socket, asked: queue.SimpleQueue[tuple[RunRequest, CancelToken]]) -> None:
    """Until the daemon lets go of the line, or is gone: then there is nobody to run anything for."""
    reader = line.makefile("rb")
    tokens: dict[str, CancelToken] = {}
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            match pickle.load(reader):  # noqa: S301  written by packd itself
                case ("run", request):
                    tokens = {request.run_id: CancelToken()}
                    asked.put((request, tokens[request.run_id]))
                case ("cancel", run_id, reason) if run_id in tokens:
                    tokens[run_id].cancel(reason)
    os._exit(0)
