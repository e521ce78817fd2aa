"""`packd remove`: unregister a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import say_done
from packd.client import part

if TYPE_CHECKING:
    from packd.client import Client


@click.command("remove")
@ref_argument
@as_json
@asks_daemon
def command(client: Client, ref: str, as_json: bool) -> None:
    """Unregister a pack: nothing of it is in use any more. Its revisions and reports are kept.

    What lies in the packs directory stays there, and is left alone until it changes. Deleting it there is the same as
    this.

    \b
    Examples:
      packd remove core

    Exit status: 0 done, 1 there is no such pack, 3 no daemon answers.
    """
    answer = client.delete(f"/packs/{part(ref)}")
    say_done(answer, as_json=as_json, fg="yellow" if answer["data"]["needed_by"] else "green")
