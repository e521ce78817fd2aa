"""The sentences that say why the watcher can't see, and the way out. They name the kernel's own settings."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

INOTIFY_SETTINGS: Final = Path("/proc/sys/fs/inotify")  # inotify(7), "/proc interfaces"


_NOTHING_IS_LOST: Final = "Nothing is unregistered meanwhile"


def kernel_setting(name: str) -> int | None:
    """fs.inotify.<name>; None where the kernel does not show it."""
    try:
        return int((INOTIFY_SETTINGS / name).read_text("ascii"))
    except (OSError, ValueError):
        return None


def gone(root: Path) -> str:
    return f"{root} is not there or is no folder; put it back. {_NOTHING_IS_LOST}"


def not_listed(root: Path, failure: OSError) -> str:
    if failure.errno in (errno.ENOENT, errno.ENOTDIR):
        return gone(root)
    return f"{root} can't be read ({failure.strerror}); put that right. {_NOTHING_IS_LOST}"


def unmounted(root: Path) -> str:
    return f"the file system of {root} is no longer mounted; mount it again. {_NOTHING_IS_LOST}"


def strange(root: Path) -> str:
    """Another folder, without any of the packs."""
    return (
        f"an empty folder has taken the place of the packs directory {root} (is it not mounted?); mount it or put it "
        f"back, or, if this one is meant, drop a pack into it and those that are missing count as removed. "
        f"{_NOTHING_IS_LOST}"
    )


def replaced(root: Path) -> str:
    return f"{root} was replaced by another folder; looking at everything in it again"


def overflowed() -> str:
    length = kernel_setting("max_queued_events")
    return (
        f"more changes came at once than the kernel holds for packd (fs.inotify.max_queued_events is {_or(length)}); "
        "looking at everything again"
    )


def too_few_watches(root: Path, *, folders: int, watches: int, every_s: float) -> str:
    """`folders` is how many must be watched, `watches` how many are."""
    missing = max(folders - watches, 1)
    limit = kernel_setting("max_user_watches")
    needed = "more" if limit is None else f"at least {limit + missing}"
    return (
        f"{missing} of the {folders} folders in {root} can't be watched: fs.inotify.max_user_watches is {_or(limit)} "
        f"for all programs of this user, and {needed} are needed; raise it with "
        f"`sysctl fs.inotify.max_user_watches=N`. {_meanwhile(every_s)}"
    )


def too_few_instances(root: Path, *, every_s: float) -> str:
    limit = kernel_setting("max_user_instances")
    return (
        f"{root} can't be watched: too many programs of this user watch files already (fs.inotify.max_user_instances "
        f"is {_or(limit)}) or packd has too many open files (`ulimit -n`); raise what is short. {_meanwhile(every_s)}"
    )


def not_permitted(folders: list[str], *, every_s: float) -> str:
    more = f" and {len(folders) - 1} more folders" if len(folders) > 1 else ""
    return (
        f"{folders[0]}{more} can't be watched: packd may not read them; allow it with `chmod` or `setfacl`. "
        f"{_meanwhile(every_s)}"
    )


def root_not_permitted(root: Path) -> str:
    return f"packd may not read {root}; allow it with `chmod` or `setfacl`. {_NOTHING_IS_LOST}"


def refused(root: Path, code: int, *, every_s: float) -> str:
    """For what has no cure that is known: the kernel's own words."""
    return f"folders in {root} can't be watched: {os.strerror(code)} (error {code}). {_meanwhile(every_s)}"


def _or(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _meanwhile(every_s: float) -> str:
    return f"Until then packd looks at everything every {every_s:g} s"
