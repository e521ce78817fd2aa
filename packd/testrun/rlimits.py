"""The limits of a suite as the kernel knows them (setrlimit(2)), lowered to what this process is itself held to."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.limits import MIB
from packd.testrun.processes import everyone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packd.testrun.limits import Limits
    from packd.testrun.mark import Mark

RESOURCES: Final = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rttime": resource.RLIMIT_RTTIME,
}
_CPU_GRACE_S: Final = 2  # first a signal that tells why, a little later the end
_RECOUNT_S: Final = 10.0


def resource_limits(limits: Limits, mark: Mark, *, processes: int | None) -> dict[str, tuple[int, int]]:
    """(soft, hard) by name; `processes` is the wall for the number of the user's processes, None for no wall."""
    wanted = {
        "core": 0,
        "data": limits.memory_mb * MIB or None,
        "fsize": limits.disk_mb * MIB or None,
        "nofile": limits.open_files or None,
        "nproc": processes,
        "rttime": mark.tag,
    }
    said = {name: (value, value) for name, value in _allowed(wanted).items()}
    if limits.cpu_s:
        most = _allowed({"cpu": limits.cpu_s + _CPU_GRACE_S})["cpu"]
        said["cpu"] = (min(limits.cpu_s, most), most)
    return said


def put_on(pid: int, limits: Mapping[str, tuple[int, int]]) -> None:
    """Hold a running process to them (prlimit(2)), and all that it starts from now on.

    Raises OSError; a process that is gone is none.
    """
    with contextlib.suppress(ProcessLookupError):
        for name, pair in limits.items():
            resource.prlimit(pid, RESOURCES[name], pair)


class UserTasks:
    """How many processes and threads this user has in the whole system; counted now and then."""

    def __init__(self) -> None:
        self._counted = (0, -_RECOUNT_S)

    def count(self) -> int:
        counted, at = self._counted
        if time.monotonic() - at >= _RECOUNT_S:
            counted, _ = self._counted = (_user_tasks(), time.monotonic())
        return counted


def _allowed(wanted: Mapping[str, int | None]) -> dict[str, int]:
    """Raising a hard limit would be refused, and the start with it."""
    allowed: dict[str, int] = {}
    for name, value in wanted.items():
        _, most = resource.getrlimit(RESOURCES[name])
        if value is not None:
            allowed[name] = value if most == resource.RLIM_INFINITY else min(value, most)
    return allowed


def _user_tasks() -> int:
    count = 0
    for pid in everyone():
        try:
            if Path(f"/proc/{pid}").stat().st_uid == os.geteuid():
                count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count
