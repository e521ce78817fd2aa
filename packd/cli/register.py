"""`packd register`: a folder or archive from anywhere on this machine becomes a pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from packd.cli.options import A_PATH, as_json, asks_daemon
from packd.cli.refusals import in_words_of_options
from packd.cli.registering import carry_out
from packd.domain.failures import Code, Failure
from packd.domain.refs import archive_suffix

if TYPE_CHECKING:
    from packd.client import Client


@click.command("register")
@click.argument("path", type=A_PATH)
@click.option("--replace", is_flag=True, help="Update a pack that exists, if the new content passes its tests.")
@click.option("--force", is_flag=True, help="Replace it, and accept failing tests; recorded as forced.")
@click.option("--skip-tests", is_flag=True, help="Do not run its tests.")
@as_json
@asks_daemon
@click.pass_context
def command(
    ctx: click.Context, client: Client, path: Path, replace: bool, force: bool, skip_tests: bool, as_json: bool
) -> None:
    """Take the folder or archive at PATH as a pack: fix its content, test it, and make it active if it passes.

    PATH may lie anywhere on the daemon's machine. It stays where it is and is not watched: register it again to update.

    \b
    Examples:
      packd register ./mypack
      packd register /tmp/mypack-2.0.tar.gz --replace

    Exit status: 0 it is active, 1 it is not: refused and rolled back, there already, or waiting for other packs,
    2 PATH is no pack, 3 no daemon answers.
    """
    from packd.flow.refusals import no_pack

    if path.is_file() and not archive_suffix(path.name):
        raise Failure(
            Code.BAD_REQUEST, no_pack(path)
        )  # the daemon's sentence, which scripts know, denies that it is there
    wish = {"path": str(path.absolute()), "replace": replace, "force": force, "skip_tests": skip_tests}
    with in_words_of_options():
        ctx.exit(carry_out(client, "/packs/register", wish, doing=f"registering {path}", as_json=as_json))
