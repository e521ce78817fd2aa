"""The ways in which a disk says no to writing, told with the folder's name and the way out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from packd.snapshot.limits import size

if TYPE_CHECKING:
    from pathlib import Path

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE: Final = (errno.EROFS, errno.EACCES, errno.EPERM)
_BROKEN: Final = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO, errno.ETIMEDOUT, errno.ESTALE, errno.EUCLEAN)


class StoreFull(Exception):
    """No space, or no quota, left for what was to be written; nothing of it remains."""


class StoreUnwritable(Exception):
    """The folder of the store, or where a snapshot is to be copied to, is read-only or somebody else's, or on a disk that
    fails."""


def disk_fails(folder: Path, failure: OSError) -> str:
    """The sentence, with the way out."""
    return f"the disk with {folder} fails ({failure.strerror}): see what the log of the system says of it"


@contextmanager
def naming_trouble(folder: Path) -> Iterator[None]:
    """For writing into `folder`. Raises StoreFull, StoreUnwritable, and any other OSError as it is."""
    try:
        yield
    except OSError as failure:
        if failure.errno in _FULL:
            raise StoreFull(_full(folder, failure)) from failure
        if failure.errno in _UNWRITABLE:
            why = os.strerror(failure.errno)
            said = f"{folder} can't be written ({why}): let the user that packd runs as write it"
            raise StoreUnwritable(said) from failure
        if failure.errno in _BROKEN:
            raise StoreUnwritable(disk_fails(folder, failure)) from failure
        raise


def _full(folder: Path, failure: OSError) -> str:
    if failure.errno == errno.EDQUOT:
        return f"the disk quota is used up where {folder} is: raise it, or remove what is not needed"
    space = os.statvfs(folder)
    if space.f_files and not space.f_favail:
        return f"the disk with {folder} has no inodes left: remove files that are not needed"
    return f"the disk with {folder} is full ({size(space.f_bavail * space.f_frsize)} free): make room on it"
