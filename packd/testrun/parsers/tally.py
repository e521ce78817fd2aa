"""What every parser yields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from packd.testrun.parsers.text import beginning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packd.domain.reports import Case

CASE_LIMIT: Final = 20_000  # cases that are kept; the counts stay true beyond
COUNT_LIMIT: Final = 10_000_000  # no suite has more tests; a larger number is not a count

DETAIL_LIMIT: Final = 4 * 1024 * 1024  # characters of messages and outputs of one suite's cases
_SHORT_MESSAGE: Final = 200  # characters of a message once that is used up


class CaseList:
    """Keeps cases up to both limits, whole as long as there is room; counts all of them."""

    def __init__(self) -> None:
        self.kept: list[Case] = []
        self.total = self.passed = self.failed = self.skipped = 0
        self._room = DETAIL_LIMIT

    def add(self, case: Case) -> None:
        self.total += 1
        self.passed += case.status == "passed"
        self.skipped += case.status == "skipped"
        self.failed = self.total - self.passed - self.skipped
        if len(self.kept) < CASE_LIMIT:
            self.kept.append(self._fitted(case))

    def _fitted(self, case: Case) -> Case:
        size = sum(len(text) for text in (case.error_message, case.stdout, case.stderr) if text)
        if size <= self._room:
            self._room -= size
            return case
        message = beginning(case.error_message, _SHORT_MESSAGE) if case.error_message else None
        return replace(case, error_message=message, stdout=None, stderr=None)

    def tally(self, *, trouble: str | None = None) -> Tally:
        return Tally(
            total=self.total,
            passed=self.passed,
            failed=self.failed,
            skipped=self.skipped,
            cases=tuple(self.kept),
            trouble=trouble,
        )


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts and cases as a suite, or packd's own runner in it, gave them."""

    total: int = 0
    passed: int = 0
    failed: int = 0  # failures and errors
    skipped: int = 0
    cases: tuple[Case, ...] = ()  # may be fewer than `total`, or none, where only counts are known
    trouble: str | None = None  # why this can't be believed, as a sentence; None when it can


def tally_of(cases: Iterable[Case], *, trouble: str | None = None) -> Tally:
    """The tally of cases that are all there is."""
    listed = CaseList()
    for case in cases:
        listed.add(case)
    return listed.tally(trouble=trouble)


def counted(counts: Mapping[str, int]) -> Tally | None:
    """The tally of `total`, `passed`, `failed`, `skipped` and `errors`, of which some may be left out; None when they
    don't add up. Writers count errors beside the failed or among them."""
    errors, failed = counts.get("errors", 0), counts.get("failed", 0)
    beside = {**counts, "failed": failed + errors} if errors else counts
    return _added(beside, errors) or _added(counts, errors)


def _added(counts: Mapping[str, int], errors: int) -> Tally | None:
    skipped = counts.get("skipped", 0)
    total = counts.get("total", counts.get("passed", 0) + counts.get("failed", 0) + skipped)
    passed = counts.get("passed", total - counts.get("failed", 0) - skipped)
    failed = counts.get("failed", total - passed - skipped)
    if passed < 0 or failed < errors or passed + failed + skipped != total:
        return None
    return Tally(total=total, passed=passed, failed=failed, skipped=skipped)


def unreadable(trouble: str) -> Tally:
    """Nothing could be made of it."""
    return Tally(trouble=trouble)


def together(tallies: Iterable[Tally]) -> Tally:
    """The sum of several reports of one suite; the first trouble stays."""
    parts = tuple(tallies)
    return Tally(
        total=sum(part.total for part in parts),
        passed=sum(part.passed for part in parts),
        failed=sum(part.failed for part in parts),
        skipped=sum(part.skipped for part in parts),
        cases=tuple(case for part in parts for case in part.cases)[:CASE_LIMIT],
        trouble=next((part.trouble for part in parts if part.trouble), None),
    )
