"""What lies in the packs directory and is no drop: by which rule, and the way out if it was meant as a pack."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from packd.domain.printing import typed
from packd.domain.refs import ARCHIVE_SUFFIXES
from packd.watch.scan import MARKER_SUFFIXES, is_drop_name

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.ignore import Ignore

_MANIFEST: Final = "pack.yaml"
_OTHER_ARCHIVES: Final = (
    ".tar.bz2", ".tbz2", ".tbz", ".tb2", ".tar.lz", ".tlz", ".tar.lzma", ".tar.lz4", ".tar.br", ".tar.z", ".taz",
    ".txz", ".tzst", ".rar", ".7z",
)  # fmt: skip
_UNPACKED: Final = ", ".join(ARCHIVE_SUFFIXES)
_SPECIAL: Final = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_alike(name: str) -> bool:
    """Does a plain file of this name look as if somebody had meant it as a pack, although it is no drop?"""
    return name == _MANIFEST or name.lower().endswith(_OTHER_ARCHIVES)


def alikes(root: Path, ignore: Ignore) -> set[str]:
    """The names of all that look so. Raises OSError."""
    with os.scandir(root) as entries:
        return {
            entry.name
            for entry in entries
            if is_alike(entry.name) and is_drop_name(entry.name, ignore) and entry.is_file(follow_symlinks=False)
        }


def why_ignored(root: Path, name: str, ignore: Ignore) -> str | None:
    """What follows upon "'x' lies in the packs directory and", of what is no drop; None when nothing lies there.

    Raises OSError when that can't be said, ValueError for what is no name.
    """
    try:
        mode = os.lstat(f"{root}/{name}").st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _by_name(name, mode, ignore) or _by_kind(name, mode)


def _by_name(name: str, mode: int, ignore: Ignore) -> str | None:
    rule = ignore.rule(name)
    if rule is not None and rule in ignore.extra:
        return f"is left alone, because the setting `watch.ignore` names '{rule}'{_OTHER_NAME}"
    if name.startswith("."):
        return f"is left alone, because a name that begins with a dot is a hidden one{_OTHER_NAME}"
    if rule is not None:
        kind = "editors, copying programs and version control use"
        return f"is left alone, because names like '{rule}' are those that {kind} for their own{_OTHER_NAME}"
    marker = next((suffix for suffix in MARKER_SUFFIXES if name.endswith(suffix)), None)
    if marker is None:
        return None
    if stat.S_ISREG(mode):
        return f"is a marker, as packd writes them beside the drops: see `packd why {typed(name.removesuffix(marker))}`"
    return f"is left alone, because names that end in '{marker}' are those of packd's own markers{_OTHER_NAME}"


def _by_kind(name: str, mode: int) -> str:
    if stat.S_ISLNK(mode):  # to anything else it would be a drop, and refused
        return f"is a link to a file: {_A_PACK}"
    if not stat.S_ISREG(mode):
        what = next((words for is_such, words in _SPECIAL if is_such(mode)), "no file")
        return f"is {what}: {_A_PACK}"
    if name == _MANIFEST:
        return "is left alone, because each pack is a folder of its own: make one here, and move all that belongs to it into that"
    if is_alike(name):
        return f"is an archive of a sort that packd does not unpack: make it one of {_UNPACKED}, or drop the folder"
    return f"is a file, and no archive that packd unpacks: {_A_PACK}"


_OTHER_NAME: Final = ": give it another name if it is a pack"
_A_PACK: Final = f"a pack is a folder with a {_MANIFEST} in it, or an archive of one ({_UNPACKED})"
