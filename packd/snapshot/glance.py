"""The fingerprint of an ordinary drop, found in half the time of a proper look: most drops of a full scan are such.

Ordinary: a folder of files and folders with short ASCII names, within the limits, without rules of its own, in which no
file changed in the last seconds. Of everything else a glance says nothing.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from typing import TYPE_CHECKING, Final

from packd.domain.ignore import PACKDIGNORE
from packd.snapshot.entries import COARSE_MARGIN_NS, FILE, FOLDER, NUMBERS, fingerprint_of
from packd.snapshot.tree import WORST_UTF8, open_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.domain.ignore import Ignore
    from packd.snapshot.limits import Limits

_KIND_BITS: Final = 0o170000
_REGULAR: Final = stat.S_IFREG
_DIRECTORY: Final = stat.S_IFDIR
_PERMISSION_BITS: Final = 0o7777


def glance(path: str, ignore: Ignore, limits: Limits, entering: Callable[[str], None] | None = None) -> str | None:
    """The same as `look(…).fingerprint(…)` now; None: take a proper look. `entering` as there."""
    began = time.time_ns()
    found = _Found(ignore, limits, entering, path.rpartition("/")[2])
    try:
        folder = open_folder(path)
        try:
            found.gather(folder, "", 0)
        finally:
            os.close(folder)
    except (OSError, _UnusualError, struct.error):  # the last: a time before 1970
        return None
    return found.fingerprint() if found.is_at_rest(min(began, time.time_ns())) else None


class _UnusualError(Exception):
    """This drop is not for a glance."""


class _Found:
    """What one glance came by."""

    def __init__(self, ignore: Ignore, limits: Limits, entering: Callable[[str], None] | None, name: str) -> None:
        self._ignored = ignore.name
        self._limits = limits
        self._entering = entering
        self._name = name
        self._rows: list[tuple[str, bytes]] = []  # path, numbers
        self._bytes = 0
        self._changes: list[int] = []  # the ctime of each file, in ns

    def gather(self, folder: int, prefix: str, depth: int) -> None:
        """Everything in an open folder and below it; `prefix` ends with "/" unless it is empty."""
        if self._entering is not None:
            self._entering(f"{self._name}/{prefix[:-1]}" if prefix else self._name)
        ignored, rows, most, pack = self._ignored, self._rows, self._limits.files, NUMBERS.pack
        below, changes, content = [], self._changes, 0
        with os.scandir(folder) as items:
            for item in items:
                name = item.name
                if ignored(name):
                    continue
                if len(rows) >= most:
                    raise _UnusualError
                seen = item.stat(follow_symlinks=False)
                mode = seen.st_mode
                kind = mode & _KIND_BITS
                if kind == _REGULAR:
                    size, changed_ns = seen.st_size, seen.st_ctime_ns
                    numbers = pack(FILE, mode & _PERMISSION_BITS, size, seen.st_mtime_ns, changed_ns, seen.st_ino)
                    rows.append((prefix + name, numbers))
                    content += size
                    changes.append(changed_ns)
                elif kind == _DIRECTORY:
                    rows.append((prefix + name, pack(FOLDER, mode & _PERMISSION_BITS, 0, 0, 0, 0)))
                    below.append(name)
                else:
                    raise _UnusualError
        self._bytes += content
        if self._bytes > self._limits.bytes or (below and depth >= self._limits.depth):
            raise _UnusualError
        for name in below:
            inner = open_folder(name, folder)
            try:
                self.gather(inner, f"{prefix}{name}/", depth + 1)
            finally:
                os.close(inner)

    def is_at_rest(self, now_ns: int) -> bool:
        """No file changed in the last seconds, or will have changed."""
        return max(self._changes, default=0) < now_ns - COARSE_MARGIN_NS

    def fingerprint(self) -> str | None:
        self._rows.sort()
        paths = [path for path, _ in self._rows]
        joined = "\0".join(paths)
        too_long = self._rows and max(map(len, paths)) > self._limits.path_length // WORST_UTF8
        if too_long or not joined.isascii() or PACKDIGNORE in paths:
            return None
        return fingerprint_of(self._limits, len(paths), joined, "", [numbers for _, numbers in self._rows])
