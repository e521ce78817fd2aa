"""Remove a tree that is ours to remove, read-only folders included, without following a link out of it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from packd.snapshot.tree import open_folder

if TYPE_CHECKING:
    from pathlib import Path

_NO_FOLDER: Final = (errno.ENOTDIR, errno.ELOOP)


def discard(path: str | Path, within: int | None = None) -> None:
    """Remove what lies at `path`, from an open folder on where that is given; fine when nothing does.

    Raises OSError when something of it can't be removed.
    """
    try:
        folder = open_folder(path, within)
    except FileNotFoundError:
        return
    except OSError as failure:
        if failure.errno not in _NO_FOLDER:
            raise
        os.unlink(path, dir_fd=within)
        return
    try:
        _empty(folder)
    finally:
        os.close(folder)
    os.rmdir(path, dir_fd=within)


def discard_quietly(path: str | Path, within: int | None = None) -> None:
    """As `discard`; what can't be removed now is left for the next start."""
    with suppress(OSError):
        discard(path, within)


def _empty(folder: int) -> None:
    with suppress(PermissionError):  # somebody else's, which may be open to us all the same
        os.fchmod(folder, 0o700)
    with os.scandir(folder) as found:
        items = [(item.name, item.is_dir(follow_symlinks=False)) for item in found]
    for name, is_folder in items:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
            continue
        below = open_folder(name, folder)
        try:
            _empty(below)
        finally:
            os.close(below)
        os.rmdir(name, dir_fd=folder)
