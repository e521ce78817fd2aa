"""The verdict on reports as they come: one sentence for each way to pass and not to pass."""

from __future__ import annotations

import pytest

from packd.domain.reports import Reason, Report, ReportStatus, SuiteReport
from packd.domain.verdict import verdict


def suite(
    status: ReportStatus,
    reason: Reason | None = None,
    *,
    passed: int = 0,
    failed: int = 0,
    skipped: int = 0,
    detail: str | None = None,
) -> SuiteReport:
    return SuiteReport(
        name="s",
        runner_type="script",
        status=status,
        reason=reason,
        detail=detail,
        total=passed + failed + skipped,
        passed=passed,
        failed=failed,
        skipped=skipped,
    )


def report(
    status: ReportStatus, *suites: SuiteReport, reason: Reason | None = None, detail: str | None = None
) -> Report:
    return Report(
        pack_ref="p",
        pack_version="1.0.0",
        status=status,
        reason=reason,
        detail=detail,
        execution_time="",
        duration_ms=1.0,
        isolation="basic",
        test_suites=suites,
    )


GREEN = suite("passed", passed=9, skipped=1)
RED = suite("failed", "failures", passed=9, failed=1)
LATE = suite("timed_out", "timeout", passed=99, detail="it did not end within 3 s")


def test_all_passed_is_accepted() -> None:
    """Without a warning, and the counts are said."""
    judged = verdict(report("passed", GREEN), min_pass_rate=1.0, on_failure="block")
    assert (judged.accepted, judged.reason, judged.warning) == (True, None, False)
    assert judged.sentence == "9 of 9 tests passed, 1 skipped"


def test_a_failure_is_refused() -> None:
    """By default one is too many."""
    judged = verdict(report("failed", RED, reason="failures"), min_pass_rate=1.0, on_failure="block")
    assert (judged.accepted, judged.reason) == (False, "failures")
    assert judged.sentence == "1 of 10 tests failed (90.0% passed)"


def test_enough_passed_is_accepted_with_a_warning() -> None:
    """The rate that the manifest asks for is reached."""
    judged = verdict(report("failed", RED, reason="failures"), min_pass_rate=0.9, on_failure="block")
    assert (judged.accepted, judged.reason, judged.warning) == (True, "failures", True)
    assert "min_pass_rate 0.9" in judged.sentence


def test_a_rate_of_nothing_is_reached_by_nothing() -> None:
    """0 asks for no more than that tests were executed."""
    judged = verdict(
        report("failed", suite("failed", "failures", failed=1), reason="failures"),
        min_pass_rate=0.0,
        on_failure="block",
    )
    assert (judged.accepted, judged.reason, judged.warning) == (True, "failures", True)
    assert judged.sentence == "1 of 1 tests failed (0.0% passed); min_pass_rate 0 allows that"


def test_too_few_passed_is_refused_with_the_rate() -> None:
    """The sentence says what was asked for."""
    judged = verdict(report("failed", RED, reason="failures"), min_pass_rate=0.95, on_failure="block")
    assert not judged.accepted
    assert "min_pass_rate is 0.95" in judged.sentence


@pytest.mark.parametrize(
    "reason",
    ["timeout", "crash", "unavailable", "inconsistent", "no_tests", "memory", "processes", "disk", "output", "cpu"],
)
def test_only_counted_failures_are_forgiven_by_rate(reason: Reason) -> None:
    """A suite that did not end properly is not made good by ninety-nine tests that passed."""
    troubled = suite("error", reason, detail="it is so")
    judged = verdict(
        report("partial", suite("passed", passed=99), RED, troubled, reason=reason),
        min_pass_rate=0.1,
        on_failure="block",
    )
    assert (judged.accepted, judged.reason) == (False, reason)
    assert judged.sentence == "suite 's': it is so"


@pytest.mark.parametrize(("on_failure", "warning"), [("warn", True), ("ignore", False)])
def test_the_manifest_may_accept_what_did_not_pass(on_failure: str, warning: bool) -> None:
    """With or without a warning; the reason stays."""
    judged = verdict(report("timed_out", LATE, reason="timeout"), min_pass_rate=1.0, on_failure=on_failure)  # type: ignore[arg-type]
    assert (judged.accepted, judged.reason, judged.warning) == (True, "timeout", warning)


def test_all_skipped_is_no_test() -> None:
    """Nothing was executed, so nothing passed."""
    judged = verdict(
        report("skipped", suite("skipped", skipped=3), reason="no_tests"), min_pass_rate=0.0, on_failure="block"
    )
    assert (judged.accepted, judged.reason) == (False, "no_tests")


def test_nothing_at_all_is_refused_with_its_sentence() -> None:
    """A report without suites speaks for itself."""
    judged = verdict(
        report("error", reason="unavailable", detail="the disk is full"), min_pass_rate=0.0, on_failure="block"
    )
    assert (judged.accepted, judged.sentence) == (False, "the disk is full")


def test_a_suite_that_was_cancelled_after_a_crash_is_still_cancelled() -> None:
    """The order of the suites does not matter: what was stopped is not accepted, whatever the manifest says."""
    judged = verdict(
        report("error", suite("failed", "crash"), suite("error", "cancelled")), min_pass_rate=0.0, on_failure="ignore"
    )
    assert (judged.accepted, judged.reason) == (False, "cancelled")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (report("failed", RED), "failures"),
        (report("failed", suite("passed", passed=1, failed=1)), "failures"),
        (report("failed", suite("failed", passed=1, failed=1)), "crash"),
        (report("failed", suite("failed", "failures", passed=1)), "crash"),
        (report("error", RED, LATE, reason="failures"), "timeout"),
        (report("error", GREEN, reason="disk"), "disk"),
        (report("error", RED, reason="cancelled"), "cancelled"),
        (report("passed"), "no_tests"),
        (report("passed", suite("passed")), "no_tests"),
        (report("partial", GREEN), "inconsistent"),
    ],
)
def test_the_gravest_of_all_that_was_found_is_the_reason(found: Report, reason: Reason) -> None:
    """Whether a suite or the report says so, or only the counts do: it is what is refused, told and shown."""
    judged = verdict(found, min_pass_rate=1.0, on_failure="block")
    assert (judged.accepted, judged.reason) == (False, reason)


def test_failures_that_nobody_counted_are_not_forgiven() -> None:
    """No test was executed, so there is no rate to be reached."""
    found = report("failed", suite("skipped", skipped=3), reason="failures")
    assert not verdict(found, min_pass_rate=0.0, on_failure="block").accepted
