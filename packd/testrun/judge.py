"""From how a process ended and what it reported to what is said of the suite, and from suites to the report. Pure.

The exit status decides and the report explains: a suite passes only if its process ended with 0 *and* its report shows
no failure, adds up, and has a test in it that was executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.domain.reports import Case, SuiteReport
from packd.testrun.limits import ending_signal, limit_named, limit_reached, sentence
from packd.testrun.parsers.tally import Tally, tally_of
from packd.testrun.parsers.text import ending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.domain.manifest import Suite
    from packd.domain.reports import Limit, Reason, ReportStatus
    from packd.testrun.limits import Limits
    from packd.testrun.supervisor import Ending

_TAIL: Final = 16_384  # characters of output that go into the report
_CASE_OUTPUT: Final = 8_192  # characters, for a script that is one case
_NO_TESTS_COLLECTED: Final = 5  # exit status of pytest, and of packd's unittest runner
_AS_A_SHELL_SAYS: Final = {126: " (a program could not be executed)", 127: " (a program was not found)"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is said of one suite."""

    status: ReportStatus
    reason: Reason | None = None
    detail: str | None = None  # a sentence; None when there is nothing to say


def suite_report(suite: Suite, end: Ending, tally: Tally, finding: Finding) -> SuiteReport:
    """The suite's part of the report. What it left running is mentioned, and changes nothing."""
    left = end.left.count if end.stopped is None else 0
    notes = [finding.detail] if finding.detail else []
    if left:
        notes.append(f"it left {left} {'process' if left == 1 else 'processes'} running, which packd killed")
    if end.left.stubborn:
        notes.append(f"processes {', '.join(map(str, end.left.stubborn))} were killed and are not gone")
    return SuiteReport(
        name=suite.name,
        runner_type=suite.runner_type,
        status=finding.status,
        reason=finding.reason,
        detail="; ".join(notes) or None,
        total=tally.total,
        passed=tally.passed,
        failed=tally.failed,
        skipped=tally.skipped,
        duration_ms=end.duration_ms,
        exit_code=end.exit_code,
        test_cases=tally.cases,
        output_tail=ending(end.output, _TAIL),
    )


def not_run(suite: Suite, reason: Reason, detail: str) -> SuiteReport:
    """A suite that was never started."""
    return SuiteReport(name=suite.name, runner_type=suite.runner_type, status="error", reason=reason, detail=detail)


def whole_as_case(suite: Suite, end: Ending, finding: Finding) -> Tally:
    """A program that tells nothing but its exit status is one case, named after the suite."""
    ok = finding.status == "passed"
    case = Case(
        name=suite.name,
        status="passed" if ok else "failed",
        duration_ms=end.duration_ms,
        error_message=None if ok else finding.detail,
        stdout=ending(end.output, _CASE_OUTPUT) or None,
    )
    return tally_of([case])


def judge(
    end: Ending, tally: Tally | None, *, complete: bool, timeout_s: float, limits: Limits, cancel_reason: str | None
) -> Finding:
    """The first of these that is true: it was stopped, it hit a limit, it can't be believed, it failed, it passed.

    `tally` is None where the exit status is all that there is; `complete` is False when packd's own runner in the
    process did not get to its end.
    """
    return (
        _stopped(end, timeout_s=timeout_s, limits=limits, cancel_reason=cancel_reason)
        or _limited(end, tally, limits)
        or _crashed(end, complete=complete)
        or (_by_exit_status(end) if tally is None else _by_tally(end, tally))
    )


def _stopped(end: Ending, *, timeout_s: float, limits: Limits, cancel_reason: str | None) -> Finding | None:
    """What packd itself stopped it for."""
    match end.stopped:
        case "cancelled":
            return Finding(status="error", reason="cancelled", detail=cancel_reason or "the run was cancelled")
        case "timeout":
            said = f"it did not end within {timeout_s:g} s; make it faster, or raise its `timeout`"
            return Finding(status="timed_out", reason="timeout", detail=said)
        case "output":
            return Finding(status="failed", reason="output", detail=_flood(end))
        case "processes":
            said = f"it ran more than {limits.processes} processes at once; use fewer, or raise tests.limits.processes"
            return Finding(status="failed", reason="processes", detail=said)
        case "disk":
            said = f"its folder held more than {limits.disk_mb} MiB beside the pack, or too many files for that"
            return Finding(status="failed", reason="disk", detail=f"{said}; write less, or raise tests.limits.disk_mb")
        case None:
            return None


def _flood(end: Ending) -> str:
    if end.told > end.written:
        return f"its runner reported {end.told >> 20} MiB and more, which no tests need"
    return f"it printed {end.written >> 20} MiB and more; print less, or raise tests.limits.output_kb"


def _limited(end: Ending, tally: Tally | None, limits: Limits) -> Finding | None:
    """A limit ended it from inside. Where failures were counted one by one, those are the reason, unless each of them
    is about the same limit."""
    if end.exit_code == 0:
        return None
    counted = _counted_by_kernel(end, limits)
    if counted is not None:
        return Finding(status="failed", reason=counted[0], detail=counted[1])
    if tally and tally.failed and ending_signal(end.exit_code) is None:
        reached = _limit_of_all(tally, limits)
    else:
        reached = limit_reached(end.exit_code, end.output, limits, cpu_s=end.cpu_s)
    return Finding(status="failed", reason=reached[0], detail=reached[1]) if reached else None


