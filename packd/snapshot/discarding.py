"""Remove a tree that is ours, read-only folders included, without following a link out of it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from packd.snapshot.tree import open_folder

if TYPE_CHECKING:
    from pathlib import Path

_NO_FOLDER: Final = (errno.ENOTDIR, errno.ELOOP)


def discard(path: Path) -> None:
    """Remove what lies at `path`; fine when nothing does. Raises OSError when something of it can't be removed."""
    try:
        folder = open_folder(path)
    except FileNotFoundError:
        return
    except OSError as failure:
        if failure.errno not in _NO_FOLDER:
            raise
        path.unlink()
        return
    try:
        _empty(folder)
    finally:
        os.close(folder)
    path.rmdir()


def discard_quietly(path: Path) -> None:
    """As `discard`; what can't be removed now is left for the next start."""
    with suppress(OSError):
        discard(path)


def _empty(folder: int) -> None:
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
