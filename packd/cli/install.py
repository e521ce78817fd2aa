"""`packd install`: a pack from git, an archive or an index, with everything it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.plan_tree import tree
from packd.cli.refusals import as_answers
from packd.cli.registering import carry_out, followed
from packd.cli.screen import note, say_json
from packd.domain.printing import clean
from packd.domain.sources import NamedSource, PathSource, public_url, read_source

if TYPE_CHECKING:
    from packd.client import Client


@click.command("install")
@click.argument("source")
@click.option("--ref", "ref_spec", metavar="REV", help="For git: a branch, a tag or a commit.")
@click.option("--replace", is_flag=True, help="Update a pack that exists, if the new content passes its tests.")
@click.option("--force", is_flag=True, help="Replace it, and accept failing tests; recorded as forced.")
@click.option("--skip-tests", is_flag=True, help="Do not run its tests; those of what it needs run all the same.")
@click.option("--checksum", metavar="sha256:…", help="Refuse an archive that is not exactly this one.")
@click.option("--dry-run", is_flag=True, help="Only print what would be done, as a tree.")
@as_json
@asks_daemon
@click.pass_context
def command(
    ctx: click.Context,
    client: Client,
    source: str,
    ref_spec: str | None,
    replace: bool,
    force: bool,
    skip_tests: bool,
    checksum: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetch a pack and every pack it needs that is not in use yet, test them, and make them active: all or none.

    SOURCE is a git URL (behind a # the folder of the repository), the URL or path of an archive, a folder, or
    NAME[@VERSION] from a configured index. With --ref a path is taken for a repository.

    \b
    Examples:
      packd install netops
      packd install "netops@^1.2" --dry-run
      packd install https://git.example/team/netops.git --ref v1.2.0
      packd install git@git.example:team/packs.git#netops
      packd install https://packs.example/netops-1.2.0.tar.gz --checksum sha256:…

    Exit status: 0 it is active (or would be), 1 it is not: it can't be fetched, does not fit together, was refused and
    rolled back, or is there already, 2 SOURCE or an option means nothing, 3 no daemon answers.
    """
    wish = {
        "source": _for_daemon(source, ref_spec, checksum),
        "ref_spec": ref_spec,
        "checksum": checksum,
        "replace": replace,
        "force": force,
        "skip_tests": skip_tests,
        "dry_run": dry_run,
    }
    with as_answers():
        ctx.exit(_install(client, wish, doing=f"installing {public_url(source)}", as_json=as_json))


def _install(client: Client, wish: dict[str, Any], *, doing: str, as_json: bool) -> int:
    if not wish["dry_run"]:
        return carry_out(client, "/packs/install", wish, doing=doing, as_json=as_json)
    data = followed(client, "/packs/install", wish, doing, quiet=True)["data"]
    if as_json:
        say_json(data)
        return 0
    for one in data["notes"]:
        note(clean(one))
    for line in tree(data["plan"]):
        click.echo(line)
    changes = [step["ref"] for step in data["plan"] if step["action"] != "keep"]
    note(f"in this order: {', '.join(changes)}" if changes else "nothing is to be done")
    return 0


def _for_daemon(source: str, ref_spec: str | None, checksum: str | None) -> str:
    """The same, with a path as the daemon can find it. Raises Failure BAD_REQUEST for what means nothing."""
    meant = read_source(source, ref=ref_spec, checksum=checksum)
    if isinstance(meant, NamedSource) and Path(source).is_dir():
        note(f"'{source}' is taken from an index; for the folder that is here: packd install ./{source}")
    if not isinstance(meant, PathSource):
        return source
    absolute = replace(meant, path=str(Path(meant.path).expanduser().absolute()))
    folder = f"#{absolute.folder}" if absolute.folder else ""
    return f"{'git+' if absolute.git else ''}{absolute.path}{folder}"