def _counted_by_kernel(end: Ending, limits: Limits) -> tuple[Limit, str] | None:
    """What the kernel itself refused or ended, where the rung can tell."""
    if end.spent.oom_kills and limits.memory_mb:
        said = f"all its processes together, with its files in memory, took more than {limits.memory_mb} MiB of memory"
        return "memory", f"{said}; use less, or raise tests.limits.memory_mb"
    met: dict[Limit, bool] = {"processes": end.spent.forks_refused > 0, "disk": end.spent.disk_full}
    return next(
        ((limit, said) for limit, refused in met.items() if refused and (said := sentence(limit, limits))), None
    )


def _limit_of_all(tally: Tally, limits: Limits) -> tuple[Reason, str] | None:
    failing = [case for case in tally.cases if case.status in ("failed", "error")]
    named = {limit_named(case.error_message or "", limits) for case in failing}
    return named.pop() if len(named) == 1 and len(failing) == tally.failed else None


def _crashed(end: Ending, *, complete: bool) -> Finding | None:
    """It ended in the middle. What was counted until then says little about the rest."""
    if ending_signal(end.exit_code) is not None:
        return Finding(status="failed", reason="crash", detail=exit_words(end.exit_code))
    if not complete:
        said = f"{exit_words(end.exit_code)} before its tests were done"
        return Finding(status="failed", reason="crash", detail=said)
    return None


def _by_exit_status(end: Ending) -> Finding:
    if end.exit_code == 0:
        return Finding(status="passed")
    return Finding(status="failed", reason="failures", detail=exit_words(end.exit_code))


def _by_tally(end: Ending, tally: Tally) -> Finding:
    return _unbelievable(end, tally) or _failing(end, tally) or _passing(tally)


def _unbelievable(end: Ending, tally: Tally) -> Finding | None:
    """A report that is no report. If the process failed, that comes first and the report is only mentioned."""
    if tally.trouble is None:
        return None
    if end.exit_code != 0:
        return Finding(status="failed", reason="crash", detail=f"{exit_words(end.exit_code)}, and {tally.trouble}")
    return Finding(status="error", reason="inconsistent", detail=tally.trouble)


def _failing(end: Ending, tally: Tally) -> Finding | None:
    if tally.failed:
        although = ", although its exit status is 0" if end.exit_code == 0 else ""
        said = f"{tally.failed} of {tally.total - tally.skipped} tests failed{although}"
        return Finding(status="failed", reason="failures", detail=said)
    if end.exit_code == 0 or (end.exit_code == _NO_TESTS_COLLECTED and tally.total == tally.skipped):
        return None
    said = exit_words(end.exit_code)
    if tally.total == 0:
        return Finding(status="failed", reason="crash", detail=f"{said} before it reported a test")
    said = f"{said}, although no test that it reported failed"
    return Finding(status="failed", reason="inconsistent", detail=said)


def _passing(tally: Tally) -> Finding:
    if tally.passed:
        return Finding(status="passed")
    if tally.skipped:
        return Finding(status="skipped", detail=f"all {tally.skipped} tests were skipped")
    return Finding(status="error", reason="no_tests", detail="it executed no test; check its entry_point")


def exit_words(exit_code: int) -> str:
    """How a process ended, in words."""
    number = ending_signal(exit_code)
    if number is None:
        return f"it ended with exit status {exit_code}{_AS_A_SHELL_SAYS.get(exit_code, '')}"
    if number.name == "SIGKILL":
        return "it was killed (SIGKILL); packd did not do that, perhaps the system ran out of memory"
    return f"it was ended by a signal ({number.name})"


# --- the whole run ---------------------------------------------------------------------------------------------------


def overall(suites: Sequence[SuiteReport]) -> Finding:
    """What is said of the run. The reason is the gravest; `failures` only when nothing else is wrong."""
    if not suites:
        return Finding(status="error", reason="no_tests", detail="the pack has no suite; declare one under `testing:`")
    troubled = [suite for suite in suites if suite.status not in ("passed", "skipped")]
    if not troubled:
        return _overall_passing(suites)
    worst = next((suite for suite in troubled if suite.reason == "cancelled"), None)
    worst = worst or next((suite for suite in troubled if suite.reason != "failures"), troubled[0])
    detail = f"suite '{worst.name}': {worst.detail}" if worst.detail else None
    return Finding(status=_overall_status(suites, troubled), reason=worst.reason, detail=detail)


def _overall_passing(suites: Sequence[SuiteReport]) -> Finding:
    if any(suite.passed for suite in suites):
        notes = [f"suite '{suite.name}': {suite.detail}" for suite in suites if suite.detail]
        return Finding(status="passed", detail="; ".join(notes) or None)
    return Finding(status="skipped", reason="no_tests", detail="no test was executed: all were skipped")


def _overall_status(suites: Sequence[SuiteReport], troubled: Sequence[SuiteReport]) -> ReportStatus:
    if any(suite.reason == "cancelled" for suite in troubled):
        return "error"
    if any(suite.status == "passed" for suite in suites):
        return "partial"
    statuses = {suite.status for suite in troubled}
    return next(status for status in ("timed_out", "failed", "error") if status in statuses)
