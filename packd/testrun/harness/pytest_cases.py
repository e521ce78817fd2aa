"""Runs pytest and reports each test: `python pytest_cases.py [pytest's own arguments]`, in the pack's root.

As `python -m pytest` with one plugin more. PACKD_PYTEST_FALLBACK names a folder to take pytest from when the
interpreter has none. A sub-test is a case of its own. Exit status: pytest's.
"""

# Executed by the pack's interpreter: nothing newer than Python 3.8, nothing but the standard library.

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packd.testrun.harness.packd_case_stream import CaseStream, pass_for, take_python_path
else:
    from packd_case_stream import CaseStream, pass_for, take_python_path

ENDS = ("passed", "failed", "skipped")  # other words are of plugins, for an attempt after which they try once more
USAGE_ERROR = 4  # pytest's exit status when its command line or configuration is wrong
CONTAINS_FAILED = "contains "  # how pytest's own summary of failed sub-tests begins


class CaseReporter:
    """A pytest plugin. A test has up to three reports (setup, call, teardown); the case is told at the last."""

    def __init__(self, stream: CaseStream) -> None:
        self.stream = stream
        self.cases = 0
        self._cut_short = False
        self._reports: dict[str, list[Any]] = {}
        self._subtests: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.stream.start(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if hasattr(report, "context"):
            self._subtests.add(report.nodeid)
            self._tell(report.nodeid + " " + describe(report), [report])
            return
        if report.outcome not in ENDS:
            self._reports.pop(report.nodeid, None)
            return
        reports = self._reports.setdefault(report.nodeid, [])
        reports.append(report)
        if report.when == "teardown":
            del self._reports[report.nodeid]
            self._finish(report.nodeid, reports)

    def pytest_collectreport(self, report: Any) -> None:
        """A file that can't be imported, or skips itself, is a case."""
        if report.failed or (report.skipped and report.nodeid):
            self._tell(report.nodeid or "collection", [report], broken="error")

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        """Pytest interrupts itself by other exceptions, such as after a failure, and then the cases say why."""
        import pytest

        self._cut_short = excinfo.type in (KeyboardInterrupt, pytest.exit.Exception)

    def pytest_sessionfinish(self) -> None:
        """A stream without its end says that not all tests were done, or not one of them to its end."""
        if self._cut_short or any(only_begun(reports) for reports in self._reports.values()):
            return
        for nodeid, reports in self._reports.items():  # their teardown never came
            self._finish(nodeid, reports)
        self.stream.end()

    def _finish(self, nodeid: str, reports: list[Any]) -> None:
        if all(report.when != "call" and report.passed for report in reports):
            return  # it was only set up, or another attempt was what counts
        own = [report for report in reports if not str(report.longrepr or "").startswith(CONTAINS_FAILED)]
        if nodeid not in self._subtests:
            self._tell(nodeid, reports)
        elif any(report.failed for report in own):
            self._tell(nodeid, own)
        self._subtests.discard(nodeid)

    def _tell(self, name: str, reports: list[Any], broken: str = "failed") -> None:
        self.cases += 1
        worst = next((report for report in reports if report.failed), None)
        worst = worst or next((report for report in reports if report.skipped), reports[-1])
        status = worst.outcome
        if status == "failed":
            status = broken if getattr(worst, "when", "call") in ("call", "collect") else "error"
        self.stream.case(
            name,
            status,
            duration_ms=round(sum(getattr(report, "duration", 0.0) for report in reports) * 1000, 3),
            error_message=explain(worst),
            stdout=reports[-1].capstdout,
            stderr=reports[-1].capstderr,
        )


def only_begun(reports: list[Any]) -> bool:
    """Is nothing known of the test but that it was set up?"""
    return all(report.when == "setup" and report.passed for report in reports)


def describe(report: Any) -> str:
    """Which sub-test it is: its message and its values."""
    message = [] if report.context.msg is None else [f"[{report.context.msg}]"]
    values = [f"{name}={value}" for name, value in report.context.kwargs.items()]
    return " ".join(message + ([f"({', '.join(values)})"] if values else [])) or "(<subtest>)"


def explain(report: Any) -> str:
    if report.skipped and hasattr(report, "wasxfail"):
        return f"expected failure: {report.wasxfail}".rstrip(": ")
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return str(report.longreprtext) if report.longrepr else ""


def find_pytest(stream: CaseStream) -> Any:
    """The module, from the pack's interpreter or from the fallback; None, and said so, when neither has a usable one."""
    fallback = os.environ.pop("PACKD_PYTEST_FALLBACK", "")
    try:
        import pytest
    except ImportError as missing:
        trouble: Exception = missing
    else:
        return pytest
    if fallback:
        sys.path.append(fallback)
        try:
            import pytest
        except (ImportError, SyntaxError, TypeError, AttributeError) as unfit:
            trouble = unfit
        else:
            return pytest
    version = ".".join(str(part) for part in sys.version_info[:2])
    stream.unavailable(f"pytest can't be imported by Python {version} ({sys.executable}): {trouble}")
    return None


def main(arguments: list[str]) -> int:
    sys.path[0] = str(Path.cwd())  # as `python -m pytest` has it, in place of this file's folder
    take_python_path()
    pass_for("pytest")
    stream = CaseStream()
    pytest = find_pytest(stream)
    if pytest is None:
        return 3
    reporter = CaseReporter(stream)
    status = int(pytest.main(arguments, plugins=[reporter]))
    if status == USAGE_ERROR and not reporter.cases:
        stream.unavailable("pytest refuses its command line or configuration; what it printed says why")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
