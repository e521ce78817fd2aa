"""`packd status`: the daemon at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, facts, heading, say, say_json, table, word
from packd.cli.text import plural, since

if TYPE_CHECKING:
    from packd.client import Client

_KINDS = ("active", "testing", "waiting", "refused")


@click.command("status")
@as_json
@asks_daemon
def command(client: Client, as_json: bool) -> None:
    """The daemon at a glance: what it watches, how the packs are, who is told.

    \b
    Exit status: 0, or 3 when no daemon answers.
    """
    status = client.get("/status")["data"]
    if as_json:
        say_json(status)
        return
    say(cell(f"packd {status['version']}", bold=True), f" · pid {status['pid']} · up {since(status['started_at'])}")
    facts(
        [
            ("packs", _packs(status["packs"])),
            ("watching", _watch(status)),
            ("work", _work(status["queue"])),
            ("tests run", [cell(f"isolation {status['isolation']}")]),
            ("state", [cell(status["state_dir"])]),
        ]
    )
    if status["endpoints"]:
        heading("Webhooks")
        table(("NAME", "STATE", "PENDING", "DELIVERED", "LAST ERROR"), [_endpoint(one) for one in status["endpoints"]])


def _packs(counts: dict[str, int]) -> list[Cell | str]:
    pieces: list[Cell | str] = []
    for kind in _KINDS:
        if counts.get(kind):
            pieces += [" · " if pieces else "", f"{counts[kind]} ", word(kind)]
    return pieces or [cell("none yet: drop one into the folder, or try `packd new hello`")]


def _watch(status: dict[str, Any]) -> list[Cell | str]:
    watch = status["watch"]
    place: list[Cell | str] = [cell(status["packs_dir"]), f" ({plural(watch['folders'], 'folder')})"]
    if watch["state"] == "watching":
        return place
    why = ", ".join(watch["troubles"]) or "the watcher has stopped"
    return [*place, " ", word("degraded"), f": {why.replace('_', ' ')}; changes are found by scanning"]


def _work(queue: dict[str, Any]) -> list[Cell | str]:
    testing = list(queue.get("testing", ()))
    parts = [f"testing {', '.join(testing)}"] if testing else []
    if settling := _count(queue.get("settling")):
        parts.append(f"{plural(settling, 'drop')} settling")
    return [cell(" · ".join(parts) or "idle", faint=not parts)]


def _count(value: Any) -> int:
    return value if isinstance(value, int) else len(value or ())


def _endpoint(endpoint: dict[str, Any]) -> list[Cell]:
    pending = endpoint["pending"]
    return [
        cell(endpoint["name"]),
        word(endpoint["state"]),
        cell(pending, colour="yellow" if pending else None),
        cell(endpoint["delivered"]),
        cell(endpoint["last_error"]),
    ]
