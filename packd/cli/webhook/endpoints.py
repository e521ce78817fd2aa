"""`packd webhook list` and `show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, facts, note, say_json, table
from packd.cli.status import met
from packd.cli.text import ago, clock, plural
from packd.client import part

if TYPE_CHECKING:
    from packd.client import Client

ENDPOINTS: Final = "/webhooks/endpoints"


def path_of(name: str, step: str = "") -> str:
    """Where the API has this endpoint, or what can be done with it."""
    return f"{ENDPOINTS}/{part(name)}{step}"


@click.command("list")
@as_json
@asks_daemon
def list_endpoints(client: Client, as_json: bool) -> None:
    """One line an endpoint: who is told, how it is, and what waits for it.

    \b
    Examples:
      packd webhook list

    Exit status: 0 listed, 3 no daemon answers.
    """
    endpoints = list(client.items(ENDPOINTS))
    if as_json:
        say_json(endpoints)
    elif endpoints:
        rows = [_row(one) for one in endpoints]
        header = ("ENDPOINT", "STATE", "WAITING", "DELIVERED", "GIVEN UP", "URL", "")
        table(header, rows, spare=("DELIVERED", "URL", "GIVEN UP"))
    else:
        note("no endpoints yet: packd webhook add NAME URL, or `webhooks:` in the configuration")


def _row(one: dict[str, Any]) -> list[Cell]:
    counts = one["deliveries"]
    waiting, lost = counts["pending"] + counts["held"], counts["exhausted"] + counts["aborted"]
    return [
        cell(one["name"], bold=True),
        standing(one),
        cell(waiting, colour="yellow" if waiting else None, faint=not waiting),
        cell(counts["delivered"], faint=not counts["delivered"]),
        cell(lost, colour="red" if lost else None, faint=not lost),
        cell(one["url"]),
        cell(met(one["last_error"]), colour="red") if one["last_error"] else Cell(text=""),
    ]


def standing(one: dict[str, Any]) -> Cell:
    """Enabled, disabled, or left alone for a while."""
    if one["state"] != "enabled":
        return cell(one["state"], colour="red")
    if one["breaker"] != "closed":
        return cell("resting", colour="yellow")
    return cell("paused", colour="yellow") if one["paused_until"] else cell("enabled", colour="green")


@click.command("show")
@click.argument("name")
@as_json
@asks_daemon
def show_endpoint(client: Client, name: str, as_json: bool) -> None:
    """An endpoint whole. Its secret is never shown.

    \b
    Examples:
      packd webhook show ci

    Exit status: 0 shown, 1 there is no such endpoint, 3 no daemon answers.
    """
    one = client.get(path_of(name))["data"]
    if as_json:
        say_json(one)
        return
    facts([(title, [piece]) for title, piece in _facts(one)])


def _facts(one: dict[str, Any]) -> Iterator[tuple[str, Cell]]:
    yield "endpoint", cell(one["name"], bold=True)
    yield "url", cell(one["url"])
    yield "state", standing(one)
    if one["state_reason"]:
        yield "why", cell(one["state_reason"])
    yield "set by", cell("the configuration file" if one["read_only"] else "the API")
    yield "types", cell(", ".join(one["types"]) or "pack.*")
    yield "packs", cell(", ".join(one["packs"]) or "all")
    yield "ordering", cell(one["ordering"])
    yield "format", cell(one["format"])
    yield "rate", cell(f"{one['rate']:g} a second at most" if one["rate"] else None)
    yield "time-out", cell(f"{one['timeout_s']:g} s")
    yield "headers", cell(", ".join(one["headers"]))
    yield "certificates", cell(", ".join(kind.replace("_", " ") for kind, given in one["tls"].items() if given))
    yield "private addresses", cell("allowed" if one["allow_private"] else "refused")
    yield "signature", cell(one["signature"])
    if one["public_key"]:
        yield "public key", cell(one["public_key"])
    if one["previous_secret_until"]:
        yield "former secret", cell(f"signs as well until {clock(one['previous_secret_until'])}")
    if one["failures"]:
        yield "failing", cell(f"{plural(one['failures'], 'failure')} in a row, since {ago(one['failing_since'])}")
    for title, moment in (("next try", one["next_try_at"]), ("paused until", one["paused_until"])):
        if moment:
            yield title, cell(clock(moment), colour="yellow")
    counts = [f"{count} {state}" for state, count in one["deliveries"].items() if count]
    yield "deliveries", cell(", ".join(counts))
    if one["oldest_undelivered_at"]:
        yield "oldest waits since", cell(ago(one["oldest_undelivered_at"]), colour="yellow")
    if one["last_error"]:
        yield "last error", cell(met(one["last_error"]), colour="red")


COMMANDS: Final = {"list": list_endpoints, "show": show_endpoint}
