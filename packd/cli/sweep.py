"""`packd sweep`: remove what the retention policy does not keep, or only say what that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import cell, say, say_json, table
from packd.cli.text import plural

if TYPE_CHECKING:
    from packd.cli.screen import Cell
    from packd.client import Client


@click.command("sweep")
@click.option("--dry-run", is_flag=True, help="Only say what is kept, what would go, and why.")
@as_json
@asks_daemon
def command(client: Client, dry_run: bool, as_json: bool) -> None:
    """Remove content, events, deliveries and reports that `retention` does not keep.

    The daemon does it by itself every hour. What is in use, what a roll-back leads to, what is pinned and what is
    being tested always stays.

    \b
    Examples:
      packd sweep --dry-run        what would go, and why
      packd sweep

    Exit status: 0 done, 3 no daemon answers.
    """
    answer = client.get("/sweep") if dry_run else client.post("/sweep")
    if as_json:
        say_json(answer["data"])
    elif dry_run:
        _show(answer["data"])
    else:
        say("removed: " + ", ".join(plural(count, name.removesuffix("s")) for name, count in answer["data"].items()))


def _show(plan: dict[str, Any]) -> None:
    removed = set(plan["remove"])
    rows: list[tuple[Cell, ...]] = []
    for one in plan["decisions"]:
        goes = one["digest"] in removed
        word = "remove" if goes else "keep" if one["keep"] else "gone"
        rows.append((cell(f"{one['ref']}#{one['number']}"), cell(word), cell(one["why"])))
    table(("REVISION", "CONTENT", "WHY"), rows, whole=("REVISION",))
    say(f"{plural(len(removed), 'snapshot')} would go, and {plural(len(plan['unnamed']), 'leftover')}")
