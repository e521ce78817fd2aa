"""What is said of a suite, from how its process ended and what it reported."""

from __future__ import annotations

import signal

import pytest

from packd.domain.manifest import ResultFormat, Suite
from packd.domain.reports import Case, Reason, ReportStatus, SuiteReport
from packd.testrun.judge import Finding, judge, overall, suite_report, whole_as_case
from packd.testrun.limits import Limits, limit_named, limit_reached
from packd.testrun.parsers.tally import Tally, tally_of
from packd.testrun.processes import Killed
from packd.testrun.results import parse_text
from packd.testrun.sandbox import Spent
from packd.testrun.supervisor import Ending, Stopped

GREEN = Tally(total=3, passed=3)
RED = Tally(total=3, passed=2, failed=1)
ODD = Tally(trouble="it makes no sense")


def hungry(*messages: str) -> Tally:
    """One test passed, and these failed."""
    failed = [Case(name="t", status="error", error_message=message) for message in messages]
    return tally_of([Case(name="good", status="passed"), *failed])


def end(
    exit_code: int = 0,
    stopped: Stopped | None = None,
    *,
    output: str = "",
    left: Killed | None = None,
    cpu_s: float = 0.0,
    spent: Spent | None = None,
) -> Ending:
    return Ending(
        exit_code=exit_code,
        stopped=stopped,
        duration_ms=5.0,
        left=left or Killed(),
        output=output,
        stdout=output,
        written=len(output),
        cpu_s=cpu_s,
        spent=spent or Spent(),
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
        (
            end(5),
            Tally(total=2, skipped=2),
            "skipped",
            None,
        ),  # modules that skip themselves have no test to be collected
        (end(5), GREEN, "failed", "inconsistent"),
        (end(-signal.SIGSEGV), RED, "failed", "crash"),
        (end(-signal.SIGKILL), None, "failed", "crash"),
        (end(128 + signal.SIGABRT), GREEN, "failed", "crash"),
        (end(255), None, "failed", "failures"),
        (end(0, "timeout"), GREEN, "timed_out", "timeout"),
        (end(-15, "cancelled"), RED, "error", "cancelled"),
        (end(-9, "output"), None, "failed", "output"),
        (end(-9, "processes"), None, "failed", "processes"),
        (end(-9, "disk"), RED, "failed", "disk"),
        (end(-9, spent=Spent(oom_kills=3)), None, "failed", "memory"),
        (end(1, spent=Spent(oom_kills=1)), RED, "failed", "memory"),
        (end(1, spent=Spent(forks_refused=1)), None, "failed", "processes"),
        (end(1, spent=Spent(disk_full=True)), RED, "failed", "disk"),
        (end(0, spent=Spent(oom_kills=1)), GREEN, "passed", None),
        (end(-9, cpu_s=601.5), None, "failed", "cpu"),
        (end(128 + 9, cpu_s=600), GREEN, "failed", "cpu"),
        (end(-9, cpu_s=599), None, "failed", "crash"),
        (end(1, cpu_s=601.5), RED, "failed", "failures"),
        (end(1), hungry("Traceback…\nMemoryError", "std::bad_alloc"), "failed", "memory"),
        (end(1), hungry("Traceback…\nMemoryError", "1 != 2"), "failed", "failures"),
        (
            end(1),
            hungry("Traceback…\nMemoryError", "OSError: [Errno 28] No space left on device"),
            "failed",
            "failures",
        ),
        (end(0), hungry("Traceback…\nMemoryError"), "failed", "failures"),
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


@pytest.mark.parametrize(
    ("kind", "report", "status", "reason"),
    [
        ("json", '{"total": 5, "passed": 3, "failed": 0, "errors": 2}', "failed", "failures"),
        ("json", '{"total": 3, "passed": 3, "failed": 0, "errors": 2}', "error", "inconsistent"),
        ("json", '{"status": "failed", "total": 3, "passed": 3, "failed": 0}', "error", "inconsistent"),
        ("json", '{"success": false, "tests": [{"name": "a", "status": "passed"}]}', "error", "inconsistent"),
        ("json", '{"test_suites": [{"status": "error", "total": 1, "passed": 1}]}', "error", "inconsistent"),
        ("simple", "Passed: 3, Failed: 0, Errors: 2", "failed", "failures"),
        ("junit-xml", "<testsuite><error/><testcase name='a'/></testsuite>", "failed", "failures"),
        ("junit-xml", "<testsuite><testcase name='a' result='error'/></testsuite>", "failed", "failures"),
        ("junit-xml", "<testsuites failures='3'><testcase name='a'/></testsuites>", "error", "inconsistent"),
        ("junit-xml", f"<testsuite failures='6'><testcase><failure/></testcase>{'<testcase/>' * 9}</testsuite>", "error", "inconsistent"),
        ("tap", "1..2\nok 1\nok 7\n", "error", "inconsistent"),
        ("tap", "1..3\nok 1\nok 1\nok 1\n", "error", "inconsistent"),
    ],
)  # fmt: skip
def test_no_report_of_a_failure_passes_by_an_exit_status_of_0(
    kind: ResultFormat, report: str, status: ReportStatus, reason: Reason
) -> None:
    """Failures that are counted failed, which `min_pass_rate` may forgive; those that are only spoken of contradict it."""
    assert said(end(), parse_text(report, kind)) == (status, reason)


def test_a_runner_that_did_not_get_to_its_end_crashed() -> None:
    """Whatever it counted until then, and with exit status 0."""
    assert said(end(), GREEN, complete=False) == ("failed", "crash")


def test_a_limit_that_is_not_set_is_not_blamed() -> None:
    """0 is no limit."""
    assert limit_reached(1, "MemoryError", Limits(memory_mb=0)) is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Traceback (most recent call last):\nMemoryError", "memory"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 10 GiB\nMemoryError", "memory"),
        ("terminate called after throwing an instance of 'std::bad_alloc'\nAborted", "memory"),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "memory"),
        ("RangeError: Array buffer allocation failed", "memory"),
        ("bash: xrealloc: cannot allocate 1073741824 bytes", "memory"),
        ("sh: 1: Cannot allocate memory", "memory"),
        ("tests/run.sh: 3: Out of space", "memory"),
        ("fatal error: runtime: cannot allocate memory", "memory"),
        ("memory allocation of 10737418240 bytes failed", "memory"),
        ('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space', "memory"),
        ("OSError: [Errno 27] File too large", "disk"),
        ("cp: error writing 'x': No space left on device", "disk"),
        ("Error: ENOSPC: no space left on device, write", "disk"),
        ("tar: x: Wrote only 512 of 10240 bytes: Disk quota exceeded", "disk"),
        ("RuntimeError: can't start new thread", "processes"),
        ("bash: fork: retry: Resource temporarily unavailable", "processes"),
        ("sh: 0: Cannot fork", "processes"),
        ("Error: spawn /bin/true EAGAIN", "processes"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "processes"),
        ("java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory", "processes"),
        ("CPU time limit exceeded (core dumped)", "cpu"),
        ("AssertionError: 1 != 2", None),
        ("the fork failed to lift the space of the memory", None),
    ],
)
def test_the_words_of_a_refusal_name_their_limit(words: str, reason: Reason | None) -> None:
    """As runtimes and shells print them."""
    named = limit_named(words, Limits())
    assert (named[0] if named else None) == reason


