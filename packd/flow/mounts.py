"""What is mounted in a folder: it moves along with it, and who removes the folder empties what is mounted."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")  # proc_pid_mountinfo(5)
_AT: Final = 4  # the field with the place
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")  # a space, a tab, a newline, a backslash


def mounted_in(folder: Path) -> Path | None:
    """Where something is mounted at `folder` or below; None when nothing is, or the kernel does not say."""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return None
    places = (Path(os.fsdecode(_ESCAPED.sub(_character, line.split(b" ")[_AT]))) for line in lines)
    whole = Path(os.path.realpath(folder))
    return next((place for place in places if place.is_relative_to(whole)), None)


def _character(escaped: re.Match[bytes]) -> bytes:
    return bytes([int(escaped[1], 8)])
