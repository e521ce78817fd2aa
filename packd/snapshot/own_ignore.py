"""A pack's own `.packdignore`, read with care: its patterns are somebody else's, and matching them takes our time."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final

from packd.domain.ignore import PACKDIGNORE, Ignore
from packd.domain.problems import Problem
from packd.snapshot.limits import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES: Final = 64 * 1024
_MOST_LINES: Final = 500
# Each `*` multiplies the ways in which a long name can be tried; four in one name take seconds where three take
# milliseconds, and the interpreter does nothing else meanwhile.
_MOST_STARS: Final = 3  # between two slashes
_MOST_MATCHING_S: Final = 5.0  # for all paths of a pack; 20,000 paths and 50 ordinary lines take about one


class TooSlowError(Exception):
    """The patterns take too long to match."""


class OwnIgnore:
    """The rules of one pack, under a budget of time."""

    def __init__(self, text: str) -> None:
        self._rules = Ignore(packdignore=text)
        self._spent_s = 0.0
        self.bad_lines = self._rules.bad_lines

    def path(self, relative: str, is_dir: bool) -> bool:
        """As `Ignore.path`. Raises TooSlowError when the budget is spent."""
        began = time.perf_counter()
        ignored = self._rules.path(relative, is_dir)
        self._spent_s += time.perf_counter() - began
        if self._spent_s > _MOST_MATCHING_S:
            raise TooSlowError
        return ignored


def too_slow() -> Problem:
    """What TooSlowError means to the pack's author."""
    said = f"its patterns take more than {_MOST_MATCHING_S:.0f} s to match: use fewer, and fewer '*' in each"
    return finding("packdignore.too_slow", said, PACKDIGNORE)


def read_own_ignore(folder: int) -> tuple[OwnIgnore | None, tuple[Problem, ...]]:
    """The rules in the pack whose top folder is open as `folder`, None when it has none; and what is wrong with them.

    Raises OSError when the file is there and can't be read.
    """
    content = _content(folder)
    if content is None:
        return None, ()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None, (_unusable("it is not UTF-8: save it as such"),)
    if len(content) > _MOST_BYTES or text.count("\n") > _MOST_LINES:
        return None, (_unusable(f"it has more than {_MOST_LINES} lines or {_MOST_BYTES // 1024} KiB: shorten it"),)
    costly = tuple(_costly(text))
    if costly:
        return None, costly
    rules = OwnIgnore(text)
    return rules, tuple(_bad_line(number) for number in rules.bad_lines)


def _content(folder: int) -> bytes | None:
    try:
        seen = os.stat(PACKDIGNORE, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(seen.st_mode):
        return None  # as with git: a link or folder of this name has no rules in it
    opened = os.open(PACKDIGNORE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(opened, _MOST_BYTES + 1)
    finally:
        os.close(opened)


def _costly(text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split("/") if not line.startswith("#") else []
        if any(part.count("*") > _MOST_STARS for part in parts) or parts.count("**") > _MOST_STARS:
            said = f"this pattern has more than {_MOST_STARS} '*' in one name, or '**' in one path: use fewer"
            yield Problem(code="packdignore.too_many_stars", message=said, file=PACKDIGNORE, line=number)


def _bad_line(number: int) -> Problem:
    said = "this line is no pattern as in .gitignore, and is skipped"
    return Problem(code="packdignore.invalid_line", message=said, file=PACKDIGNORE, line=number, severity="warning")


def _unusable(why: str) -> Problem:
    return finding("packdignore.unusable", why, PACKDIGNORE)
