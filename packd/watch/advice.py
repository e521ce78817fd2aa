"""The sentences that say why the watcher can't see, and the way out. They name the kernel's own settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

INOTIFY_SETTINGS: Final = Path("/proc/sys/fs/inotify")  # inotify(7), "/proc interfaces"


def kernel_setting(name: str) -> int | None:
    """fs.inotify.<name>; None where the kernel does not show it."""
    try:
        return int((INOTIFY_SETTINGS / name).read_text("ascii"))
    except (OSError, ValueError):
        return None


def gone(root: Path) -> str:
    return f"{root} is not there or is no folder; put it back. Nothing is unregistered meanwhile"


def unmounted(root: Path) -> str:
    return (
        f"the file system of {root} is no longer mounted; mount it again, or restart packd to go on with the folder "
        "as it is. Nothing is unregistered meanwhile"
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


def refused(root: Path, code: int, *, every_s: float) -> str:
    """For what has no cure that is known: the kernel's own words."""
    return f"folders in {root} can't be watched: {os.strerror(code)} (error {code}). {_meanwhile(every_s)}"


def _or(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _meanwhile(every_s: float) -> str:
    return f"Until then packd looks at everything every {every_s:g} s"
