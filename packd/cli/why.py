"""`packd why`: in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import paragraph, say_json
from packd.cli.text import told_here
from packd.client import part
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client


@click.command("why")
@ref_argument
@as_json
@asks_daemon
@click.pass_context
def command(ctx: click.Context, client: Client, ref: str, as_json: bool) -> None:
    """In words, why a pack is or isn't active. REF is a pack, or the name of what was dropped, also of what is left alone.

    \b
    Examples:
      packd why core
      packd why 'My Pack'

    Exit status: 0 its newest content is active, 1 it is not or there is no such pack, 3 no daemon answers.
    """
    said = client.get(f"/packs/{part(ref)}/why")["data"]
    if as_json:
        say_json(said)
    else:
        paragraph(
            told_here(clean(said["headline"])), fg="green" if said["active"] else "red" if said["refused"] else "yellow"
        )
        for line in said["lines"]:
            _line(clean(line))
    ctx.exit(0 if said["active"] else 1)


def _line(text: str) -> None:
    """What a suite printed stays as it was, sentences are folded."""
    if text.startswith(" ") or not text:
        click.echo(f"  {text}".rstrip())
    else:
        paragraph(text, indent="  ", hanging="    ")
