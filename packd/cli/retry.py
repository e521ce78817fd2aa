"""`packd retry`: try refused content once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import paragraph, say, say_json
from packd.client import part
from packd.domain.printing import clean, typed

if TYPE_CHECKING:
    from packd.client import Client


@click.command("retry")
@ref_argument
@as_json
@asks_daemon
def command(client: Client, ref: str, as_json: bool) -> None:
    """Carry refused content through validation and tests once more. REF is a pack, or the name of what was dropped.

    \b
    Examples:
      packd retry core
      packd retry 'My Pack'

    Exit status: 0 it is being tried, 1 there is nothing to try again, 3 no daemon answers.
    """
    answer = client.post(f"/packs/{part(ref)}/retry")
    if as_json:
        say_json(answer["data"])
        return
    paragraph(clean(answer["message"]), fg="green")
    revision = answer["data"]  # None: what lies there is read first, and may be another pack by now
    only = f" --pack {revision['ref']}" if revision else ""
    say(f"see what comes of it: packd events --follow{only}, or packd why {typed(ref)}")
