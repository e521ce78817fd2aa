"""The packs directory as the corridor sees it: what lies in it, and a look at one of its drops."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packd.domain.refs import archive_suffix
from packd.snapshot.glance import glance
from packd.snapshot.tree import look
from packd.watch.ignored import alikes, why_ignored
from packd.watch.scan import drops, identity_of, is_drop_name, opened, root_identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packd.domain.ignore import Ignore
    from packd.snapshot.tree import Limits, Tree
    from packd.watch.scan import DropKind, DropSeen, Identity


@dataclass(frozen=True, kw_only=True)
class PacksFolder:
    """A path with the rules for what counts in it."""

    path: Path
    ignore: Ignore  # names that are no part of any pack
    limits: Limits  # of one pack

    def identity(self) -> str | None:
        """Which folder lies at the path; None when there is none."""
        found = root_identity(self.path)
        return None if found is None else _written(found)

    def drops(self) -> list[DropSeen]:
        """Everything that lies in it. Raises OSError when that can't be said."""
        return drops(self.path, self.ignore)

    def content(self) -> tuple[str, list[DropSeen]]:
        """Which folder lies at the path, and everything that lies in that one. Raises OSError when that can't be said."""
        with opened(self.path, to_list=True) as folder:
            return identity_in_words(folder), drops(folder, self.ignore)

    def lacks(self, name: str, identity: str | None) -> bool:
        """Does the folder of this identity lie at the path, with nothing in it under this name, not even a link?

        False whenever that can't be said: it may be another folder, or one that may not be looked into.
        """
        try:
            with opened(self.path) as folder:
                return identity_in_words(folder) == identity and not _has(folder, name)
        except OSError:
            return False

    def has(self, name: str) -> bool:
        """Does anything lie there under this name, even a link to nothing?"""
        return os.path.lexists(self.path / name)

    def has_drop(self, name: str) -> bool:
        """Does a drop lie there under this name? Whatever somebody asks for may be no name at all."""
        try:
            return "/" not in name and is_drop_name(name, self.ignore) and self.kind_of(name) is not None
        except (OSError, ValueError):
            return False

    def kind_of(self, name: str) -> DropKind | None:
        """What lies there under this name; None when it is gone, or no drop."""
        try:
            mode = os.lstat(f"{self.path}/{name}").st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        is_archive = archive_suffix(name) is not None
        if stat.S_ISLNK(mode):
            leads_to_file = os.path.isfile(self.path / name)  # noqa: PTH113  which is False where that can't be said
            return None if leads_to_file and not is_archive else "link"
        if stat.S_ISDIR(mode):
            return "folder"
        return "archive" if is_archive and stat.S_ISREG(mode) else None

    def why_ignored(self, name: str) -> str | None:
        """What follows upon "'x' lies in the packs directory and", of what is no drop; None when nothing lies there."""
        try:
            is_entry = "/" not in name and name not in ("", ".", "..")
            return why_ignored(self.path, name, self.ignore) if is_entry and not self.has_drop(name) else None
        except (OSError, ValueError):
            return None

    def alikes(self) -> set[str]:
        """The names of plain files that look as if they had been meant as packs. Raises OSError."""
        return alikes(self.path, self.ignore)

    def glance(self, name: str, entering: Callable[[str], None] | None = None) -> str | None:
        """The fingerprint of a drop, if it is an ordinary one; None: look at it."""
        return glance(f"{self.path}/{name}", self.ignore, self.limits, entering)

    def look(self, name: str, entering: Callable[[str], None] | None = None) -> Tree:
        """A stat for every file of a drop; nothing is read. `entering` gets each folder's path before it is listed."""
        return look(self.path / name, self.ignore, self.limits, entering)


def identity_in_words(folder: int) -> str:
    """Which folder is open as this descriptor, as it is written down. Raises OSError."""
    return _written(identity_of(folder))


def _written(identity: Identity) -> str:
    return ":".join(map(str, identity))


def _has(folder: int, name: str) -> bool:
    """In an open folder. Raises OSError when that can't be said."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
