"""`packd run`, many times over: imports it once, then forks a daemon for every line on stdin.

`python nursery.py LOG packd-arguments…`: a line `start` forks a daemon and answers with its pid, `wait` reaps it and answers
with how it ended. Each is a whole daemon in a process of its own, as killable as any; only the second that Python takes
to import it is saved. Nothing of packd runs in this process, and no thread.
"""

from __future__ import annotations

import os
import sys

import packd.daemon
from packd.__main__ import main


def daemon(log: str, arguments: list[str]) -> None:
    """In the child: as if it had been started from a shell."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.setsid()
    sys.argv = ["packd", *arguments]
    try:
        main()
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    os._exit(0)


def tend(log: str, arguments: list[str]) -> None:
    pid = 0
    for line in sys.stdin:
        if line == "start\n":
            pid = os.fork()
            if pid == 0:
                daemon(log, arguments)
            print(pid, flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    assert packd.daemon  # imported for the children
    tend(sys.argv[1], sys.argv[2:])
