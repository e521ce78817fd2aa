"""List what lies in the packs directory."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from packd.domain.refs import archive_suffix
from packd.watch.birth import birth_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.domain.ignore import Ignore

Identity = tuple[int, int, int]  # of a folder: device, inode, birth

DropKind = Literal["folder", "archive", "link"]

MARKER_SUFFIXES: Final = (".failed", ".active")  # what packd itself writes beside the drops


@dataclass(frozen=True, kw_only=True)
class DropSeen:
    """One entry of the packs directory that is there now."""

    name: str  # as on disk; bytes that are not UTF-8 are kept as surrogate escapes
    kind: (
        DropKind  # "link": a symbolic link, unless it leads to a file that would be no drop itself; it is not followed
    )


def is_drop_name(name: str, ignore: Ignore) -> bool:
    """May an entry of the packs directory with this name be a drop at all?"""
    return not name.startswith(".") and not name.endswith(MARKER_SUFFIXES) and not ignore.name(name)


def drops(root: Path | int, ignore: Ignore) -> list[DropSeen]:
    """Every drop in `root`, a path or an open folder, sorted by name.

    Raises OSError when `root`, or the kind of something in it, cannot be read: what is not known is not "gone".
    """
    with os.scandir(root) as entries:
        named = [entry for entry in entries if is_drop_name(entry.name, ignore)]
        seen = [DropSeen(name=entry.name, kind=kind) for entry in named if (kind := _kind(entry))]
    return sorted(seen, key=lambda drop: drop.name)


def root_identity(root: Path) -> Identity | None:
    """Which folder lies at `root`, links followed; None when there is none, or that can't be said."""
    try:
        return identity_at(root)
    except OSError:
        return None


def identity_at(root: Path) -> Identity:
    """The same. Raises OSError."""
    with opened(root) as folder:
        return identity_of(folder)


def identity_of(folder: int) -> Identity:
    """Of an open folder. One that is made anew is often given the inode of the one before: its birth tells them apart."""
    found = os.fstat(folder)
    return found.st_dev, found.st_ino, birth_ns(folder)


@contextmanager
def opened(root: Path, *, to_list: bool = False) -> Iterator[int]:
    """The folder at `root`: what is asked of the descriptor is said of one and the same folder. Raises OSError.

    Unless it is opened `to_list` it, it need not be readable.
    """
    folder = os.open(root, os.O_DIRECTORY | os.O_CLOEXEC | (os.O_RDONLY if to_list else os.O_PATH))
    try:
        yield folder
    finally:
        os.close(folder)


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
        return "link" if archive or not _leads_to_file(entry) else None
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "archive" if archive and entry.is_file(follow_symlinks=False) else None


def _leads_to_file(entry: os.DirEntry[str]) -> bool:
    """Whoever links to nothing, in a circle or to where packd may not look may well have meant a pack."""
    try:
        return entry.is_file()
    except OSError:
        return False
