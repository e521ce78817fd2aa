"""Finding and reading the report that a suite wrote: only files of this run, inside the pack's copy, of bearable size."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.parsers.console import recognise
from packd.testrun.parsers.json_report import parse_json
from packd.testrun.parsers.junit import parse_junit
from packd.testrun.parsers.simple import parse_simple
from packd.testrun.parsers.tally import Tally, together, unreadable
from packd.testrun.parsers.tap import documents, parse_tap
from packd.testrun.parsers.text import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.manifest import ResultFormat

_FILE_LIMIT: Final = 8 * 1024 * 1024  # bytes of one report; in memory it can take thirty times as much
_TOTAL_LIMIT: Final = 32 * 1024 * 1024  # bytes of all reports of a suite
_FILES: Final = 1000  # reports of one suite
_ENTRIES: Final = 20_000  # looked at when searching
_WILD: Final = frozenset("*?[")
_ENDINGS: Final[dict[str, tuple[str, ...]]] = {
    "junit-xml": (".xml",),
    "json": (".json",),
    "tap": (".tap", ".txt"),
    "simple": (".txt", ".log"),
}

_Stamp = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ReportPlace:
    """Where a suite writes its report, as it was before the suite ran: a report that the pack brought along is stale."""

    pack: Path
    path: str  # a file, a folder or a pattern, relative to the pack
    format: ResultFormat
    before: dict[Path, _Stamp]  # by its path in the pack

    @classmethod
    def look(cls, pack: Path, path: str, kind: ResultFormat, *, content: Path) -> ReportPlace:
        """`content` is where what is in the pack can be seen now."""
        return cls(pack=pack, path=path, format=kind, before=_stamps(content, path, kind))

    def roots(self) -> tuple[Path, ...]:
        """The file or folder that holds all that the path can name."""
        fixed, _ = _split(self.path)
        return () if ".." in fixed or "\0" in self.path else (self.pack.joinpath(*fixed),)

    def written(self) -> list[Path]:
        """The reports that are new or were changed since."""
        now = _stamps(self.pack, self.path, self.format)
        root = self.pack.resolve()
        return [root / path for path, stamp in sorted(now.items()) if self.before.get(path) != stamp]

    def read(self) -> Tally | None:
        """What the suite reported; None when it wrote nothing."""
        paths = self.written()
        if not paths:
            return None
        if len(paths) > _FILES:
            return unreadable(f"it wrote more than {_FILES} reports to {self.path!r}")
        total, tallies = 0, []
        for path in paths:
            data = _contents(path)
            if data is None:
                return unreadable(f"its report '{path.name}' can't be read, or is larger than {_FILE_LIMIT >> 20} MiB")
            total += len(data)
            if total > _TOTAL_LIMIT:
                return unreadable(f"its reports are larger than {_TOTAL_LIMIT >> 20} MiB together")
            tallies.append(parse(data, self.format))
        return together(tallies)


def parse(data: bytes, kind: ResultFormat) -> Tally:
    """The tally of one report."""
    if kind == "junit-xml":
        return parse_junit(data)
    return parse_text(decoded(data), kind)


def parse_text(text: str, kind: ResultFormat) -> Tally:
    """The tally of a report that is plain text already."""
    if kind == "junit-xml":
        return parse_junit(text.strip().encode())
    if kind == "json":
        return parse_json(text)
    if kind == "tap":
        return together(map(parse_tap, documents(text)))
    return parse_simple(text) or recognise(text) or unreadable("it has no summary (Total Tests, Passed, Failed)")


def _stamps(pack: Path, path: str, kind: ResultFormat) -> dict[Path, _Stamp]:
    """What identifies the content of each report, by its path in the pack; a change of content changes its time."""
    stamps: dict[Path, _Stamp] = {}
    root = pack.resolve()
    for found in _candidates(pack, path, kind):
        try:
            status = found.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            stamps[found.relative_to(root)] = (status.st_size, status.st_mtime_ns)
    return stamps


def _candidates(pack: Path, path: str, kind: ResultFormat) -> Iterator[Path]:
    """Files that the path names and that are, with all links followed, in the pack."""
    root = pack.resolve()
    for found in _named(pack, path, kind):
        try:
            target = found.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            continue
        if target.is_relative_to(root):
            yield target


def _named(pack: Path, path: str, kind: ResultFormat) -> Iterator[Path]:
    fixed, wild = _split(path)
    start = pack.joinpath(*fixed)
    if ".." in (*fixed, *wild) or "\0" in path:
        return
    if wild:
        yield from (found for found in _below(start) if _matches(found.relative_to(start).parts, wild))
    elif start.is_dir():
        yield from (found for found in _below(start) if found.suffix in _ENDINGS[kind])
    else:
        yield start


def _split(path: str) -> tuple[list[str], list[str]]:
    """The parts before the first that is a pattern, and the rest."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    fixed = next((at for at, part in enumerate(parts) if _WILD & set(part)), len(parts))
    return parts[:fixed], parts[fixed:]


def _below(folder: Path) -> Iterator[Path]:
    """Files below a folder; links to folders are not entered."""
    seen = 0
    for place, _, files in os.walk(folder):
        for name in files:
            seen += 1
            if seen > _ENTRIES:
                return
            yield Path(place, name)


def _matches(parts: tuple[str, ...], pattern: list[str]) -> bool:
    """Shell patterns part by part; `**` stands for any number of folders. Follows all possibilities at once."""
    states = _skipping({0}, pattern)
    for part in parts:
        stay = {at for at in states if at < len(pattern) and pattern[at] == "**"}
        step = {at + 1 for at in states if at < len(pattern) and pattern[at] != "**" and fnmatchcase(part, pattern[at])}
        states = _skipping(stay | step, pattern)
    return len(pattern) in states


def _skipping(states: set[int], pattern: list[str]) -> set[int]:
    reached = set(states)
    for at in range(len(pattern)):
        if at in reached and pattern[at] == "**":
            reached.add(at + 1)
    return reached


def _contents(path: Path) -> bytes | None:
    """None when it is not a plain file (any more), unreadable or too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _FILE_LIMIT:
            return None
        return file.read(_FILE_LIMIT + 1)
