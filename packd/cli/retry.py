"""`packd retry`: try refused content once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import paragraph, say, say_json
from packd.cli.text import typed
from packd.client import part
from packd.domain.printing import clean

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
    say(f"see what comes of it: packd why {typed(ref)}, or packd events --follow --pack {typed(ref)}")
