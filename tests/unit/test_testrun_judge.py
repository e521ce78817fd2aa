"""What is said of a suite, from how its process ended and what it reported."""

from __future__ import annotations

import signal

import pytest

from packd.domain.manifest import Suite
from packd.domain.reports import Reason, ReportStatus, SuiteReport
from packd.testrun.judge import judge, overall, suite_report, whole_as_case
from packd.testrun.limits import Limits, limit_reached
from packd.testrun.parsers.tally import Tally
from packd.testrun.processes import Killed
from packd.testrun.supervisor import Ending, Stopped

GREEN = Tally(total=3, passed=3)
RED = Tally(total=3, passed=2, failed=1)
ODD = Tally(trouble="it makes no sense")


def end(exit_code: int = 0, stopped: Stopped | None = None, *, output: str = "", left: Killed | None = None) -> Ending:
    return Ending(
        exit_code=exit_code,
        stopped=stopped,
        duration_ms=5.0,
        left=left or Killed(),
        output=output,
        stdout=output,
        written=len(output),
    )


def said(ending: Ending, tally: Tally | None, *, complete: bool = True) -> tuple[ReportStatus, Reason | None]:
    finding = judge(ending, tally, complete=complete, timeout_s=3.0, limits=Limits(), cancel_reason="enough")
    assert finding.status in ("passed",) or finding.detail
    return finding.status, finding.reason


@pytest.mark.parametrize(
    ("ending", "tally", "status", "reason"),
    [
        (end(), GREEN, "passed", None),
        (end(), None, "passed", None),
        (end(1), None, "failed", "failures"),
        (end(), RED, "failed", "failures"),
        (end(1), RED, "failed", "failures"),
        (end(1), GREEN, "failed", "inconsistent"),
        (end(), ODD, "error", "inconsistent"),
        (end(2), ODD, "failed", "crash"),
        (end(), Tally(), "error", "no_tests"),
        (end(5), Tally(), "error", "no_tests"),
        (end(1), Tally(), "failed", "crash"),
        (end(), Tally(total=2, skipped=2), "skipped", None),
        (end(-signal.SIGSEGV), RED, "failed", "crash"),
        (end(-signal.SIGKILL), None, "failed", "crash"),
        (end(128 + signal.SIGABRT), GREEN, "failed", "crash"),
        (end(255), None, "failed", "failures"),
        (end(0, "timeout"), GREEN, "timed_out", "timeout"),
        (end(-15, "cancelled"), RED, "error", "cancelled"),
        (end(-9, "output"), None, "failed", "output"),
        (end(-9, "processes"), None, "failed", "processes"),
        (end(1, output="Traceback…\nMemoryError\n"), None, "failed", "memory"),
        (end(1, output="Traceback…\nMemoryError\n"), RED, "failed", "failures"),
        (end(0, output="handled a MemoryError\n"), GREEN, "passed", None),
        (end(-signal.SIGXCPU), RED, "failed", "cpu"),
        (end(128 + signal.SIGXFSZ), None, "failed", "disk"),
    ],
)
def test_the_exit_status_decides_and_the_report_explains(
    ending: Ending, tally: Tally | None, status: ReportStatus, reason: Reason | None
) -> None:
    """Stopped, limited, crashed, unbelievable, failed, empty, passed: in this order."""
    assert said(ending, tally) == (status, reason)


def test_a_runner_that_did_not_get_to_its_end_crashed() -> None:
    """Whatever it counted until then, and with exit status 0."""
    assert said(end(), GREEN, complete=False) == ("failed", "crash")


def test_a_limit_that_is_not_set_is_not_blamed() -> None:
    """0 is no limit."""
    assert limit_reached(1, "MemoryError", Limits(memory_mb=0)) is None


def test_what_was_left_running_is_mentioned_and_changes_nothing() -> None:
    """A warning in the detail of a suite that passed."""
    suite = Suite(name="s", runner_type="script")
    finding = judge(end(), GREEN, complete=True, timeout_s=1, limits=Limits(), cancel_reason=None)
    made = suite_report(suite, end(left=Killed(count=2)), GREEN, finding)
    assert (made.status, made.reason) == ("passed", None)
    assert "left 2 processes running" in (made.detail or "")
    assert "left 2 processes running" in (overall([made]).detail or "")


def test_what_outlived_its_killing_is_mentioned() -> None:
    """By number, so that a person can look."""
    finding = judge(end(), GREEN, complete=True, timeout_s=1, limits=Limits(), cancel_reason=None)
    made = suite_report(
        Suite(name="s", runner_type="script"), end(left=Killed(count=1, stubborn=(4711,))), GREEN, finding
    )
    assert "4711" in (made.detail or "")


def test_a_program_that_only_ends_is_one_case() -> None:
    """Named after the suite, with what it printed."""
    tally = whole_as_case(Suite(name="build", runner_type="command"), end(2, output="no rule\n"))
    assert [(case.name, case.status, case.stdout) for case in tally.cases] == [("build", "failed", "no rule\n")]


def suite(status: ReportStatus, reason: Reason | None = None, passed: int = 0) -> SuiteReport:
    return SuiteReport(
        name=status, runner_type="script", status=status, reason=reason, detail="why", total=passed, passed=passed
    )


PASSED = suite("passed", passed=1)


@pytest.mark.parametrize(
    ("suites", "status", "reason"),
    [
        ([], "error", "no_tests"),
        ([PASSED], "passed", None),
        ([PASSED, suite("skipped")], "passed", None),
        ([suite("skipped")], "skipped", "no_tests"),
        ([PASSED, suite("failed", "failures")], "partial", "failures"),
        ([PASSED, suite("error", "no_tests")], "partial", "no_tests"),
        ([suite("failed", "failures"), suite("failed", "crash")], "failed", "crash"),
        ([suite("failed", "failures"), suite("error", "unavailable")], "failed", "unavailable"),
        ([suite("timed_out", "timeout"), suite("failed", "failures")], "timed_out", "timeout"),
        ([suite("error", "unavailable")], "error", "unavailable"),
        ([PASSED, suite("failed", "crash"), suite("error", "cancelled")], "error", "cancelled"),
    ],
)
def test_suites_make_a_run(suites: list[SuiteReport], status: ReportStatus, reason: Reason | None) -> None:
    """Some passed and some did not: partial; the gravest reason; cancelled is cancelled."""
    finding = overall(suites)
    assert (finding.status, finding.reason) == (status, reason)
