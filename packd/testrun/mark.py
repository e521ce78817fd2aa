"""How a process is known to belong to a run, whatever became of its parents."""

from __future__ import annotations

import hashlib
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORK_VARIABLE: Final = "PACKD_WORK"
WALLS: Final = "walls"  # carry a mark as if this were their run, whose id would be longer

# The mark is carried by a limit that means nothing to an ordinary process: the processor time that it may spend under
# real-time scheduling (microseconds). Children inherit it through fork, exec, setsid and a cleared environment.
_TAG_BASE: Final = 1 << 50
_TAG_LINE: Final = b"Max realtime timeout"

_EXEC_LOOKS: Final = 5
_EXEC_TAKES_S: Final = 0.001


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Carried by every process of one run: in its environment and, where limits can be set, in a limit."""

    folder: Path  # the run's own folder
    tag: int | None  # the limit's value; None where this process may not set it

    @classmethod
    def of(cls, folder: Path) -> Mark:
        """The mark of the run in `folder`: the same after a restart."""
        _, most = resource.getrlimit(resource.RLIMIT_RTTIME)
        number = int.from_bytes(hashlib.sha256(os.fsencode(folder)).digest()[:6], "big")
        return cls(folder=folder, tag=_TAG_BASE + number if most == resource.RLIM_INFINITY else None)

    def is_on(self, pid: int) -> bool:
        """Does the process carry it? False for one that is gone or belongs to somebody else."""
        return self._is_in_limits(pid) or self._is_in_environment(pid)

    def _is_in_limits(self, pid: int) -> bool:
        """Also true of a process that has ended and was not waited for."""
        if self.tag is None:
            return False
        number = str(self.tag).encode()
        lines = _read(pid, "limits").split(b"\n")
        return any(line.startswith(_TAG_LINE) and number in line.split() for line in lines)

    def _is_in_environment(self, pid: int) -> bool:
        ours = f"{WORK_VARIABLE}=".encode() + os.fsencode(self.folder)
        return ours in _environment(pid).split(b"\0")


def work_folder_of(pid: int) -> Path | None:
    """The folder of the run that a process names as its own in its environment."""
    key = f"{WORK_VARIABLE}=".encode()
    values = (entry[len(key) :] for entry in _environment(pid).split(b"\0") if entry.startswith(key))
    value = next(values, b"")
    return Path(os.fsdecode(value)) if value.startswith(b"/") else None


def _environment(pid: int) -> bytes:
    """In the middle of an exec a process seems to have none, so an empty one is looked at again."""
    for _ in range(_EXEC_LOOKS):
        data = _read(pid, "environ")
        if data or not _has_program(pid):
            return data
        time.sleep(_EXEC_TAKES_S)
    return b""


def _has_program(pid: int) -> bool:
    """False for threads of the kernel, processes that have ended, and those of others."""
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
