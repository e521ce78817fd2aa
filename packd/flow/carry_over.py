"""What lies in a dropped folder and is no part of the pack: it is its owner's, and stays where it was."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from packd.domain.ignore import Ignore
from packd.snapshot.own_ignore import TooSlowError, read_own_ignore
from packd.snapshot.tree import opened_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.snapshot.own_ignore import OwnIgnore

    IsNoPart = Callable[[str, str, bool], bool]  # of a name, its path inside, and whether it is a folder

_FROM_TOOLS: Final = Ignore()
_HISTORY: Final = frozenset({".git", ".hg"})  # which are in it, too


def carry_over(before: Path, after: Path, ignore: Ignore) -> None:
    """From the folder that was taken out to the one in its place: `.git`, and all else that the pack leaves aside.

    One rename each; what has no folder to go to, a name that is taken, or would be part of the pack there, stays. No link
    is followed in either. Raises OSError when one of the two is no folder.
    """
    with opened_folder(before) as source, opened_folder(after) as target, suppress(TooSlowError):
        _carry(source, target, _rule(source, target, ignore), "")


def left_in(folder: int, ignore: Ignore) -> str | None:
    """Something in an open folder that is in no snapshot of it: a clone's history, or what the pack itself leaves aside.

    Its path inside; None: there is nothing. What tools make anew, or left behind, does not count. Raises OSError,
    TooSlowError.
    """
    own, _ = read_own_ignore(folder)
    return next(_left(folder, own, ignore, ""), None)


def _left(folder: int, own: OwnIgnore | None, ignore: Ignore, within: str) -> Iterator[str]:
    for name, is_folder in _listed(folder):
        inside = f"{within}{name}"
        if name not in _HISTORY and _FROM_TOOLS.name(name):
            continue
        if ignore.name(name) or (own is not None and own.path(inside, is_folder)):
            yield inside
        elif is_folder:
            with opened_folder(name, folder) as below:
                yield from _left(below, own, ignore, f"{inside}/")


def _rule(source: int, target: int, ignore: Ignore) -> IsNoPart:
    own = [read_own_ignore(folder)[0] for folder in (source, target)]

    def is_no_part(name: str, inside: str, is_folder: bool) -> bool:
        return ignore.name(name) or all(one is not None and one.path(inside, is_folder) for one in own)

    return is_no_part


def _carry(source: int, target: int, is_no_part: IsNoPart, within: str) -> None:
    for name, is_folder in _listed(source):
        inside = f"{within}{name}"
        if is_no_part(name, inside, is_folder):
            _move(name, source, target)
        elif is_folder:
            with suppress(OSError), opened_folder(name, source) as below, opened_folder(name, target) as place:
                _carry(below, place, is_no_part, f"{inside}/")


def _listed(folder: int) -> list[tuple[str, bool]]:
    """(name, is it a folder) of all that is in an open folder."""
    with os.scandir(folder) as listing:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]


def _move(name: str, source: int, target: int) -> None:
    try:
        os.stat(name, dir_fd=target, follow_symlinks=False)
    except FileNotFoundError:
        with suppress(OSError):
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
