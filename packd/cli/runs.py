"""`packd tests`: the runs of a pack's tests."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, note, say_json, table, word
from packd.cli.text import ago, duration
from packd.client import part

if TYPE_CHECKING:
    from packd.client import Client


@click.command("tests")
@click.argument("ref")
@click.option("--run", "run_id", metavar="ID", help="One run with its report; `latest` is the newest.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="At most so many runs.")
@as_json
@asks_daemon
def command(client: Client, ref: str, run_id: str | None, last: int, as_json: bool) -> None:
    """The runs of a pack's tests, newest first.

    \b
    Examples:
      packd tests core
      packd tests core --run latest
    """
    if run_id is not None:
        _one(client, ref, run_id, as_json=as_json)
        return
    runs = list(islice(client.items(f"/packs/{part(ref)}/tests"), last))
    if as_json:
        say_json(runs)
    elif runs:
        table(("RUN", "REVISION", "RESULT", "TESTS", "TOOK", "WHEN", "WHY", "BY"), [_row(run) for run in runs])
    else:
        note(f"the tests of '{ref}' never ran; `packd test {ref}` runs them now")


def _one(client: Client, ref: str, run_id: str, *, as_json: bool) -> None:
    from packd.cli.report import print_report

    run = client.get(f"/packs/{part(ref)}/tests/{part(run_id)}")["data"]
    if as_json:
        say_json(run)
    elif run["report"] is None:
        note(f"{run['id']} has not ended yet")
    else:
        print_report(run["report"], verdict=run["verdict"], accepted=run["accepted"], verbose=True)


def _row(run: dict[str, Any]) -> list[Cell]:
    known = run["total_tests"] is not None
    return [
        cell(run["id"]),
        cell(f"#{run['revision']}"),
        word(run["status"]),
        cell(f"{run['passed']}/{run['total_tests'] - run['skipped']}" if known else None),
        cell(duration(run["duration_ms"])),
        cell(ago(run["started_at"])),
        cell(run["trigger_reason"]),
        cell(run["source"]),
    ]
