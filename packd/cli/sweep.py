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
    rows: list[tuple[Cell, ...]] = []
    shared = {one["digest"] for one in plan["decisions"] if one["keep"]}
    for one in plan["decisions"]:
        word, why = _fate(one, plan, shared)
        rows.append((cell(f"{one['ref']}#{one['number']}"), cell(word), cell(why)))
    table(("REVISION", "CONTENT", "WHY"), rows, whole=("REVISION",))
    say(f"{plural(len(plan['remove']), 'snapshot')} would go, and {plural(len(plan['unnamed']), 'leftover')}")


def _fate(one: dict[str, Any], plan: dict[str, Any], shared: set[str]) -> tuple[str, str]:
    """What becomes of a revision's content, and why."""
    if one["keep"]:
        return "keep", one["why"]
    if one["digest"] in shared:
        return "keep", "is also the content of a revision that stays"
    if one["digest"] in plan["remove"]:
        return "remove", one["why"]
    if one["digest"] in plan["later"]:
        return "later", f"{one['why']}; goes when it was not asked for in an hour"
    return "gone", one["why"]
