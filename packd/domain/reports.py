"""What testing found: cases in suites in a report. The JSON form is the one in the README."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CaseStatus = Literal["passed", "failed", "skipped", "error"]
ReportStatus = Literal["passed", "failed", "skipped", "partial", "error", "timed_out"]
RunReason = Literal["install", "update", "manual", "validation"]
RunSource = Literal["watch", "scan", "api", "cli", "git", "schedule"]

# Why a suite or report is not "passed"; None when it is. `no_tests`: ran, but executed no case.
# `unavailable`: could not be run at all (no interpreter, environment not built). `inconsistent`: counts that do
# not add up or a report that contradicts the exit status. `cancelled`: newer content or an operator stopped it.
# The limits that can stop a run have a word each.
Limit = Literal["memory", "processes", "disk", "output", "cpu"]
Reason = Literal["failures", "crash", "no_tests", "unavailable", "inconsistent", "cancelled", "timeout", Limit]

LIMITS: Final[tuple[Limit, ...]] = get_args(Limit)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test and how it ended."""

    name: str
    status: CaseStatus
    duration_ms: float = 0.0
    error_message: str | None = None
    stdout: str | None = None
    stderr: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return dict(vars(self))  # all plain values; `asdict` would copy each of thousands deeply


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What suites ran with, as it was resolved, or why it could not be had."""

    python: str | None = None  # the version of the interpreter; None: it does not say
    packages: tuple[str, ...] = ()  # "name==version" of what was installed for the pack, by name
    node: str | None = None  # the version of Node.js, where npm packages were installed
    node_packages: tuple[str, ...] = ()  # "name@version", by name
    # Why nothing could be run in it: what the pack asks for can't be had; or it could not be reached, or the machine lacks
    # something or ended the run, which may pass without a change of the pack.
    failed: Literal["pack", "network", "machine"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class SuiteReport:
    """One process that ran tests: its counts and its cases."""

    name: str
    runner_type: str
    status: ReportStatus
    reason: Reason | None = None  # None when passed or skipped
    detail: str | None = None  # the reason as a sentence
    total: int = 0
    passed: int = 0
    failed: int = 0  # failures and errors
    skipped: int = 0
    duration_ms: float = 0.0
    exit_code: int | None = None  # negative: the signal that ended it; None: never started
    test_cases: tuple[Case, ...] = ()
    output_tail: str = ""  # the end of what it printed, stdout and stderr together
    environment: Environment | None = None  # where it has requirements of its own; otherwise the report's
    network: bool = False  # it asked for the network, and was let
    network_denied: bool = False  # it asked for the network, and tests.network denies it

    def bare(self) -> SuiteReport:
        """How it ended and its counts, without what may be long."""
        return replace(self, test_cases=(), output_tail="")

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return vars(self) | {
            "test_cases": [case.to_dict() for case in self.test_cases],
            "environment": self.environment.to_dict() if self.environment else None,
        }


@dataclass(frozen=True, kw_only=True)
class Report:
    """All suites of one revision, run once."""

    pack_ref: str
    pack_version: str
    status: ReportStatus
    reason: Reason | None = None
    detail: str | None = None
    execution_time: str  # RFC 3339 in UTC: when the run began
    duration_ms: float
    isolation: str  # what kept it apart from the machine, e.g. "basic"
    not_contained: tuple[str, ...] = ()  # what that leaves open on this machine, as sentences
    test_suites: tuple[SuiteReport, ...] = ()
    environment: Environment | None = None  # None: nothing was run

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of single suites, as sentences: why one did not pass, or what it should not have done. Of a
        run that came to none: why."""
        of_all = (self.detail,) if self.detail and not self.test_suites else ()
        return of_all or notes(map(vars, self.test_suites))

    @property
    def total_tests(self) -> int:
        return sum(suite.total for suite in self.test_suites)

    @property
    def passed(self) -> int:
        return sum(suite.passed for suite in self.test_suites)

    @property
    def failed(self) -> int:
        return sum(suite.failed for suite in self.test_suites)

    @property
    def skipped(self) -> int:
        return sum(suite.skipped for suite in self.test_suites)

    @property
    def pass_rate(self) -> float:
        """passed / (total - skipped); 0.0 when nothing was executed."""
        executed = self.total_tests - self.skipped
        return self.passed / executed if executed > 0 else 0.0

    def failing_cases(self) -> tuple[tuple[str, Case], ...]:
        """(suite name, case) of everything that failed, in the order it ran."""
        return tuple(
            (suite.name, case)
            for suite in self.test_suites
            for case in suite.test_cases
            if case.status in ("failed", "error")
        )

    def output_tail(self, limit: int = 4096) -> str:
        """The last `limit` characters printed by the first suite that did not pass."""
        troubled = (suite for suite in self.test_suites if suite.status not in ("passed", "skipped"))
        suite = next(troubled, None)
        return suite.output_tail[-limit:] if suite else ""

    def counts(self) -> dict[str, int]:
        return {"total": self.total_tests, "passed": self.passed, "failed": self.failed, "skipped": self.skipped}

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the sums that readers expect beside the suites."""
        return {
            "pack_ref": self.pack_ref,
            "pack_version": self.pack_version,
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
            "execution_time": self.execution_time,
            "total_tests": self.total_tests,
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "pass_rate": round(self.pass_rate, 4),
            "duration_ms": self.duration_ms,
            "isolation": self.isolation,
            "not_contained": list(self.not_contained),
            "environment": self.environment.to_dict() if self.environment else None,
            "test_suites": [suite.to_dict() for suite in self.test_suites],
        }


def notes(suites: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The same of suites in their JSON form."""
    return tuple(f"suite {suite['name']}: {suite['detail']}" for suite in suites if suite["detail"])


def reservations(report: Mapping[str, Any]) -> list[str]:
    """What has to be known beside the outcome, of a report in its JSON form; those of an older packd say less."""
    gaps = "; ".join(report.get("not_contained", ()))
    return [
        *([f"isolation: {report['isolation']}, but {gaps}"] if gaps else []),
        *(
            f"suite {suite['name']}: its `network: true` did not count, because tests.network is deny"
            for suite in report["test_suites"]
            if suite.get("network_denied")
        ),
    ]
