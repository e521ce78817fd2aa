"""`packd upgrade`: bring packs to the newest versions that fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from packd.cli.completing import complete_refs
from packd.cli.options import as_json, asks_daemon, checked_refs
from packd.cli.plan_tree import tree
from packd.cli.refusals import as_answers
from packd.cli.registering import followed
from packd.cli.screen import note, paragraph, say_json
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client


@click.command("upgrade")
@click.argument("refs", metavar="[REF]...", nargs=-1, callback=checked_refs, shell_complete=complete_refs)
@click.option("--dry-run", is_flag=True, help="Only print what would be done, as a tree.")
@as_json
@asks_daemon
def command(client: Client, refs: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Bring packs in use to the newest versions of the configured indexes that fit together, tested like any change.

    Without REF every pack that came from an index. All of them or none: if one fails its tests, the others go back.

    \b
    Examples:
      packd upgrade --dry-run
      packd upgrade netops core

    Exit status: 0 done, or there was nothing to do, 1 it can't be done, or was rolled back, 3 no daemon answers.
    """
    wish = {"refs": list(refs), "dry_run": dry_run}
    with as_answers():
        answer = followed(client, "/packs/upgrade", wish, "upgrading", quiet=as_json or dry_run)
    if as_json:
        say_json(answer["data"])
        return
    if dry_run:
        for one in answer["data"]["notes"]:
            note(clean(one))
        for line in tree(answer["data"]["plan"]):
            click.echo(line)
    paragraph(clean(answer["message"]), fg="green", err=dry_run)
