"""`packd webhook deliveries`, `resend`, `recover` and `replay`: what was told, and telling it once more."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.moments import moment
from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, facts, heading, note, say, say_done, say_json, table
from packd.cli.text import ago, clock, duration
from packd.cli.webhook.endpoints import path_of
from packd.domain.failures import Code, Failure
from packd.domain.numbers import MOST
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.client import Client

DELIVERIES: Final = "/webhooks/deliveries"
_STATES: Final = ("pending", "held", "delivered", "exhausted", "aborted")
_COLOURS: Final = {"delivered": "green", "pending": "yellow", "held": "yellow", "exhausted": "red", "aborted": "red"}

_since = click.option(
    "--since", required=True, callback=moment, metavar="WHEN", help="E.g. 2h, 3d, 2026-01-31, '2026-01-31 08:05'."
)


@click.command("deliveries")
@click.argument("delivery", type=click.IntRange(0, MOST), required=False)
@click.option("--endpoint", metavar="NAME", help="Only to this endpoint.")
@click.option("--state", type=click.Choice(_STATES), help="Only in this state.")
@click.option("--type", "event_type", metavar="TYPE", help="Only of this event type.")
@click.option("--event", "event_id", metavar="ID", help="Only of this event.")
@click.option("--pack", metavar="REF", help="Only about this pack.")
@click.option("--last", type=click.IntRange(1, MOST), default=20, metavar="N", help="At most so many (default: 20).")
@as_json
@asks_daemon
def deliveries(
    client: Client,
    delivery: int | None,
    endpoint: str | None,
    state: str | None,
    event_type: str | None,
    event_id: str | None,
    pack: str | None,
    last: int,
    as_json: bool,
) -> None:
    """What was told and what waits to be told, newest first. With the number of a DELIVERY, all its attempts.

    \b
    Examples:
      packd webhook deliveries --endpoint ci --state exhausted
      packd webhook deliveries 4711

    Exit status: 0 shown, 1 there is no such delivery or endpoint, 3 no daemon answers.
    """
    if delivery is not None:
        _show(client.get(f"{DELIVERIES}/{delivery}")["data"], as_json=as_json)
        return
    asked = {"endpoint": endpoint, "state": state, "event_type": event_type, "event_id": event_id, "pack": pack}
    found = list(islice(client.items(DELIVERIES, **asked), last))
    if as_json:
        say_json(found)
    elif found:
        table(
            ("ID", "ENDPOINT", "EVENT", "ABOUT", "STATE", "TRIES", "CREATED", ""),
            [_row(one) for one in found],
            spare=("CREATED", "TRIES", "", "ABOUT"),
            whole=("ID", "EVENT", "STATE"),
        )
    else:
        note("no delivery fits" if any(asked.values()) else "nothing was to be told yet")


def _row(one: dict[str, Any]) -> list[Cell]:
    due = f"next {clock(one['next_attempt_at'])}" if one["next_attempt_at"] else ""
    said = " · ".join(part for part in (due, one["last_error"]) if part)
    return [
        cell(one["id"], bold=True),
        cell(one["endpoint"]),
        cell(one["event_type"]),
        cell(one["subject"].partition("/")[2] or one["subject"]),
        cell(one["state"], colour=_COLOURS[one["state"]]),
        cell(one["attempts"] + one["earlier_attempts"]),
        cell(ago(one["created_at"]), faint=True),
        cell(said, colour="red") if said else Cell(text=""),
    ]


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(one)
        return
    facts(
        [
            ("delivery", [cell(one["id"], bold=True)]),
            ("endpoint", [cell(one["endpoint"])]),
            ("event", [cell(f"{one['event_type']} {one['event_id']}")]),
            ("place", [cell(f"number {one['endpoint_seq']} for this endpoint, {one['event_seq']} of all")]),
            ("state", [cell(one["state"], colour=_COLOURS[one["state"]])]),
            ("next attempt", [cell(clock(one["next_attempt_at"]) if one["next_attempt_at"] else None)]),
            ("size", [cell(f"{one['bytes']} bytes")]),
        ]
    )
    for row in one["attempt_log"]:
        _say_attempt(row)


def _say_attempt(row: dict[str, Any]) -> None:
    heading(f"attempt {row['number']}, {clock(row['at'])}, {duration(row['duration_ms'])}")
    say(cell(row["reason"], colour="red" if row["error"] else "yellow" if row["warning"] else "green"))
    for text in (row["request_head"], row["response_head"]):
        if text:
            say()
            for line in clean(text).splitlines():
                say("  ", cell(line, faint=True))


@click.command("resend")
@click.argument("which", metavar="DELIVERY|EVENT")
@click.option("--endpoint", metavar="NAME", help="With an event: only to this endpoint.")
@as_json
@asks_daemon
def resend(client: Client, which: str, endpoint: str | None, as_json: bool) -> None:
    """Send a delivery, or all deliveries of an event (evt_…), again: the same bytes, the same id.

    \b
    Examples:
      packd webhook resend 4711

    Exit status: 0 it is on its way, 1 there is no such delivery, 3 no daemon answers.
    """
    ids = [which] if which.isascii() and which.isdigit() else _of_event(client, which, endpoint)
    again = [client.post(f"{DELIVERIES}/{one}/resend") for one in ids]
    if as_json:
        say_json([answer["data"] for answer in again])
        return
    for answer in again:
        click.secho(f"{clean(answer['message'])} to '{answer['data']['endpoint']}'", fg="green")


def _of_event(client: Client, event: str, endpoint: str | None) -> list[str]:
    found = [str(one["id"]) for one in client.items(DELIVERIES, event_id=event, endpoint=endpoint)]
    if not found:
        raise Failure(Code.NOT_FOUND, f"nobody was told of {event}; `packd webhook deliveries` shows who was told what")
    return found


@click.command("recover")
@click.argument("name")
@_since
@as_json
@asks_daemon
def recover(client: Client, name: str, since: str, as_json: bool) -> None:
    """Send again everything since then that did not arrive: what was given up, aborted, or still waits.

    \b
    Examples:
      packd webhook recover ci --since 2h

    Exit status: 0 they are on their way, 1 there is no such endpoint, 2 a bad moment,
    3 no daemon answers.
    """
    _again(client, name, "/recover", since, as_json)


@click.command("replay")
@click.argument("name")
@_since
@as_json
@asks_daemon
def replay(client: Client, name: str, since: str, as_json: bool) -> None:
    """Send again everything since then, delivered or not, in order; also from before the endpoint was there.

    \b
    Examples:
      packd webhook replay ci --since 1d

    Exit status: 0 they are on their way, 1 there is no such endpoint, 2 a bad moment,
    3 no daemon answers.
    """
    _again(client, name, "/replay", since, as_json)


def _again(client: Client, name: str, step: str, since: str, as_json: bool) -> None:
    answer = client.post(path_of(name, step), {"since": since})
    say_done(answer, as_json=as_json)


COMMANDS: Final = {"deliveries": deliveries, "resend": resend, "recover": recover, "replay": replay}
