"""`.packd-failed` in the packs directory: what `rollback.folder: restore` took out of the drops, for a while.

Whoever may write to the packs directory may lay something else in its place. It counts only as a folder that packd made,
and what is in it is reached from there, so that a link leads nowhere.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog

from packd.flow.carry_over import left_in
from packd.snapshot.discarding import discard
from packd.snapshot.own_ignore import TooSlowError
from packd.snapshot.tree import open_folder, opened_folder
from packd.watch.scan import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.domain.ignore import Ignore

log = structlog.get_logger(__name__)

KEPT_FOLDER: Final = ".packd-failed"  # in the packs directory, so that moving into it is one rename
FRESH: Final = ".packd-restore-"  # what the name of a copy beside it begins with, until the copy is whole
_READ_ONLY: Final = 0o555
_COPYING_S: Final = 3600.0  # an older copy is not under way any more


class NotOurs(OSError):
    """Something else lies in its place; the message says what, and the way out."""


class KeptFolder:
    """Opens it, and removes what is too old."""

    def __init__(self, packs_dir: Path, ignore: Ignore) -> None:
        self.path = packs_dir / KEPT_FOLDER
        self._ignore = ignore
        self.in_use = threading.Lock()  # held while something is on its way in, or is removed

    @contextmanager
    def opened(self, *, make: bool = False) -> Iterator[int]:
        """The folder itself, as a descriptor. Raises NotOurs, FileNotFoundError when there is none, OSError."""
        if make:
            with suppress(FileExistsError):
                self.path.mkdir()
                self.path.chmod(_as_readable(self.path.parent))
        try:
            folder = open_folder(self.path)
        except OSError as failure:
            if failure.errno in (errno.ENOTDIR, errno.ELOOP):
                raise self._not_ours("is a link, or no folder at all") from None
            raise
        try:
            owner = os.fstat(folder).st_uid
            if owner != os.geteuid():
                raise self._not_ours(f"belongs to user {owner}, and not to the one that packd runs as")
            yield folder
        finally:
            os.close(folder)

    def left(self, folder: int, name: str) -> str | None:
        """What in one of those in the open folder is in no snapshot, and would be lost with it. Raises OSError, TooSlowError."""
        with opened_folder(name, folder) as inside:
            return left_in(inside, self._ignore)

    def sweep(self, most_s: float) -> None:
        """Remove the folders in it that came more than `most_s` seconds ago, and copies beside it that never became whole.

        What can't be removed is told of.
        """
        try:
            with opened(self.path.parent, to_list=True) as packs_dir:
                for name in sorted(os.listdir(packs_dir)):
                    if name.startswith(FRESH):
                        self._remove_if_old(packs_dir, self.path.with_name(name), max(most_s, _COPYING_S))
            with self.opened() as folder:
                for name in sorted(os.listdir(folder)):
                    self._remove_if_old(folder, self.path / name, most_s)
        except FileNotFoundError:
            return
        except OSError as failure:
            log.warning("kept.not_swept", folder=str(self.path), why=str(failure))

    def _remove_if_old(self, folder: int, path: Path, most_s: float) -> None:
        """By its name in the open folder; the path is for people."""
        try:
            with self.in_use:
                found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and time.time() - found.st_ctime > most_s:
                    if (left := self.left(folder, path.name)) is not None:
                        raise OSError(
                            f"{left!r} in it is no part of the pack, and in no snapshot: move it where it belongs"
                        )
                    discard(path.name, folder)
        except (OSError, RecursionError, TooSlowError) as failure:
            log.warning("kept.not_removed", path=str(path), why=str(failure))

    def _not_ours(self, why: str) -> NotOurs:
        return NotOurs(f"{self.path} {why}: move it away, and packd makes a folder of its own there")


def _as_readable(folder: Path) -> int:
    """The mode with which whoever may read that folder may read one of ours: its owner wants back what was taken out."""
    return stat.S_IMODE(folder.stat().st_mode) & _READ_ONLY | stat.S_IRWXU
