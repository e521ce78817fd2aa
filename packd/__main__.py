"""`python -m packd`, and what the `packd` script calls."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from packd.cli.app import cli


def main() -> None:
    """Leaves with the command's exit status."""
    try:
        cli(prog_name="packd")
    except SystemExit as ended:
        if isinstance(ended.code, int) and _somebody_is_left():
            _leave_at_once(ended.code)
        raise


def _somebody_is_left() -> bool:
    """Is a thread still at work that nobody waits for?"""
    import threading

    return any(thread.daemon for thread in threading.enumerate())


def _leave_at_once(status: int) -> None:
    """All that had to be done is done. Where the interpreter is taken down around a thread that is in compiled code, that
    thread can abort the whole process, which then has failed."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):  # closed, or nobody reads it
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
