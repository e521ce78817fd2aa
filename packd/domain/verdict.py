"""May a revision go on, given what its tests found and what its manifest asks of them? One pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packd.domain.manifest import OnFailure
    from packd.domain.reports import Reason, Report, SuiteReport

_ROUNDING: Final = 1e-9  # 0.1 + 0.2 must still reach 0.3


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision and what it rests on."""

    accepted: bool  # the revision may go on
    reason: Reason | None  # what was wrong, also when it was accepted all the same; None when nothing was
    sentence: str  # the decision in words, for people
    warning: bool  # accepted, but somebody should look


def verdict(report: Report, *, min_pass_rate: float, on_failure: OnFailure) -> Verdict:
    """Judge a report by the two rules of its manifest.

    `min_pass_rate` (0..1) is compared with passed / (total - skipped) and forgives counted failures only: a suite that
    ran out of time, crashed, hit a limit, contradicted itself, could not be run or executed nothing is never made good
    by the others. `on_failure` is asked after that: `warn` and `ignore` accept what was refused, except a cancelled run,
    which says nothing about the revision.
    """
    reason = _reason(report)
    if reason is None:
        return Verdict(accepted=True, reason=None, sentence=_passed(report), warning=False)
    if reason == "cancelled":
        return _refused(report, reason)
    if reason == "failures" and _rate_reached(report, min_pass_rate):
        sentence = f"{_failed(report)}; min_pass_rate {min_pass_rate:g} allows that"
        return Verdict(accepted=True, reason=reason, sentence=sentence, warning=True)
    if on_failure == "block":
        return _refused(report, reason, needed=min_pass_rate)
    sentence = f"{_said(report, reason)}; accepted because on_failure is {on_failure!r}"
    return Verdict(accepted=True, reason=reason, sentence=sentence, warning=on_failure == "warn")


def _reason(report: Report) -> Reason | None:
    """The gravest thing that is wrong: `cancelled` before all others, `failures` only when nothing else is."""
    grave = [_trouble(suite) for suite in report.test_suites if _is_troubled(suite)]
    if report.reason == "cancelled" or "cancelled" in grave:
        return "cancelled"
    other_than_failures = next((reason for reason in grave if reason != "failures"), None)
    if other_than_failures is not None:
        return other_than_failures
    if report.reason not in (None, "failures"):
        return report.reason
    if grave or report.failed or report.reason == "failures":
        return "failures"
    if report.passed == 0:
        return "no_tests"
    return None if report.status == "passed" else "inconsistent"


def _is_troubled(suite: SuiteReport) -> bool:
    return suite.status not in ("passed", "skipped")


def _trouble(suite: SuiteReport) -> Reason:
    """A suite's own reason; failures that were not counted are no failures to forgive."""
    reason = suite.reason or "crash"
    return "crash" if reason == "failures" and suite.failed == 0 else reason


def _rate_reached(report: Report, min_pass_rate: float) -> bool:
    executed = report.total_tests - report.skipped
    return executed > 0 and report.pass_rate + _ROUNDING >= min_pass_rate


def _refused(report: Report, reason: Reason, *, needed: float = 1.0) -> Verdict:
    said = _said(report, reason)
    if reason == "failures" and needed < 1.0:
        said = f"{said}; min_pass_rate is {needed:g}"
    return Verdict(accepted=False, reason=reason, sentence=said, warning=False)


def _said(report: Report, reason: Reason) -> str:
    if reason == "failures":
        return _failed(report)
    troubled = (suite for suite in report.test_suites if _is_troubled(suite) and _trouble(suite) == reason)
    suite = next(troubled, None)
    if suite is not None and suite.detail:
        return f"suite '{suite.name}': {suite.detail}"
    return report.detail or _PLAIN.get(reason, f"the tests did not pass ({reason})")


def _passed(report: Report) -> str:
    skipped = f", {report.skipped} skipped" if report.skipped else ""
    return f"{report.passed} of {report.total_tests - report.skipped} tests passed{skipped}"


def _failed(report: Report) -> str:
    executed = report.total_tests - report.skipped
    return f"{report.failed} of {executed} tests failed ({report.pass_rate:.1%} passed)"


_PLAIN: Final[dict[Reason, str]] = {
    "cancelled": "the run was stopped before it ended",
    "no_tests": "no test was executed",
    "timeout": "the tests did not end in time",
    "unavailable": "the tests could not be run",
}
