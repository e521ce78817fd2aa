"""What tests see of processes, in whatever namespace these are."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = itertools.count(1)


def is_alive(pid: int) -> bool:
    """Is there such a process, and not only its remains?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def long_sleep() -> str:
    """A command that goes on for longer than any test, and that no other test runs at the same time."""
    return f"sleep 600.{os.getpid()}{next(_NUMBERS):03}"


def running(command: str) -> list[int]:
    """The processes with this command line."""
    return [pid for pid, line in command_lines() if line == command]


def command_lines() -> Iterator[tuple[int, str]]:
    """Of all processes; of what has ended nothing is left of it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield int(path.parent.name), path.read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
