"""`packd audit`: who did what, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import cell, say, say_json, table
from packd.cli.text import clock

if TYPE_CHECKING:
    from packd.client import Client


@click.command("audit")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many entries.")
@click.option("--pack", metavar="GLOB", help="Only what is about these packs.")
@click.option("--actor", metavar="GLOB", help="Only what these did, e.g. 'uid=1000 *', 'token:deploy' or watch.")
@as_json
@asks_daemon
def command(client: Client, limit: int, pack: str | None, actor: str | None, as_json: bool) -> None:
    """Every request that changed something, and every revision that came into use, newest first.

    Callers on the socket are known by user and process (`uid=1000 pid=4242`), others by their token; `watch` is packd
    itself, because of what was dropped, and `schedule` its clock. Kept as long as events are.

    \b
    Examples:
      packd audit
      packd audit --pack core --actor 'uid=1000 *'

    Exit status: 0 fine, 3 no daemon answers.
    """
    entries = client.get("/audit", limit=limit, pack=pack, actor=actor)["data"]
    if as_json:
        say_json(entries)
        return
    if not entries:
        say("nothing yet")
        return
    table(
        ("WHEN", "WHO", "WHAT", "ANSWER"),
        [
            (
                cell(clock(one["at"])),
                cell(one["actor"]),
                cell(one["what"].replace(" /api/v1/", " /", 1)),
                cell("" if one["status"] is None else str(one["status"])),
            )
            for one in entries
        ],
        spare=("ANSWER",),
    )
