"""`packd search`: packs that can be installed by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.refusals import as_answers
from packd.cli.screen import Cell, cell, note, say_json, table
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client


@click.command("search")
@click.argument("words", nargs=-1)
@as_json
@asks_daemon
@click.pass_context
def command(ctx: click.Context, client: Client, words: tuple[str, ...], as_json: bool) -> None:
    """Packs of the configured indexes in which all WORDS occur, the best match first; without WORDS all of them.

    \b
    Examples:
      packd search slack
      packd search network backup --json

    Exit status: 0 something was found, 1 nothing was or no index can be read, 3 no daemon answers.
    """
    with as_answers():
        answer = client.get("/indexes/packs", q=" ".join(words), page_size=100)
    found = answer["items"]
    if as_json:
        say_json(found)
    elif found:
        table(
            ("PACK", "VERSION", "IN USE", "INDEX", "DESCRIPTION"),
            [_row(one) for one in found],
            spare=("INDEX", "IN USE"),
            whole=("PACK",),
        )
    for one in answer["notes"]:
        note(clean(one))
    more = answer["pagination"]["total_items"] - len(found)
    if more > 0:
        note(f"and {more} more: add another word")
    if not found and not answer["notes"]:
        note(f"no index has a pack with all of: {' '.join(words)}" if words else "the indexes are empty")
    ctx.exit(0 if found else 1)


def _row(one: dict[str, Any]) -> list[Cell]:
    said = one["description"] or (one["label"] if one["label"] != one["ref"] else "")
    return [
        cell(one["ref"], bold=True),
        cell(one["version"]),
        cell(one["in_use"], colour="green" if one["in_use"] == one["version"] else "yellow"),
        cell(one["index"], faint=True),
        cell(said),
    ]
