"""A report as people who run pytest like to read it: suites, then what failed and why, then one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.screen import Cell, cell, flow, paragraph, terminal_columns, word
from packd.cli.text import duration, gist, one_line, plural, width
from packd.domain.printing import clean
from packd.domain.reports import reservations

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKS: Final = {"passed": ("✓", "green"), "failed": ("✗", "red"), "error": ("✗", "red"), "skipped": ("-", "yellow")}
_RULE: Final = 80  # columns, where nobody says how many there are
_TAIL_LINES: Final = 40
_HANGING: Final = "  "


def print_report(report: dict[str, Any], *, verdict: str | None, accepted: bool | None, verbose: bool = False) -> None:
    """`report` in its JSON form; `verdict` is what follows from it, in words."""
    for suite in report["test_suites"]:
        _suite(suite, verbose=verbose)
    failing = list(_failing(report))
    troubled = [suite for suite in report["test_suites"] if _says_more(suite)]
    if failing or troubled:
        _rule("FAILURES")
    for suite, case in failing:
        _failure(suite, case)
    for suite in troubled:
        _trouble(suite)
    if failing:
        _rule("short summary")
    for suite, case in failing:
        failed, why = cell(case["status"].upper(), colour="red"), gist(case["error_message"])
        flow(failed, f" {_name(suite, case)}{why and f' - {why}'}", hanging=_HANGING)
    for reservation in reservations(report):
        paragraph(clean(reservation), dim=True)
    _bottom_line(report, verdict, accepted)


def _suite(suite: dict[str, Any], *, verbose: bool) -> None:
    flow(
        cell(suite["name"], bold=True),
        f" ({suite['runner_type']}) ",
        word(suite["status"]),
        f": {_counts(suite, 'total')} in {duration(suite['duration_ms'])}",
        hanging=_HANGING,
    )
    if verbose:
        for case in suite["test_cases"]:
            print_case(case["name"], case["status"], case["duration_ms"])


def print_case(name: str, status: str, duration_ms: float) -> None:
    """One case on a line."""
    mark, colour = _MARKS.get(status, ("?", "yellow"))
    took = cell(duration(duration_ms), faint=True)
    flow("  ", cell(mark, colour=colour), f" {one_line(name)} ", took, hanging="    ")


def _failing(report: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for suite in report["test_suites"]:
        for case in suite["test_cases"]:
            if case["status"] in ("failed", "error"):
                yield suite, case


def _says_more(suite: dict[str, Any]) -> bool:
    """A suite in trouble whose cases do not tell why."""
    told = suite["reason"] == "failures" and any(case["error_message"] for case in suite["test_cases"])
    return suite["status"] not in ("passed", "skipped") and not told


def _failure(suite: dict[str, Any], case: dict[str, Any]) -> None:
    _rule(_name(suite, case), character="_", colour="red")
    click.echo(clean(case["error_message"] or "it did not say why").rstrip())
    for stream in ("stdout", "stderr"):
        if case[stream]:
            _rule(f"captured {stream}", character="-")
            click.echo(clean(case[stream]).rstrip())


def _trouble(suite: dict[str, Any]) -> None:
    _rule(f"suite {suite['name']} [{suite['reason']}]", character="_", colour="red")
    for line in clean(suite["detail"] or "").splitlines():
        paragraph(line)
    tail = clean(suite["output_tail"]).rstrip().splitlines()[-_TAIL_LINES:]
    if tail:
        _rule("the end of its output", character="-")
        click.echo("\n".join(tail))


def _bottom_line(report: dict[str, Any], verdict: str | None, accepted: bool | None) -> None:
    good = report["status"] == "passed"
    colour = "green" if good else "red" if not accepted else "yellow"
    untold = sum(1 for suite in report["test_suites"] if _says_more(suite) and not suite["failed"])
    counts = _counts(report, "total_tests") + (f", {plural(untold, 'suite')} in trouble" if untold else "")
    _rule(f"{counts} in {duration(report['duration_ms'])}", colour=colour)
    if verdict and not good:
        decided = Cell(text="accepted: " if accepted else "not accepted: ", colour=colour, bold=True)
        flow(decided, one_line(verdict), hanging=_HANGING)


def _counts(counted: dict[str, Any], total: str) -> str:
    parts = [f"{counted[key]} {key}" for key in ("failed", "passed", "skipped") if counted[key]]
    return ", ".join(parts) if parts else plural(counted[total], "test")


def _name(suite: dict[str, Any], case: dict[str, Any]) -> str:
    return one_line(f"{suite['name']}: {case['name']}")


def _rule(title: str, *, character: str = "=", colour: str | None = None) -> None:
    """The title in the middle of a line; one that is longer than a line is folded."""
    title = one_line(title)
    room = max(0, (terminal_columns() or _RULE) - width(title) - 2)
    left = room // 2
    ruled = f"{character * left} {title} {character * (room - left)}".strip()
    paragraph(ruled, fg=colour, bold=True if colour else None)
