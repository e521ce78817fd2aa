"""`packd rollback`: put an earlier revision back in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.completing import complete_revisions
from packd.cli.options import as_json, asks_daemon, ref_argument
from packd.cli.screen import paragraph, say, say_json
from packd.client import part
from packd.domain.numbers import MOST
from packd.domain.printing import clean, typed

if TYPE_CHECKING:
    from packd.client import Client


@click.command("rollback")
@ref_argument
@click.option(
    "--to",
    type=click.IntRange(1, MOST),
    metavar="N",
    shell_complete=complete_revisions,
    help="This revision (default: the one in use before).",
)
@click.option("--force", is_flag=True, help="Even if packs in use that need the newer version are broken by it.")
@as_json
@asks_daemon
def command(client: Client, ref: str, to: int | None, force: bool, as_json: bool) -> None:
    """Withdraw what is in use and put an earlier revision back.

    At once: newer content that is still being tested is superseded. What was withdrawn stays out until its content changes
    or `packd retry` is asked for it. With --to a newer one nothing is withdrawn: what was in use can be put back again.

    \b
    Examples:
      packd rollback core
      packd rollback core --to 6

    Exit status: 0 done, 1 there is nothing to go back to or it would break another pack, 3 no daemon answers.
    """
    answer = client.post(f"/packs/{part(ref)}/rollback", {"to": to, "force": force})
    if as_json:
        say_json(answer["data"])
        return
    paragraph(clean(answer["message"]), fg="green")
    shown, withdrawn = typed(ref), answer["data"]["withdrawn"]
    if withdrawn["phase"] == "superseded":
        say(f"to go back again: packd rollback {shown} --to {withdrawn['number']}")
    elif _is_newest(client, ref, withdrawn["number"]):
        say(f"to try the withdrawn content again: packd retry {shown}")
    else:
        say(f"what was dropped after it is not in use either: packd why {shown}")


def _is_newest(client: Client, ref: str, number: int) -> bool:
    """Is it what `retry` would take? A drop that could not even be read may be newer than every revision."""
    pack = client.get(f"/packs/{part(ref)}")["data"]
    refused = any(problem["severity"] == "error" for problem in pack["problems"])
    return pack["latest"]["number"] == number and not refused
