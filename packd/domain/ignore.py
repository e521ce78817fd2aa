"""Which names are no part of a pack: what version control, editors, copying tools and the pack itself leave aside."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pathspec import GitIgnoreSpec

PACKDIGNORE: Final = ".packdignore"  # the file at the top of a pack whose lines `Ignore.path` follows

IGNORED_NAMES: Final = frozenset({".git", ".hg", "__pycache__", ".DS_Store"})
# `*.swp` covers `.*.swp`; the last two are what Emacs puts beside a file that is being edited
IGNORED_PATTERNS: Final = ("*.pyc", "*~", "*.swp", "*.part", "*.tmp", ".~*", ".nfs*", ".#*", "#*#")

# While rsync writes `name` it is called `.name.XXXXXX`, six characters drawn from A-Z, a-z and 0-9. `.env.sample` and
# `.hash.sha256` look the same, so an ending that reads as a word, with or without a number behind it, is kept. One
# temporary in fifty reads like that by chance; it costs a needless look at the drop, while the other way round a
# pack's own file would be missing from it.
_RSYNC: Final = r"\..+\.(?!(?:[a-z]*|[A-Z]*|[A-Z][a-z]*)[0-9]*\Z)[A-Za-z0-9]{6}"

# What a file is called while rsync, KDE or Syncthing brings it, and the folder where `rsync --delay-updates` keeps them.
_TRANSFER: Final = re.compile(rf"(?s:{_RSYNC}|\.~tmp~|.*\.part|\.syncthing\..*\.tmp)\Z")

_NAMES_REMEMBERED: Final = 4096

_GLOB: Final = re.compile(r"[*?\[]")


class Ignore:
    """What to leave aside, by bare name everywhere and by path where a pack has a `.packdignore`."""

    def __init__(self, extra: Sequence[str] = (), packdignore: str | None = None) -> None:
        """`extra` are more names or shell patterns (`*.bak`); `packdignore` is the text of that file, if there is one.

        Raises ValueError when an extra name is empty or a path.
        """
        for name in extra:
            _check_extra(name)
        globs = [*IGNORED_PATTERNS, *(name for name in extra if _GLOB.search(name))]
        self.extra = frozenset(extra)
        self._globs = globs
        self._names = IGNORED_NAMES.union(name for name in extra if not _GLOB.search(name))
        self._pattern = re.compile("|".join([*(f"(?:{translate(glob)})" for glob in globs), rf"(?s:{_RSYNC})\Z"]))
        # Is this bare name (no `/` in it) ignored wherever it is found? The same names are found in pack after pack.
        self.name: Callable[[str], bool] = lru_cache(_NAMES_REMEMBERED)(self._is_ignored)
        self.bad_lines: tuple[int, ...] = ()  # 1-based lines of `.packdignore` that are no pattern, and are skipped
        self._spec = None if packdignore is None else self._read(packdignore)

    def _is_ignored(self, name: str) -> bool:
        return name in self._names or self._pattern.match(name) is not None

    def rule(self, name: str) -> str | None:
        """The name or pattern by which `name` is ignored; None when it is not."""
        if name in self._names:
            return name
        by_glob = next((glob for glob in self._globs if re.match(translate(glob), name)), None)
        return by_glob or (".NAME.XXXXXX" if self.name(name) else None)

    def path(self, relative: str, is_dir: bool) -> bool:
        """Does the pack's `.packdignore` name this path? `relative` is `/`-separated, from the top of the pack."""
        if self._spec is None:
            return False
        return self._spec.match_file(f"{relative}/" if is_dir else relative)

    def _read(self, text: str) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec  # few packs have such a file

        lines = text.removeprefix("\ufeff").splitlines()
        self.bad_lines = tuple(number for number, line in enumerate(lines, 1) if not _is_pattern(line))
        return GitIgnoreSpec.from_lines(line for number, line in enumerate(lines, 1) if number not in self.bad_lines)


def is_transfer(name: str) -> bool:
    """Is this what a file, or a folder of them, is called while a copying tool has not brought all of it?"""
    return _TRANSFER.match(name) is not None


def _check_extra(name: str) -> None:
    if not name or "/" in name:
        raise ValueError(
            f"{name!r} can't be ignored: give a bare name or a pattern such as '*.bak', "
            f"and put paths into the pack's {PACKDIGNORE}"
        )


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
