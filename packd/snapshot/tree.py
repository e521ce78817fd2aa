"""Walk a drop without ever leaving it. Nothing is read but names, links and what `stat` says."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from packd.domain.failures import SHORT_OF
from packd.domain.ignore import PACKDIGNORE
from packd.domain.problems import Problem
from packd.snapshot.entries import Entry, Kind, Tree
from packd.snapshot.limits import (
    MOST_PROBLEMS,
    Limits,
    finding,
    is_utf8,
    path_bytes,
    special,
    too_deep,
    too_large,
    too_long,
    too_many,
)
from packd.snapshot.links import link_problems
from packd.snapshot.own_ignore import OwnIgnore, TooSlowError, read_own_ignore, too_slow
from packd.snapshot.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.domain.ignore import Ignore

__all__ = ["Entry", "Limits", "Tree", "is_shortage", "look", "open_folder", "trouble", "walk"]

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS: Final[dict[int, Kind]] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
_MOVED: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)  # something else is there by now
WORST_UTF8: Final = 4  # bytes of one character
_KIND_BITS: Final = 0o170000
_PERMISSION_BITS: Final = 0o7777


def look(path: Path, ignore: Ignore, limits: Limits, entering: Callable[[str], None] | None = None) -> Tree:
    """See what a drop is: a folder with all that is in it, or a single file, which an archive is.

    `entering` is called with the path of each folder, from the drop's own name on, before its content is listed. What
    is wrong with the drop is in the tree. Raises OSError only when the system itself is out of something.
    """
    began = time.time_ns()
    try:
        folder = open_folder(path)
    except OSError:
        return _look_at_one(path, limits, began)
    try:
        walker = _Walker(ignore, limits)
        if entering is not None:
            walker.tell(entering, path.name)
        return _walked(walker, folder)
    finally:
        os.close(folder)


def walk(folder: int, ignore: Ignore | None, limits: Limits) -> Tree:
    """All that is in an open folder; `ignore` None leaves nothing aside, not even what `.packdignore` names."""
    return _walked(_Walker(ignore, limits), folder)


def _walked(walker: _Walker, folder: int) -> Tree:
    began = time.time_ns()
    try:
        walker.start(folder)
        walker.problems.extend(link_problems(walker.targets()))
    except _EnoughError:
        pass
    except TooSlowError:
        walker.problems.append(too_slow())
    except OSError as failure:
        walker.failed("", failure)
    return walker.tree(began, newest_ns=os.stat(folder).st_mtime_ns)


def open_folder(path: str | Path, within: int | None = None) -> int:
    """A file descriptor of a folder; a link in its place is not followed. Raises OSError."""
    return os.open(path, _FOLDER_FLAGS, dir_fd=within)


@contextmanager
def opened_folder(path: str | Path, within: int | None = None) -> Iterator[int]:
    """The same for a block."""
    folder = open_folder(path, within)
    try:
        yield folder
    finally:
        os.close(folder)


def trouble(path: str, failure: OSError) -> Problem:
    """What the system's refusal to show `path` means: "tree.vanished" may pass by itself, "tree.unreadable" not.

    Raises the failure when it is not about the path at all.
    """
    if is_shortage(failure):
        raise failure
    if failure.errno in _MOVED:
        return finding("tree.vanished", "it was replaced or removed while it was being read", path)
    why = os.strerror(failure.errno) if failure.errno else str(failure)
    return finding("tree.unreadable", f"it can't be read ({why}): let the user that packd runs as read it", path)


def is_shortage(failure: OSError) -> bool:
    """Is the daemon itself out of something? Then nothing was found out about what it looked at."""
    return failure.errno in SHORT_OF


class _EnoughError(Exception):
    """Nothing that follows could change the answer: a limit is exceeded, or there are too many problems."""


class _Walker:
    """The state of one walk."""

    def __init__(self, ignore: Ignore | None, limits: Limits) -> None:
        self._ignored_name = ignore.name if ignore is not None else None
        self._own: OwnIgnore | None = None
        self._limits = limits
        self._surely_short = limits.path_length // WORST_UTF8
        self._files = 0
        self._bytes = 0
        self._entries: list[Entry] = []
        self._unsettled: Problem | None = None
        self._entering: Callable[[str], None] | None = None
        self._top = ""  # the path of the top folder, as it is told
        self._whole = True
        self._links = False
        self._transfers = Transfers()
        self.problems: list[Problem] = []

    def tell(self, entering: Callable[[str], None], top: str) -> None:
        """Call `entering` with each folder's path, which begins with `top`."""
        self._entering, self._top = entering, top

    def start(self, folder: int) -> None:
        if self._ignored_name is not None:
            try:
                self._own, found = read_own_ignore(folder)
            except OSError as failure:
                self.failed(PACKDIGNORE, failure)
                return
            self.problems.extend(found)
        self._folder(folder, "", 0)

    def targets(self) -> dict[str, str | None]:
        """Path → link target, of the whole tree; empty without links, so that most packs pay nothing."""
        if not self._links:
            return {}
        return {entry.path: entry.link_target for entry in self._entries}

    def tree(self, began_ns: int, *, newest_ns: int) -> Tree:
        self._entries.sort()  # by path: code points sort as their UTF-8 bytes do
        times = [entry.mtime_ns if entry.kind == "folder" else entry.ctime_ns for entry in self._entries]
        return Tree(
            entries=tuple(self._entries),
            problems=tuple(sorted(self.problems, key=_place)),
            unsettled=self._unsettled,
            whole=self._whole and not self.problems and self._unsettled is None,
            limits=self._limits,
            began_ns=began_ns,
            ended_ns=(ended_ns := time.time_ns()),
            newest_ns=max(newest_ns, *times) if times else newest_ns,
            transferring=self._transfers.under_way(ended_ns),
            files=self._files,
            bytes=self._bytes,
        )

    def failed(self, path: str, failure: OSError) -> None:
        problem = trouble(path, failure)
        if problem.code == "tree.vanished":
            self._unsettled = self._unsettled or problem
        else:
            self._say(problem)

    def _folder(self, folder: int, prefix: str, depth: int) -> None:
        """Everything in an open folder, then what is below it; `prefix` ends with "/" unless it is empty."""
        if self._entering is not None:
            self._entering(f"{self._top}/{prefix[:-1]}" if prefix else self._top)
        below: list[str] = []
        ignored_name, own = self._ignored_name, self._own
        with os.scandir(folder) as found:
            for item in found:
                name = item.name
                path = prefix + name
                if ignored_name is not None and ignored_name(name):
                    self._transfers.passed(item, path)
                    continue
                if own is not None and own.path(path, item.is_dir(follow_symlinks=False)):
                    self._whole = False
                    continue
                try:
                    self._add(folder, path, name, item.stat(follow_symlinks=False), below)
                except OSError as failure:
                    self.failed(path, failure)
        if self._bytes > self._limits.bytes:
            self._enough(too_large(self._limits))
        if below and depth >= self._limits.depth:
            self._enough(too_deep(self._limits, prefix + below[0]))
        for name in below:
            self._below(folder, prefix + name, name, depth + 1)

    def _below(self, parent: int, path: str, name: str, depth: int) -> None:
        try:
            folder = open_folder(name, parent)
            try:
                self._folder(folder, f"{path}/", depth)
            finally:
                os.close(folder)
        except OSError as failure:
            self.failed(path, failure)

    def _add(self, folder: int, path: str, name: str, seen: os.stat_result, below: list[str]) -> None:
        # The hot spot of a full scan: one call for each entry is what it can afford.
        mode = seen.st_mode
        kind = _KINDS.get(mode & _KIND_BITS)
        if kind is None:
            self._say(special(path, mode))
            return
        if (len(path) > self._surely_short or not path.isascii()) and not self._nameable(path, path, "this path"):
            return
        target = None
        if kind == "file":
            self._files += 1
            self._bytes += seen.st_size
        elif kind == "folder":
            below.append(name)
        else:
            self._links = True
            target = os.readlink(name, dir_fd=folder)
            if not self._nameable(path, target, "what this link leads to"):
                return
        bits, times = mode & _PERMISSION_BITS, (seen.st_mtime_ns, seen.st_ctime_ns)
        self._entries.append(Entry(path, kind, bits, seen.st_size, *times, seen.st_ino, target))
        if len(self._entries) > self._limits.files:
            self._enough(too_many(self._limits))

    def _nameable(self, path: str, text: str, what: str) -> bool:
        """Can `text`, the path itself or where it leads, be kept under the digest? Says why not."""
        if not is_utf8(text):
            self._say(finding("tree.name_not_utf8", f"{what} is not UTF-8: rename it", path))
            return False
        if path_bytes(text) > self._limits.path_length:
            self._say(too_long(self._limits, path, what))
            return False
        return True

    def _say(self, problem: Problem) -> None:
        self.problems.append(problem)
        if len(self.problems) >= MOST_PROBLEMS:
            raise _EnoughError

    def _enough(self, problem: Problem) -> None:
        self.problems.append(problem)
        raise _EnoughError


