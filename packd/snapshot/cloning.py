"""A private, writable copy of a stored tree: as fast as the file system allows, since every test run wants one."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from packd.snapshot.copying import CHUNK, READ, WRITE, write_all
from packd.snapshot.tree import open_folder

_SMALL: Final = 128 * 1024  # bytes; below, reading and writing cost less than asking for a copy inside the kernel
_NO_RANGES: Final = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY)


def clone_tree(source: int, destination: int, *, writable: bool) -> int:
    """Copy an open, stored folder into an open, empty one; returns the number of regular files.

    Writable: modes as the process's umask gives them, at least readable and writable for the owner. Otherwise
    read-only like the original, except `destination` itself. Raises OSError.
    """
    files = 0
    with os.scandir(source) as found:
        items = [(item.name, item.stat(follow_symlinks=False)) for item in found]
    for name, seen in items:
        if stat.S_ISDIR(seen.st_mode):
            files += _folder(name, source, destination, writable=writable)
        elif stat.S_ISLNK(seen.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=destination)
        else:
            _file(name, seen, source, destination, writable=writable)
            files += 1
    return files


def _folder(name: str, source: int, destination: int, *, writable: bool) -> int:
    os.mkdir(name, 0o777 if writable else 0o700, dir_fd=destination)
    original = open_folder(name, source)
    try:
        copy = open_folder(name, destination)
        try:
            files = clone_tree(original, copy, writable=writable)
            if not writable:
                os.fchmod(copy, 0o555)
        finally:
            os.close(copy)
    finally:
        os.close(original)
    return files


def _file(name: str, seen: os.stat_result, source: int, destination: int, *, writable: bool) -> None:
    mode = stat.S_IMODE(seen.st_mode) | (0o222 if writable else 0)
    original = os.open(name, READ, dir_fd=source)
    try:
        copy = os.open(name, WRITE, mode, dir_fd=destination)  # the umask takes from this what it should
        try:
            _content(original, copy, seen.st_size)
            os.utime(copy, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
        finally:
            os.close(copy)
    finally:
        os.close(original)


def _content(original: int, copy: int, size: int) -> None:
    if size > _SMALL and _copied_inside_the_kernel(original, copy, size):
        return
    while data := os.read(original, CHUNK):
        write_all(copy, data)


def _copied_inside_the_kernel(original: int, copy: int, size: int) -> bool:
    """Shares the blocks where the file system can. False, with nothing copied, where it can't be done at all."""
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(original, copy, size - done)
        except OSError as failure:
            if done or failure.errno not in _NO_RANGES:
                raise
            return False
        if count == 0:
            return done > 0
        done += count
    return True
