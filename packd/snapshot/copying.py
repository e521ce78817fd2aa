"""Copy a walked tree while hashing it, and notice when it is not what was walked any more."""

from __future__ import annotations

import os
from collections import defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from packd.snapshot import digest
from packd.snapshot.limits import MOST_PROBLEMS, finding
from packd.snapshot.tree import open_folder, trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.domain.problems import Problem
    from packd.snapshot.digest import Content
    from packd.snapshot.entries import Entry, Tree

# O_NONBLOCK: a FIFO put in the place of a file must not make us wait for its writer.
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK: Final = 64 * 1024

READ_ONLY: Final = 0o444
READ_ONLY_EXECUTABLE: Final = 0o555
_PRIVATE_FOLDER: Final = 0o700
_PRIVATE_FILE: Final = 0o600


class ChangedError(Exception):
    """Something is not what was walked: whatever was copied must be thrown away."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class UnreadableError(Exception):
    """There are files that can't be read: all of them, unless there are very many."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(f"{len(problems)} unreadable")
        self.problems = tuple(problems)


def copy_tree(
    tree: Tree,
    source: int,
    destination: int,
    *,
    wrote: Callable[[int], None] = os.close,
    filled: Callable[[int], None] = os.close,
) -> list[Content]:
    """Copy what was walked from one open folder into another, an empty one; returns what the digest is made of.

    The copy is read-only, except for `destination` itself, and its files keep their mtime: tools that compare size and
    time must see that two revisions differ. `wrote` and `filled` take over each open file and folder of the copy when
    nothing more will be written to it. Raises ChangedError, UnreadableError, and OSError for the destination.
    """
    return _Copier(tree, wrote, filled).run(source, destination)


def read_tree(tree: Tree, source: int) -> list[Content]:
    """As `copy_tree`, without a copy."""
    return _Copier(tree, os.close, os.close).run(source, None)


def write_all(opened: int, data: bytes) -> None:
    """write(2) may take less than it was given."""
    written = os.write(opened, data)
    while written < len(data):
        written += os.write(opened, data[written:])


class _Copier:
    """The state of one copy: folder by folder, each name within its open folder, so that no way leads outside."""

    def __init__(self, tree: Tree, wrote: Callable[[int], None], filled: Callable[[int], None]) -> None:
        self._wrote = wrote
        self._filled = filled
        self._children: defaultdict[str, list[tuple[str, Entry]]] = defaultdict(list)
        for entry in tree.entries:
            parent, _, name = entry.path.rpartition("/")
            self._children[parent].append((name, entry))
        self._contents: list[Content] = []
        self._problems: list[Problem] = []

    def run(self, source: int, destination: int | None) -> list[Content]:
        self._folder("", source, destination)
        if self._problems:
            raise UnreadableError(self._problems)
        return self._contents

    def _folder(self, path: str, source: int, destination: int | None) -> None:
        for name, entry in self._children[path]:
            if entry.kind == "folder":
                self._contents.append(digest.folder(entry.path))
                self._below(name, entry, source, destination)
            elif entry.link_target is not None:
                self._contents.append(digest.link(entry.path, entry.link_target))
                if destination is not None:
                    os.symlink(entry.link_target, name, dir_fd=destination)
            else:
                self._file(name, entry, source, destination)

    def _below(self, name: str, entry: Entry, source: int, destination: int | None) -> None:
        opened = self._open(name, entry, source)
        if opened is None:
            return
        copy = None
        try:
            if destination is not None:
                os.mkdir(name, _PRIVATE_FOLDER, dir_fd=destination)
                copy = open_folder(name, destination)
            self._folder(entry.path, opened, copy)
            if copy is not None:
                os.fchmod(copy, READ_ONLY_EXECUTABLE)
        finally:
            os.close(opened)
            if copy is not None:
                self._filled(copy)

    def _file(self, name: str, entry: Entry, source: int, destination: int | None) -> None:
        opened = self._open(name, entry, source)
        if opened is None:
            return
        copy = None
        try:
            if destination is not None:
                copy = os.open(name, WRITE, _PRIVATE_FILE, dir_fd=destination)
            self._content(entry, opened, copy)
            if copy is not None:
                os.utime(copy, ns=(entry.mtime_ns, entry.mtime_ns))
                os.fchmod(copy, READ_ONLY_EXECUTABLE if entry.executable else READ_ONLY)
        finally:
            os.close(opened)
            if copy is not None:
                self._wrote(copy)

    def _content(self, entry: Entry, opened: int, copy: int | None) -> None:
        hashed, size = sha256(), 0
        while data := self._read(entry, opened):
            size += len(data)
            if size > entry.size:
                break
            hashed.update(data)
            if copy is not None:
                write_all(copy, data)
            if size == entry.size and len(data) < CHUNK:  # there was room for more, and no more came
                break
        if size != entry.size:
            raise ChangedError(changed(entry.path))
        self._contents.append(
            digest.file(entry.path, executable=entry.executable, size=size, sha256_hex=hashed.hexdigest())
        )

    def _open(self, name: str, entry: Entry, source: int) -> int | None:
        """What was walked, open; None when it may not be read."""
        try:
            opened = open_folder(name, source) if entry.kind == "folder" else os.open(name, READ, dir_fd=source)
        except OSError as failure:
            self._failed(entry, failure)
            return None
        if is_still(entry, os.fstat(opened)):
            return opened
        os.close(opened)
        raise ChangedError(changed(entry.path))

    def _read(self, entry: Entry, opened: int) -> bytes:
        try:
            return os.read(opened, CHUNK)
        except OSError as failure:
            self._failed(entry, failure)
            raise UnreadableError(self._problems) from None

    def _failed(self, entry: Entry, failure: OSError) -> None:
        problem = trouble(entry.path, failure)
        if problem.code == "tree.vanished":
            raise ChangedError(problem)
        self._problems.append(problem)
        if len(self._problems) >= MOST_PROBLEMS:
            raise UnreadableError(self._problems)


def is_still(entry: Entry, seen: os.stat_result) -> bool:
    """Is that what was walked, and unchanged? (A folder's times change with what is ignored in it.)"""
    if seen.st_ino != entry.inode or seen.st_mode & 0o7777 != entry.mode:
        return False
    times = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return entry.kind == "folder" or times == (entry.size, entry.mtime_ns, entry.ctime_ns)


def changed(path: str) -> Problem:
    return finding("tree.changed", "it was changed while it was being read", path)
