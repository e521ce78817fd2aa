"""What holds for the verdict on any report."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from packd.domain.manifest import OnFailure
from packd.domain.reports import Reason, Report, ReportStatus, SuiteReport
from packd.domain.verdict import verdict

COUNTS = st.integers(min_value=0, max_value=50)
SUITES = st.builds(
    lambda status, reason, passed, failed, skipped: SuiteReport(
        name="s",
        runner_type="script",
        status=status,
        reason=reason,
        total=passed + failed + skipped,
        passed=passed,
        failed=failed,
        skipped=skipped,
    ),
    st.sampled_from(get_args(ReportStatus)),
    st.none() | st.sampled_from(get_args(Reason)),
    COUNTS,
    COUNTS,
    COUNTS,
)
REPORTS = st.builds(
    lambda status, reason, suites: Report(
        pack_ref="p",
        pack_version="1",
        status=status,
        reason=reason,
        execution_time="",
        duration_ms=0.0,
        isolation="basic",
        test_suites=tuple(suites),
    ),
    st.sampled_from(get_args(ReportStatus)),
    st.none() | st.sampled_from(get_args(Reason)),
    st.lists(SUITES, max_size=4),
)
RATES = st.floats(min_value=0.0, max_value=1.0)
POLICIES = st.sampled_from(get_args(OnFailure))


@given(REPORTS, RATES, POLICIES)
def test_every_report_gets_a_verdict_with_its_reason(report: Report, rate: float, on_failure: OnFailure) -> None:
    """There is always a sentence, and a refusal always has a reason."""
    judged = verdict(report, min_pass_rate=rate, on_failure=on_failure)
    assert judged.sentence
    assert judged.accepted or judged.reason is not None
    assert judged.accepted or not judged.warning


@given(REPORTS, RATES)
def test_blocking_accepts_only_what_executed_and_passed_enough(report: Report, rate: float) -> None:
    """Something was executed, the rate is reached, and no suite is in trouble for anything but failures."""
    judged = verdict(report, min_pass_rate=rate, on_failure="block")
    if judged.accepted:
        assert report.total_tests > report.skipped
        assert judged.reason is None or report.pass_rate + 1e-6 >= rate
        troubled = [suite for suite in report.test_suites if suite.status not in ("passed", "skipped")]
        assert all(suite.reason == "failures" for suite in troubled)
        assert report.reason in (None, "failures")


@given(REPORTS, RATES, RATES, POLICIES)
def test_asking_for_less_never_refuses_more(report: Report, one: float, other: float, on_failure: OnFailure) -> None:
    """Monotonic in the rate."""
    low, high = sorted((one, other))
    strict = verdict(report, min_pass_rate=high, on_failure=on_failure)
    assert not strict.accepted or verdict(report, min_pass_rate=low, on_failure=on_failure).accepted


@given(REPORTS, RATES, POLICIES)
def test_a_cancelled_run_is_never_accepted(report: Report, rate: float, on_failure: OnFailure) -> None:
    """It says nothing about the revision."""
    if report.reason == "cancelled" or any(
        s.reason == "cancelled" and s.status not in ("passed", "skipped") for s in report.test_suites
    ):
        assert not verdict(report, min_pass_rate=rate, on_failure=on_failure).accepted
    elif on_failure != "block":
        assert verdict(report, min_pass_rate=rate, on_failure=on_failure).accepted
