"""What lies in a dropped folder and is no part of the pack: it is its owner's, and stays where it was."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from packd.snapshot.own_ignore import TooSlowError, read_own_ignore
from packd.snapshot.tree import opened_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packd.domain.ignore import Ignore

    IsNoPart = Callable[[str, str, bool], bool]  # of a name, its path inside, and whether it is a folder


def carry_over(before: Path, after: Path, ignore: Ignore) -> None:
    """From the folder that was taken out to the one in its place: `.git`, and all else that the pack leaves aside.

    One rename each; what has no folder to go to, or a name that is taken, stays. No link is followed in either. Raises
    OSError when one of the two is no folder.
    """
    with opened_folder(before) as source, opened_folder(after) as target, suppress(TooSlowError):
        _carry(source, target, _rule(source, ignore), "")


def _rule(folder: int, ignore: Ignore) -> IsNoPart:
    own, _ = read_own_ignore(folder)

    def is_no_part(name: str, inside: str, is_folder: bool) -> bool:
        return ignore.name(name) or (own is not None and own.path(inside, is_folder))

    return is_no_part


def _carry(source: int, target: int, is_no_part: IsNoPart, within: str) -> None:
    with os.scandir(source) as listing:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
    for name, is_folder in entries:
        inside = f"{within}{name}"
        if is_no_part(name, inside, is_folder):
            _move(name, source, target)
        elif is_folder:
            with suppress(OSError), opened_folder(name, source) as below, opened_folder(name, target) as place:
                _carry(below, place, is_no_part, f"{inside}/")


def _move(name: str, source: int, target: int) -> None:
    try:
        os.stat(name, dir_fd=target, follow_symlinks=False)
    except FileNotFoundError:
        with suppress(OSError):
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
