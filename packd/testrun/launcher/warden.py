"""Stands inside of walls that bubblewrap made, and lets one program after another run there, each in a cell of its own.

    python -I -S warden.py DESCRIPTOR          its stdin is the line to packd; see packd.testrun.walls

DESCRIPTOR holds JSON: folders that only the warden itself needed to be seen, what is mounted for each program, whom
programs become, or by which numbers they know the user that they stay, what they may ask of the kernel, and which
processors are for the warden and for them. The walls are the view of the machine and the namespaces that no program could
change; what a program could change, or leave behind for the next one, is made anew for each: its processes, its mounts, the
folders that it may write to, and what it shares by System V's or POSIX's means.

A cell (cell.py) is made before it is asked for: a moment after the program in the one before has ended, when packd had the
processor for what follows from that, or when the program takes its time. Programs never run side by side. The first
process in its namespace of processes, whose end is that of all that is in there, gives everything up and says a word on the
line; then it takes a request from there, and another word when the program may run, starts it, sees to it that nothing of
it is left, and says how it ended. What it is held to by then, the program is held to.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import kernel  # type: ignore[import-not-found]
from cell import Cells, be_on, rehearse, steps  # type: ignore[import-not-found]

_LINE = 0


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        walls = json.load(file)
    _keep_all_to_itself()
    kernel.die_with_parent(signal.SIGKILL)
    for path in walls["only_for_warden"]:  # all that this program needs of it is loaded by now
        kernel.detach(path)
    if not walls["known_as"]:
        _forbid_nested_users_here()
    kernel.drop_bounding_set()
    be_on(walls["processors"]["own"])
    cells = Cells(steps(walls), socket.socket(fileno=_LINE), walls["processors"]["all"])
    rehearse()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    apart = kernel.unsharing(kernel.CLONE_NEWPID)  # for what is forked next, not for this process
    back = kernel.entering(own, kernel.CLONE_NEWPID)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # from inside nothing reaches a first process but what it handles
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    gc.disable()
    gc.freeze()
    while True:
        apart()
        hearing, saying = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            _guarded(cells, own, hearing, saying)
        back()
        os.close(saying)
        if not os.read(hearing, 1):
            return  # it could not be made, or packd is gone
        os.close(hearing)


def _guarded(cells: Cells, own: int, hearing: int, saying: int) -> None:
    """A forked process never goes back to where its parent goes on."""
    code = 1
    try:
        os.close(own)
        os.close(hearing)
        code = cells.serve(saying)
    except BaseException as trouble:
        sys.stderr.write(f"{trouble}\n")
        sys.stderr.flush()
    finally:
        os._exit(code)


def _forbid_nested_users_here() -> None:
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.forbid_nested_users()
    kernel.detach("/proc")


def _keep_all_to_itself() -> None:
    """What it was given goes to no program, but for what is handed on by name."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2:
            try:
                os.set_inheritable(descriptor, False)
            except OSError:  # that of the list
                continue


if __name__ == "__main__":
    main()
