"""`packd webhook test`, `rotate`, `enable`, `disable` and `remove`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from packd.cli.options import A_PATH, as_json, asks_daemon
from packd.cli.screen import paragraph, say_done, say_json
from packd.cli.webhook.endpoints import path_of
from packd.cli.webhook.secret import read_text, show_secret
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client


@click.command("test")
@click.argument("name")
@as_json
@asks_daemon
@click.pass_context
def try_it(ctx: click.Context, client: Client, name: str, as_json: bool) -> None:
    """Send a webhook.test now, and say what came of it.

    \b
    Examples:
      packd webhook test ci

    Exit status: 0 it arrived, 1 it did not.
    """
    answer = client.post(path_of(name, "/test"))
    arrived = answer["data"]["state"] == "delivered"
    if as_json:
        say_json(answer["data"])
    else:
        log = answer["data"]["attempt_log"]
        odd = bool(log and log[-1]["warning"])
        took = f" in {log[-1]['duration_ms']:.0f} ms" if log else ""
        colour = "yellow" if odd else "green" if arrived else "red"
        paragraph(f"{clean(answer['message'])}{took if arrived and not odd else ''}", fg=colour)
    ctx.exit(0 if arrived else 1)


@click.command("rotate")
@click.argument("name")
@click.option(
    "--secret-file", type=A_PATH, metavar="FILE", help="The new secret; - is stdin. Without, packd makes one."
)
@click.option("--signature", type=click.Choice(("v1", "v1a")), help="What to make; by default of the same kind.")
@as_json
@asks_daemon
def rotate(client: Client, name: str, secret_file: Path | None, signature: str | None, as_json: bool) -> None:
    """Another secret from now on. The former one signs as well for 24 hours, so that the receiver can follow.

    \b
    Examples:
      packd webhook rotate ci

    Exit status: 0 the new secret is in use, 1 there is no such endpoint or the file says it,
    2 a bad secret, 3 no daemon answers.
    """
    given = None if secret_file is None else read_text(secret_file).strip()
    answer = client.post(path_of(name, "/rotate"), {"secret": given, "signature": signature})
    if as_json:
        say_json(answer["data"])
        return
    paragraph(clean(answer["message"]), fg="green")
    show_secret(answer["data"])


@click.command("enable")
@click.argument("name")
@as_json
@asks_daemon
def enable(client: Client, name: str, as_json: bool) -> None:
    """Send to it again; what was held goes first.

    \b
    Examples:
      packd webhook enable ci

    Exit status: 0 done, 1 there is no such endpoint, 3 no daemon answers.
    """
    _do(client, name, "/enable", as_json)


@click.command("disable")
@click.argument("name")
@as_json
@asks_daemon
def disable(client: Client, name: str, as_json: bool) -> None:
    """Send nothing to it. Its events are held until it is enabled.

    \b
    Examples:
      packd webhook disable ci

    Exit status: 0 done, 1 there is no such endpoint, 3 no daemon answers.
    """
    _do(client, name, "/disable", as_json)


@click.command("remove")
@click.argument("name")
@asks_daemon
def remove(client: Client, name: str) -> None:
    """Send nothing to it any more. What it was told stays in the registry as long as events are kept.

    \b
    Examples:
      packd webhook remove ci

    Exit status: 0 done, 1 there is no such endpoint or the file says it, 3 no daemon answers.
    """
    client.delete(path_of(name))
    click.secho(f"'{clean(name)}' was removed", fg="green")


def _do(client: Client, name: str, step: str, as_json: bool) -> None:
    answer = client.post(path_of(name, step))
    say_done(answer, as_json=as_json)


COMMANDS: Final = {"test": try_it, "rotate": rotate, "enable": enable, "disable": disable, "remove": remove}
