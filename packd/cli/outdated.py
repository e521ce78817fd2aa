"""`packd outdated`: packs in use of which an index has a newer version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.refusals import as_answers
from packd.cli.screen import Cell, cell, note, say_json, table
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client


@click.command("outdated")
@as_json
@asks_daemon
@click.pass_context
def command(ctx: click.Context, client: Client, as_json: bool) -> None:
    """Packs in use of which a configured index has a newer version.

    FITS is the newest that every pack in use that needs it can live with; HELD BY is who can't live with the newest.

    \b
    Examples:
      packd outdated

    Exit status: 0 everything is up to date, 1 something is not or no index can be read, 3 no daemon answers.
    """
    with as_answers():
        answer = client.get("/indexes/outdated", page_size=100)
    found = answer["items"]
    if as_json:
        say_json(found)
    elif found:
        table(
            ("PACK", "IN USE", "NEWEST", "FITS", "INDEX", "HELD BY"),
            [_row(one) for one in found],
            spare=("INDEX",),
            whole=("PACK",),
        )
        note("`packd upgrade` brings what came from an index to the newest that fits; `packd upgrade PACK` any other")
    for one in answer["notes"]:
        note(clean(one))
    if not found:
        note("no index has anything newer")
    ctx.exit(1 if found else 0)


def _row(one: dict[str, Any]) -> list[Cell]:
    return [
        cell(one["ref"], bold=True),
        cell(one["version"]),
        cell(one["newest"], colour="green" if not one["held_by"] else None),
        cell(one["fits"], colour="green"),
        cell(one["index"], faint=True),
        cell(", ".join(one["held_by"]), colour="yellow") if one["held_by"] else Cell(text=""),
    ]
