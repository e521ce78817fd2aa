"""What changed between two reports of a pack's tests: a pure decision over their JSON forms.

A case is known by its suite and its name. Where a suite has several of one name the worst outcome stands for them.
A case that is missing from a suite that broke off (ran out of time, crashed) was not removed: it did not get its turn,
and that is no better than failing. A suite stands for itself, as one more case, where it has none or where its cases do
not tell what is wrong with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Outcome = Literal["passed", "skipped", "failed", "error", "not_run"]
CaseKey = tuple[str, str]  # (suite, case)

ITSELF: Final = "(the suite itself)"
NOT_RUN: Final = "not_run"  # its suite broke off before its turn
_BAD: Final = ("failed", "error", NOT_RUN)
_WORST_LAST: Final = ("skipped", "passed", "failed", "error")
_COMPLETE: Final = ("passed", "failed", "skipped", "partial")  # statuses of a suite that came to its end
_SLOWER_FACTOR: Final = 2.0
_SLOWER_AT_LEAST_MS: Final = 10.0  # below that a machine's own noise is larger


@dataclass(frozen=True, kw_only=True)
class Change:
    """One case that is not what it was; None: it is not there on that side."""

    suite: str
    name: str
    before: Outcome | None
    after: Outcome | None
    before_ms: float | None = None
    after_ms: float | None = None
    message: str | None = None  # why it fails now

    def to_dict(self) -> dict[str, Any]:
        """JSON form, in the words of the question: from … to …"""
        return {
            "suite": self.suite,
            "name": self.name,
            "from": self.before,
            "to": self.after,
            "from_ms": self.before_ms,
            "to_ms": self.after_ms,
            "error_message": self.message,
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every case is in one of these, or unchanged."""

    newly_failing: tuple[Change, ...] = ()  # was good or skipped, and fails
    still_failing: tuple[Change, ...] = ()
    fixed: tuple[Change, ...] = ()  # failed, and passes
    newly_skipped: tuple[Change, ...] = ()  # was executed, and is not any more
    added: tuple[Change, ...] = ()  # whatever its outcome
    removed: tuple[Change, ...] = ()
    slower: tuple[Change, ...] = ()  # passed both times, and took more than twice as long
    unchanged: int = 0  # in none of these

    @property
    def worse(self) -> bool:
        """Does something fail that did not fail before?"""
        return bool(self.newly_failing) or any(change.after in _BAD for change in self.added)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        kinds = {kind: [change.to_dict() for change in getattr(self, kind)] for kind in KINDS}
        return {**kinds, "unchanged": self.unchanged, "worse": self.worse}


KINDS: Final = ("newly_failing", "still_failing", "fixed", "newly_skipped", "added", "removed", "slower")


