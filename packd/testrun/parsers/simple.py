"""Counts that a script prints: `Total Tests: 36 / Passed: 36 / Failed: 0`, in one line or several.

A labelled number counts when it stands at the start of a line or after a separator, so that "login failed: 3 times"
is not taken for a summary. Labels of one summary do not repeat: where one does, the next summary begins, and the last
complete one is the result. Errors are failures, but a program under test may print a count of its own: they count only
where they stand with the other labels.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from packd.domain.reports import Case
from packd.testrun.parsers.tally import COUNT_LIMIT, Tally, counted, tally_of, unreadable
from packd.testrun.parsers.text import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import CaseStatus

_Label = Literal["total", "passed", "failed", "skipped", "errors"]

_WORDS: Final[dict[str, _Label]] = {
    "total": "total", "total tests": "total", "tests total": "total", "tests run": "total", "tests": "total",
    "total tests run": "total", "tests executed": "total",
    "passed": "passed", "tests passed": "passed", "passed tests": "passed", "total passed": "passed",
    "failed": "failed", "tests failed": "failed", "failed tests": "failed", "total failed": "failed",
    "failures": "failed", "failure": "failed", "total failures": "failed", "test failures": "failed",
    "errors": "errors", "error": "errors", "errored": "errors", "tests errored": "errors", "total errors": "errors",
    "test errors": "errors",
    "skipped": "skipped", "tests skipped": "skipped", "skipped tests": "skipped", "total skipped": "skipped",
}  # fmt: skip

_ALTERNATIVES: Final = "|".join(sorted((word.replace(" ", r"[ \t]") for word in _WORDS), key=len, reverse=True))
_COUNT: Final = re.compile(
    rf"(?:^[^\w\n]{{0,20}}(?:(?:INFO|WARNING|ERROR)\][ \t])?|[/|,;(][ \t]{{0,8}}|[ \t]{{2,8}}|\d[ \t])(?P<label>{_ALTERNATIVES})[ \t]{{0,8}}[:=][ \t]{{0,20}}"
    r"(?P<count>\d{1,9})(?![\w:]|\.\d)(?![ \t]{1,8}(?:failed|passed|total|skipped)\b(?![ \t]*[:=]))",
    re.IGNORECASE | re.MULTILINE | re.ASCII,
)
_CASE_LINE: Final = re.compile(
    r"^[ \t]{0,20}(?:\[[ \t]{0,3}(?P<boxed>PASS|PASSED|OK|FAIL|FAILED|ERROR|SKIP|SKIPPED)[ \t]{0,3}\]|(?P<word>PASS|PASSED|FAIL|FAILED|SKIP|SKIPPED):"
    r"|(?P<mark>[✓✔✗✘✖]))[ \t:-]{1,8}(?P<name>\S.{0,400})$",
    re.MULTILINE,
)
_STATUSES: Final[dict[str, CaseStatus]] = {
    "PASS": "passed", "PASSED": "passed", "OK": "passed", "✓": "passed", "✔": "passed",
    "FAIL": "failed", "FAILED": "failed", "ERROR": "error", "✗": "failed", "✘": "failed", "✖": "failed",
    "SKIP": "skipped", "SKIPPED": "skipped",
}  # fmt: skip


def parse_simple(text: str) -> Tally | None:
    """The last summary in plain text, or None when there is none."""
    found = last_summary(text)
    return found[1] if found else None


def last_summary(text: str) -> tuple[int, Tally] | None:
    """(where it begins, tally) of the last complete summary."""
    complete = [(start, counts) for start, counts in _summaries(text) if _is_complete(counts)]
    if not complete:
        return None
    start, counts = complete[-1]
    return start, _with_names(_tally(counts), text[:start])


def _summaries(text: str) -> Iterator[tuple[int, dict[str, int]]]:
    counts: dict[str, int] = {}
    start = 0
    for label, match in _labels(text):
        if label in counts:
            yield start, counts
            counts = {}
        start = start if counts else match.start()
        counts[label] = int(match["count"])
    if counts:
        yield start, counts


def _labels(text: str) -> Iterator[tuple[_Label, re.Match[str]]]:
    """Every labelled number; of errors those with another label in their line, or just above them."""
    found = [(_WORDS[" ".join(match["label"].lower().split())], match) for match in _COUNT.finditer(text)]
    for at, (label, match) in enumerate(found):
        above, below = found[at - 1 : at], found[at + 1 : at + 2]
        if (
            label != "errors"
            or any(other != label and text.count("\n", end.end(), match.start("label")) <= 2 for other, end in above)
            or any(other != label and "\n" not in text[match.end() : end.start("label")] for other, end in below)
        ):
            yield label, match


def _is_complete(counts: dict[str, int]) -> bool:
    """Two different labels, one of which says how tests ended; one number alone may be anything."""
    return len(counts) >= 2 and ("passed" in counts or "failed" in counts or counts.get("errors", 0) > 0)


def _tally(counts: dict[str, int]) -> Tally:
    shown = ", ".join(f"{label} {count}" for label, count in counts.items())
    tally = counted(counts)
    if tally is None:
        return unreadable(f"the counts that it printed do not add up ({shown})")
    if tally.total > COUNT_LIMIT:
        return unreadable(f"it printed a count that can't be one ({shown})")
    return tally


def _with_names(tally: Tally, text: str) -> Tally:
    """With the cases named in lines such as `[PASS] creates a file`, if they are exactly the ones counted."""
    named = tally_of(_case(match) for match in _CASE_LINE.finditer(text)) if tally.total else Tally()
    same = (named.total, named.passed, named.failed) == (tally.total, tally.passed, tally.failed)
    return replace(tally, cases=named.cases) if same else tally


def _case(match: re.Match[str]) -> Case:
    status = _STATUSES[match["boxed"] or match["word"] or match["mark"]]
    return Case(name=name_of(match["name"]), status=status)