def _look_at_one(path: Path, limits: Limits, began_ns: int) -> Tree:
    """The tree of a drop that is no folder: one file, or nothing but a problem."""
    problem, entries = None, []
    try:
        seen = path.lstat()
        kind = _KINDS.get(seen.st_mode & _KIND_BITS)
        if kind == "file":
            bits, times = seen.st_mode & _PERMISSION_BITS, (seen.st_mtime_ns, seen.st_ctime_ns)
            entries = [Entry("", kind, bits, seen.st_size, *times, seen.st_ino, None)]
        elif kind == "folder":  # it could be seen and not be opened
            os.close(open_folder(path))
            problem = finding("tree.vanished", "it came back while it was being read")
        else:
            problem = special("", seen.st_mode) if kind is None else _link()
    except OSError as failure:
        problem = trouble("", failure)
    vanished = problem is not None and problem.code == "tree.vanished"
    return Tree(
        entries=tuple(entries),
        problems=(problem,) if problem and not vanished else (),
        unsettled=problem if vanished else None,
        limits=limits,
        began_ns=began_ns,
        ended_ns=time.time_ns(),
        newest_ns=entries[0].ctime_ns if entries else 0,
        files=len(entries),
        bytes=entries[0].size if entries else 0,
    )


def _place(problem: Problem) -> tuple[str, int, str]:
    """What to sort problems by: told in the same order at every look, whatever order the file system has."""
    return problem.file or "", problem.line or 0, problem.code


def _link() -> Problem:
    said = "this is a link; packd follows none out of the packs directory: put the folder or archive itself here"
    return finding("tree.link_escapes", said)
