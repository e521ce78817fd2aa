"""Counts that a script prints: `Total Tests: 36 / Passed: 36 / Failed: 0`, in one line or several.

A labelled number counts when it stands at the start of a line or after a separator, so that "login failed: 3 times"
is not taken for a summary. Labels of one summary do not repeat: where one does, the next summary begins, and the last
complete one is the result.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from packd.domain.reports import Case
from packd.testrun.parsers.tally import COUNT_LIMIT, Tally, tally_of
from packd.testrun.parsers.text import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import CaseStatus

_Label = Literal["total", "passed", "failed", "skipped"]

_WORDS: Final[dict[str, _Label]] = {
    "total": "total", "total tests": "total", "tests total": "total", "tests run": "total", "tests": "total",
    "total tests run": "total", "tests executed": "total",
    "passed": "passed", "tests passed": "passed", "passed tests": "passed", "total passed": "passed",
    "failed": "failed", "tests failed": "failed", "failed tests": "failed", "total failed": "failed",
    "failures": "failed",
    "skipped": "skipped", "tests skipped": "skipped", "skipped tests": "skipped", "total skipped": "skipped",
}  # fmt: skip

_ALTERNATIVES: Final = "|".join(sorted((word.replace(" ", r"[ \t]") for word in _WORDS), key=len, reverse=True))
_COUNT: Final = re.compile(
    rf"(?:^[^\w\n]{{0,20}}|[/|,;(][ \t]{{0,8}}|[ \t]{{2,8}}|\d[ \t])(?P<label>{_ALTERNATIVES})[ \t]{{0,8}}[:=][ \t]{{0,20}}"
    r"(?P<count>\d{1,9})(?![\w.:])(?![ \t]{1,8}(?:failed|passed|total|skipped)\b(?![ \t]*[:=]))",
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


def _summaries(text: str) -> Iterator[tuple[int, dict[_Label, int]]]:
    counts: dict[_Label, int] = {}
    start = 0
    for match in _COUNT.finditer(text):
        label = _WORDS[" ".join(match["label"].lower().split())]
        if label in counts:
            yield start, counts
            counts = {}
        start = start if counts else match.start()
        counts[label] = int(match["count"])
    if counts:
        yield start, counts


def _is_complete(counts: dict[_Label, int]) -> bool:
    """Two different labels, one of which says how tests ended; one number alone may be anything."""
    return len(counts) >= 2 and ("passed" in counts or "failed" in counts)


def _tally(counts: dict[_Label, int]) -> Tally:
    skipped = counts.get("skipped", 0)
    total = counts.get("total", sum(counts.values()))
    passed = counts.get("passed", total - counts.get("failed", 0) - skipped)
    failed = counts.get("failed", total - passed - skipped)
    shown = f"total {total}, passed {passed}, failed {failed}, skipped {skipped}"
    trouble = None
    if passed < 0 or failed < 0 or passed + failed + skipped != total:
        trouble = f"the counts that it printed do not add up ({shown})"
    elif total > COUNT_LIMIT:
        trouble = f"it printed a count that can't be one ({shown})"
    return Tally(total=total, passed=max(passed, 0), failed=max(failed, 0), skipped=skipped, trouble=trouble)


def _with_names(tally: Tally, text: str) -> Tally:
    """With the cases named in lines such as `[PASS] creates a file`, if they are exactly the ones counted."""
    named = tally_of(_case(match) for match in _CASE_LINE.finditer(text)) if tally.total else Tally()
    same = (named.total, named.passed, named.failed) == (tally.total, tally.passed, tally.failed)
    return replace(tally, cases=named.cases) if same else tally


def _case(match: re.Match[str]) -> Case:
    status = _STATUSES[match["boxed"] or match["word"] or match["mark"]]
    return Case(name=name_of(match["name"]), status=status)