@dataclass(frozen=True, kw_only=True)
class Flaky:
    """A case that had different outcomes on the same content."""

    suite: str
    name: str
    passed: int  # so many times
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"suite": self.suite, "name": self.name, "passed": self.passed, "failed": self.failed}


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Two reports in their JSON form, the older one first. Cases keep the order in which the newer report has them."""
    for_themselves = _for_themselves(before) | _for_themselves(after)
    then, now = _cases(before, for_themselves), _cases(after, for_themselves)
    broken_then, broken_now = _broken_off(before), _broken_off(after)
    found: dict[str, list[Change]] = {kind: [] for kind in KINDS}
    unchanged = 0
    for key in [*now, *(key for key in then if key not in now)]:
        change = _change(key, then, now, broken_then, broken_now)
        kind = _kind(change)
        if kind is None:
            unchanged += 1
        else:
            found[kind].append(change)
    return Comparison(unchanged=unchanged, **{kind: tuple(changes) for kind, changes in found.items()})


def flaky(reports: Iterable[Mapping[str, Any]]) -> tuple[Flaky, ...]:
    """The cases that passed in one of these reports and failed in another, by suite and name.

    All of them must be of the same content. A run that was stopped says nothing about its cases, nor does a case that
    had no turn.
    """
    passed: Counter[CaseKey] = Counter()
    failed: Counter[CaseKey] = Counter()
    finished = [report for report in reports if report.get("reason") != "cancelled"]
    for_themselves = frozenset[str]().union(*map(_for_themselves, finished))
    for report in finished:
        for key, case in _cases(report, for_themselves).items():
            passed[key] += case["status"] == "passed"
            failed[key] += case["status"] in _BAD
    both = sorted(key for key in passed.keys() & failed.keys() if passed[key] and failed[key])
    return tuple(Flaky(suite=key[0], name=key[1], passed=passed[key], failed=failed[key]) for key in both)


def _cases(report: Mapping[str, Any], for_themselves: frozenset[str]) -> dict[CaseKey, Mapping[str, Any]]:
    cases: dict[CaseKey, Mapping[str, Any]] = {}
    for suite in report["test_suites"]:
        itself = [_itself(suite)] if suite["name"] in for_themselves else []
        for case in [*itself, *suite["test_cases"]]:
            key = (suite["name"], case["name"])
            if key not in cases or _badness(case) > _badness(cases[key]):
                cases[key] = case
    return cases


def _for_themselves(report: Mapping[str, Any]) -> frozenset[str]:
    """The suites that have no cases, or are in a trouble of which no case tells."""
    return frozenset(suite["name"] for suite in report["test_suites"] if not suite["test_cases"] or _untold(suite))


def _itself(suite: Mapping[str, Any]) -> Mapping[str, Any]:
    status = "error" if _untold(suite) else "skipped" if suite["status"] == "skipped" else "passed"
    return {
        "name": ITSELF,
        "status": status,
        "duration_ms": suite["duration_ms"],
        "error_message": suite.get("detail") or suite.get("reason"),
    }


def _untold(suite: Mapping[str, Any]) -> bool:
    told = any(case["status"] in _BAD for case in suite["test_cases"])
    return suite["status"] not in ("passed", "skipped") and not told


def _badness(case: Mapping[str, Any]) -> int:
    return _WORST_LAST.index(case["status"])


def _broken_off(report: Mapping[str, Any]) -> set[str]:
    """The suites that did not come to their end."""
    return {
        suite["name"]
        for suite in report["test_suites"]
        if suite["status"] not in _COMPLETE or suite.get("reason") not in (None, "failures", "no_tests")
    }


def _change(
    key: CaseKey,
    then: Mapping[CaseKey, Mapping[str, Any]],
    now: Mapping[CaseKey, Mapping[str, Any]],
    broken_then: set[str],
    broken_now: set[str],
) -> Change:
    suite, name = key
    before, after = then.get(key), now.get(key)
    return Change(
        suite=suite,
        name=name,
        before=_outcome(before, suite in broken_then),
        after=_outcome(after, suite in broken_now),
        before_ms=before["duration_ms"] if before else None,
        after_ms=after["duration_ms"] if after else None,
        message=after.get("error_message") if after and after["status"] in _BAD else None,
    )


def _outcome(case: Mapping[str, Any] | None, broken_off: bool) -> Outcome | None:
    if case is not None:
        status: Outcome = case["status"]
        return status
    return NOT_RUN if broken_off else None


def _kind(change: Change) -> str | None:
    if change.before is None or change.after is None:
        return "added" if change.before is None else "removed"
    was_bad, is_bad = change.before in _BAD, change.after in _BAD
    if is_bad:
        return "still_failing" if was_bad else "newly_failing"
    if change.after == "skipped":
        return None if change.before == "skipped" else "newly_skipped"
    if was_bad:
        return "fixed"
    return "slower" if _is_slower(change) else None


def _is_slower(change: Change) -> bool:
    if change.before != "passed" or change.after != "passed":
        return False
    before_ms, after_ms = change.before_ms or 0.0, change.after_ms or 0.0
    return after_ms > before_ms * _SLOWER_FACTOR and after_ms - before_ms >= _SLOWER_AT_LEAST_MS
