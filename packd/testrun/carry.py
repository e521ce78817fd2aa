"""Copying between a folder here and one of a sandbox, whose content a suite had in its hands.

Every step goes from an open folder to a name in it and follows no link, so no way leads outside. What is neither file,
folder nor link (pipes, sockets) is left behind.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK: Final = 1 << 20
_DEPTH: Final = 250  # folders in folders; those of a pack are less deep
_ENTRIES: Final = 200_000
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(kw_only=True)
class Carrier:
    """Makes folders equal. A file of the same size and time is taken for the same."""

    owner: tuple[int, int] | None = None  # of what is made; None: whoever makes it
    writable: bool = False  # whoever owns it may write to it, also where the original is read-only
    fresh: bool = False  # nothing is in the target yet
    _entries: int = 0

    def carry(self, source: int, target: int) -> None:
        """Make the open folder `target` what `source` is. Raises OSError."""
        self._folder(source, target, depth=0)

    def make_folder(self, name: str, target: int) -> None:
        os.mkdir(name, 0o755, dir_fd=target)
        self._own(name, target)

    def make_file(self, name: str, target: int) -> None:
        """An empty one."""
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=target))
        self._own(name, target)

    def make_link(self, name: str, leads_to: str | os.PathLike[str], target: int) -> None:
        os.symlink(leads_to, name, dir_fd=target)
        self._own(name, target)

    def carry_part(self, source: int, target: int, part: PurePath) -> bool:
        """Only what is at `part`. False when a link is on the way or in it, which may lead to anywhere in `source`."""
        with contextlib.ExitStack() as stack:
            for name in part.parts[:-1]:
                try:
                    status = os.stat(name, dir_fd=source, follow_symlinks=False)
                except FileNotFoundError:
                    return True
                if not stat.S_ISDIR(status.st_mode):
                    return False
                _make_folder(name, target)
                source, target = _opened(stack, name, source), _opened(stack, name, target)
            with contextlib.suppress(FileNotFoundError):
                if _has_link(part.name, source):
                    return False
                self._entry(part.name, source, target, depth=0)
        return True

    def _folder(self, source: int, target: int, *, depth: int) -> None:
        if depth > _DEPTH:
            raise OSError(f"there are more than {_DEPTH} folders in each other")
        names = os.listdir(source)
        for name in () if self.fresh else set(os.listdir(target)).difference(names):
            _remove(name, target)
        for name in names:
            self._entry(name, source, target, depth=depth)

    def _entry(self, name: str, source: int, target: int, *, depth: int) -> None:
        self._entries += 1
        if self._entries > _ENTRIES:
            raise OSError(f"there are more than {_ENTRIES} files")
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            self._subfolder(name, source, target, status, depth=depth)
        elif kind == stat.S_IFLNK:
            if not self.fresh:
                _remove(name, target)
            self.make_link(name, os.readlink(name, dir_fd=source), target)
        elif kind == stat.S_IFREG and (self.fresh or not _is_same(name, target, status)):
            if not self.fresh:
                _remove(name, target)
            self._file(name, source, target, status)

    def _subfolder(self, name: str, source: int, target: int, status: os.stat_result, *, depth: int) -> None:
        if self.fresh:
            os.mkdir(name, 0o700, dir_fd=target)
        else:
            _make_folder(name, target)
        with contextlib.ExitStack() as stack:
            inner = _opened(stack, name, target)
            self._folder(_opened(stack, name, source), inner, depth=depth + 1)
            os.fchmod(inner, self._mode(status))
        self._own(name, target)

    def _file(self, name: str, source: int, target: int, status: os.stat_result) -> None:
        with contextlib.ExitStack() as stack:
            reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
            stack.callback(os.close, reading)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            writing = os.open(name, flags, 0o600, dir_fd=target)
            stack.callback(os.close, writing)
            while data := os.read(reading, _CHUNK):
                _write(writing, data)
                if len(data) < _CHUNK:
                    break
            os.fchmod(writing, self._mode(status))
            os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))
        self._own(name, target)

    def _mode(self, status: os.stat_result) -> int:
        return stat.S_IMODE(status.st_mode) & 0o777 | (0o200 if self.writable else 0)

    def _own(self, name: str, target: int) -> None:
        if self.owner is not None:
            os.chown(name, *self.owner, dir_fd=target, follow_symlinks=False)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], within: int | None = None) -> Iterator[int]:
    """A folder, open. Raises OSError."""
    descriptor = os.open(path, _FOLDER, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(stack: contextlib.ExitStack, name: str, folder: int) -> int:
    """A folder that its owner may have closed is opened up first."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=folder)
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
    stack.callback(os.close, descriptor)
    return descriptor


def _make_folder(name: str, target: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode):
            return
        _remove(name, target)
    os.mkdir(name, 0o700, dir_fd=target)


def _is_same(name: str, target: int, status: os.stat_result) -> bool:
    try:
        there = os.stat(name, dir_fd=target, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_mode, there.st_size, there.st_mtime_ns) == (status.st_mode, status.st_size, status.st_mtime_ns)


def _remove(name: str, folder: int) -> None:
    """Whatever it is, if it is there."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        with contextlib.ExitStack() as stack:
            inner = _opened(stack, name, folder)
            for inside in os.listdir(inner):
                _remove(inside, inner)
        os.rmdir(name, dir_fd=folder)


def _has_link(name: str, folder: int) -> bool:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return True
    if not stat.S_ISDIR(status.st_mode):
        return False
    with contextlib.ExitStack() as stack:
        inner = _opened(stack, name, folder)
        return any(_has_link(inside, inner) for inside in os.listdir(inner))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
