"""`packd token`: who may talk to the daemon over TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, note, say_done, say_json, table, word
from packd.cli.text import ago, day_and_time
from packd.client import part
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client

_SCOPES: Final = ("events:read", "packs:read", "packs:write", "webhooks:manage", "admin")
_SPARE: Final = ("ID", "BY", "LAST USED", "SCOPES")


@click.group("token")
def command() -> None:
    """Make, list and revoke the tokens with which the daemon is asked over TCP. The socket needs none.

    \b
    Examples:
      packd token create ci --scope packs:write
      packd token list
      packd token revoke ci
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(_SCOPES), help="What it may do; repeatable."
)
@click.option(
    "--days",
    type=click.FloatRange(0, 3650, min_open=True),
    default=90,
    show_default=True,
    help="It expires after so long.",
)
@click.option("--never-expires", is_flag=True, help="Instead of --days.")
@as_json
@asks_daemon
def create(client: Client, name: str, scopes: tuple[str, ...], days: float, never_expires: bool, as_json: bool) -> None:
    """Make a token called NAME and print it, alone, on stdout. It can't be shown again.

    \b
    Examples:
      packd token create ci --scope packs:write --scope events:read > token
      packd token create dashboard --scope packs:read --days 365

    Exit status: 0 done, 1 there is a token of that name, 2 NAME or a scope can't be used, 3 no daemon answers.
    """
    wish = {"name": name, "scopes": list(scopes), "expires_in_days": None if never_expires else days}
    made = client.post("/tokens", wish)
    if as_json:
        say_json(made["data"])
        return
    click.echo(made["data"]["token"])
    until = made["data"]["expires_at"]
    note(f"{clean(made['message'])}; {f'it expires on {day_and_time(until)}' if until else 'it never expires'}")
    note("use it as: Authorization: Bearer TOKEN")


@command.command("list")
@as_json
@asks_daemon
def list_them(client: Client, as_json: bool) -> None:
    """Every token, newest first; never its text.

    \b
    Examples:
      packd token list

    Exit status: 0 fine, 3 no daemon answers.
    """
    tokens = list(client.items("/tokens"))
    if as_json:
        say_json(tokens)
    elif tokens:
        table(
            ("NAME", "STATE", "SCOPES", "EXPIRES", "LAST USED", "BY", "ID"),
            [_row(one) for one in tokens],
            spare=_SPARE,
            whole=("SCOPES", "ID"),
        )
    else:
        note("no tokens yet; `packd token create NAME --scope packs:read` makes one")


@command.command("revoke")
@click.argument("name", metavar="NAME|ID")
@as_json
@asks_daemon
def revoke(client: Client, name: str, as_json: bool) -> None:
    """Revoke a token, at once and for ever.

    \b
    Examples:
      packd token revoke ci

    Exit status: 0 done, 1 there is no such token, 3 no daemon answers.
    """
    answer = client.delete(f"/tokens/{part(name)}")
    say_done(answer, as_json=as_json)


def _row(token: dict[str, Any]) -> list[Cell]:
    return [
        cell(token["name"], bold=True),
        _state(token),
        cell(", ".join(token["scopes"])),
        cell(day_and_time(token["expires_at"]) if token["expires_at"] else "never"),
        cell(ago(token["last_used_at"]) if token["last_used_at"] else None, faint=True),
        cell(token["created_by"]),
        cell(token["id"], faint=True),
    ]


def _state(token: dict[str, Any]) -> Cell:
    import time

    from packd.domain.moments import unix_s

    if token["revoked_at"]:
        return cell("revoked", faint=True)
    expired = token["expires_at"] is not None and unix_s(token["expires_at"]) <= time.time()
    return cell("expired", colour="yellow") if expired else word("enabled")
