"""`packd disable`: take a pack out of use until it is enabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import say_done
from packd.client import part

if TYPE_CHECKING:
    from packd.client import Client


@click.command("disable")
@ref_argument
@as_json
@asks_daemon
def command(client: Client, ref: str, as_json: bool) -> None:
    """Take a pack out of use until `packd enable`. What is dropped for it meanwhile waits and is not tested.

    \b
    Examples:
      packd disable core

    Exit status: 0 done, 1 there is no such pack or it is disabled already, 3 no daemon answers.
    """
    answer = client.post(f"/packs/{part(ref)}/disable")
    say_done(answer, as_json=as_json, fg="yellow" if answer["data"]["needed_by"] else "green")