def test_every_limit_says_its_number_and_its_setting() -> None:
    """A sentence that tells what was the most, and what to raise."""
    limits = Limits(memory_mb=11, processes=12, disk_mb=13, output_kb=14, cpu_s=15)
    for stopped, words in {"processes": ("12", "processes"), "disk": ("13", "disk_mb")}.items():
        found = judge(end(-9, stopped), None, complete=True, timeout_s=1, limits=limits, cancel_reason=None)  # type: ignore[arg-type]
        assert all(word in (found.detail or "") for word in words)
    for text, words in {
        "MemoryError": ("11 MiB", "tests.limits.memory_mb"),
        "EFBIG": ("13 MiB", "tests.limits.disk_mb"),
        "Cannot fork": ("12 processes", "tests.limits.processes"),
        "CPU time limit exceeded": ("15 s", "tests.limits.cpu_s"),
    }.items():
        reached = limit_reached(1, text, limits)
        assert reached is not None
        assert all(word in reached[1] for word in words)


def test_what_packd_stopped_is_not_blamed_on_the_system() -> None:
    """The one case of a script says which limit it was, as its suite does."""
    stopped = end(-9, "output")
    finding = judge(stopped, None, complete=True, timeout_s=1, limits=Limits(), cancel_reason=None)
    (case,) = whole_as_case(Suite(name="s", runner_type="script"), stopped, finding).cases
    assert case.error_message == finding.detail
    assert "output_kb" in (case.error_message or "")


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
    finding = Finding(status="failed", reason="failures", detail="it ended with exit status 2")
    tally = whole_as_case(Suite(name="build", runner_type="command"), end(2, output="no rule\n"), finding)
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


@pytest.mark.parametrize(("status", "words"), [(127, "was not found"), (126, "could not be executed")])
def test_what_a_shell_says_by_its_exit_status_is_put_into_words(status: int, words: str) -> None:
    """Whoever reads only the event has no output to look at."""
    finding = judge(end(status), None, complete=True, timeout_s=3.0, limits=Limits(), cancel_reason=None)
    assert words in (finding.detail or "")
