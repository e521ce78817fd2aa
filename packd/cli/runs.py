"""`packd tests`: the runs of packs' tests."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.completing import complete_refs
from packd.cli.moments import moment
from packd.cli.options import as_json, asks_daemon, checked_ref
from packd.cli.screen import Cell, cell, flow, note, say_json, table, word
from packd.cli.text import ago, duration, one_line, plural
from packd.client import part
from packd.domain.numbers import MOST

if TYPE_CHECKING:
    from packd.client import Client

_STATUSES: Final = ("passed", "failed", "partial", "skipped", "error", "timed_out", "running")
_TRIGGERS: Final = ("install", "update", "manual", "validation")


@click.command("tests")
@click.argument("ref", required=False, callback=checked_ref, shell_complete=complete_refs)
@click.option("--run", "run_id", metavar="ID", help="One run with its report; `latest` is the newest.")
@click.option("--follow", "-f", is_flag=True, help="The newest run, case by case while it is under way.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these; repeatable.")
@click.option("--trigger", "triggers", multiple=True, type=click.Choice(_TRIGGERS), help="Only runs for this reason.")
@click.option("--since", callback=moment, metavar="WHEN", help="Only since then: 30m, 2h, 3d, 1w, or a date.")
@click.option("--last", type=click.IntRange(1, MOST), default=20, show_default=True, help="At most so many runs.")
@as_json
@asks_daemon
def command(
    client: Client,
    ref: str | None,
    run_id: str | None,
    follow: bool,
    statuses: tuple[str, ...],
    triggers: tuple[str, ...],
    since: str | None,
    last: int,
    as_json: bool,
) -> None:
    """The runs of a pack's tests, newest first; without REF those of all packs.

    Cases that had different outcomes on the same content are flaky, and counted as such.

    \b
    Examples:
      packd tests core
      packd tests core --run latest
      packd tests core --follow
      packd tests --status failed --since 2d

    Exit status: 0 fine, 1 there is no such pack or run, 3 no daemon answers.
    """
    if run_id is not None or follow:
        if ref is None:
            raise click.UsageError("--run and --follow need the pack: packd tests REF")
        run_id = run_id or "latest"
        if follow:
            run_id = _awaited(client, ref, run_id)  # by then another one may be the newest
        _one(client, ref, run_id, as_json=as_json)
        return
    path = f"/packs/{part(ref)}/tests" if ref else "/packs/tests"
    asked: dict[str, Any] = {"status": list(statuses), "trigger": list(triggers), "since": since}
    runs = list(islice(client.items(path, **asked), last))
    if as_json:
        say_json(runs)
    elif runs:
        _print(runs, of_all=ref is None)
    elif statuses or triggers or since:
        note("no run fits")
    else:
        note(f"the tests of '{ref}' never ran; `packd test {ref}` runs them now" if ref else "no tests ever ran")


def _print(runs: list[dict[str, Any]], *, of_all: bool) -> None:
    header = ["RUN", *(["PACK"] if of_all else []), "REVISION", "RESULT", "TESTS", "TOOK", "WHEN", "WHY", "BY", ""]
    table(
        header,
        [_row(run, of_all=of_all) for run in runs],
        spare=("BY", "WHY", "TOOK", "REVISION", *(("RUN",) if of_all else ()), "WHEN", "TESTS", ""),
        whole=("RUN",),
    )


def _awaited(client: Client, ref: str, run_id: str) -> str:
    """The id of the run, when it has ended; a line says how far it is."""
    from packd.cli.live import progress

    with progress(f"testing {ref}") as line:
        return str(client.follow_run(ref, run_id, on_message=line.on_message)["data"]["id"])


def _one(client: Client, ref: str, run_id: str, *, as_json: bool) -> None:
    from packd.cli.report import print_report

    run = client.get(f"/packs/{part(ref)}/tests/{part(run_id)}")["data"]
    if as_json:
        say_json(run)
        return
    if run["report"] is None:
        note(f"{run['id']} has not ended yet")
        return
    print_report(run["report"], verdict=run["verdict"], accepted=run["accepted"], verbose=True)
    for one in run["flaky"]:
        flow(cell("flaky", colour="yellow"), f" {one_line(flaky_case(one))}", hanging="  ")


def flaky_case(one: dict[str, Any]) -> str:
    """E.g. `python: test_clock passed 3 times and failed once on the same content`."""
    times = " and ".join(f"{verb} {_times(one[verb])}" for verb in ("passed", "failed"))
    return f"{one['suite']}: {one['name']} {times} on the same content"


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def _row(run: dict[str, Any], *, of_all: bool) -> list[Cell]:
    known = run["total_tests"] is not None
    return [
        cell(run["id"]),
        *([cell(run["ref"], bold=True)] if of_all else []),
        cell(f"#{run['revision']}"),
        word(run["status"]),
        cell(f"{run['passed']}/{run['total_tests'] - run['skipped']}" if known else None),
        cell(duration(run["duration_ms"])),
        cell(ago(run["started_at"])),
        cell(run["trigger_reason"]),
        cell(run["source"]),
        Cell(text=plural(len(run["flaky"]), "flaky case") if run["flaky"] else "", colour="yellow"),
    ]
