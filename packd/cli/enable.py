"""`packd enable`: put a disabled pack back in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import say_done
from packd.client import part

if TYPE_CHECKING:
    from packd.client import Client


@click.command("enable")
@ref_argument
@as_json
@asks_daemon
def command(client: Client, ref: str, as_json: bool) -> None:
    """Put a disabled pack back in use; what was dropped for it meanwhile is tested now.

    \b
    Examples:
      packd enable core

    Exit status: 0 done, 1 there is no such pack or it is not disabled, 3 no daemon answers.
    """
    answer = client.post(f"/packs/{part(ref)}/enable")
    say_done(answer, as_json=as_json)
