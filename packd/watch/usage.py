"""How much of what the kernel gives this user for watching files is in use, by packd and by everybody else of the user."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROCESSES: Final = Path("/proc")
_INSTANCE: Final = "anon_inode:inotify"  # what the link of such a descriptor says


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What fs.inotify.max_user_watches and max_user_instances count."""

    watches: int
    instances: int


def in_use(*, but: int | None = None) -> Usage:
    """By the processes of this user, as far as /proc shows them, without the process `but`. Looks at every one of them."""
    watches = instances = 0
    for process in _of_this_user():
        if process.name == str(but):
            continue
        for instance in _instances(process):
            instances += 1
            watches += _watches(process / "fdinfo" / instance)
    return Usage(watches=watches, instances=instances)


def own_instances() -> int:
    """Of this process."""
    return len(list(_instances(_PROCESSES / "self")))


def _of_this_user() -> Iterator[Path]:
    for process in _PROCESSES.iterdir():
        try:
            if process.name.isdecimal() and process.stat().st_uid == os.geteuid():
                yield process
        except OSError:  # it has ended
            continue


def _instances(process: Path) -> Iterator[str]:
    """Its inotify descriptors."""
    try:
        names = os.listdir(process / "fd")
    except OSError:  # it has ended, or shows nothing
        return
    for name in names:
        try:
            if os.readlink(process / "fd" / name) == _INSTANCE:
                yield name
        except OSError:
            continue


def _watches(fdinfo: Path) -> int:
    try:
        return fdinfo.read_text().count("inotify wd:")
    except OSError:
        return 0
