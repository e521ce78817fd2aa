"""List what lies in the packs directory."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from packd.domain.refs import archive_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.ignore import Ignore

DropKind = Literal["folder", "archive", "link"]

MARKER_SUFFIXES: Final = (".failed", ".active")  # what packd itself writes beside the drops


@dataclass(frozen=True, kw_only=True)
class DropSeen:
    """One entry of the packs directory that is there now."""

    name: str  # as on disk; bytes that are not UTF-8 are kept as surrogate escapes
    kind: DropKind  # "link": a symbolic link where a folder or archive belongs; it is not followed


def is_drop_name(name: str, ignore: Ignore) -> bool:
    """May an entry of the packs directory with this name be a drop at all?"""
    return not name.startswith(".") and not name.endswith(MARKER_SUFFIXES) and not ignore.name(name)


def drops(root: Path, ignore: Ignore) -> list[DropSeen]:
    """Every drop in `root`, sorted by name.

    Raises OSError when `root`, or the kind of something in it, cannot be read: what is not known is not "gone".
    """
    with os.scandir(root) as entries:
        named = [entry for entry in entries if is_drop_name(entry.name, ignore)]
        seen = [DropSeen(name=entry.name, kind=kind) for entry in named if (kind := _kind(entry))]
    return sorted(seen, key=lambda drop: drop.name)


def root_identity(root: Path) -> tuple[int, int] | None:
    """(device, inode) of the folder at `root`, links followed; None when there is none."""
    try:
        found = root.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def subfolders(folder: str, ignore: Ignore, *, top: bool) -> list[str]:
    """The folders in `folder` whose content can matter, as paths; links are no folders. Empty when it can't be read.

    `top` says that `folder` is the packs directory itself, where the rule for drop names holds.
    """
    try:
        with os.scandir(folder) as entries:
            return [
                entry.path
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and (is_drop_name(entry.name, ignore) if top else not ignore.name(entry.name))
            ]
    except OSError:
        return []


def count_folders(root: Path, ignore: Ignore) -> int:
    """How many folders of `root` must be watched, itself included. Reads the whole tree."""
    counted, todo = 0, [str(root)]
    while todo:
        folder = todo.pop()
        todo.extend(subfolders(folder, ignore, top=counted == 0))
        counted += 1
    return counted


def _kind(entry: os.DirEntry[str]) -> DropKind | None:
    archive = archive_suffix(entry.name) is not None
    if entry.is_symlink():
        return "link" if archive or entry.is_dir() else None
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "archive" if archive and entry.is_file(follow_symlinks=False) else None
