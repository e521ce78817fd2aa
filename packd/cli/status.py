"""`packd status`: the daemon at a glance."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.events import print_event
from packd.cli.live import full_screen
from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, facts, flow, heading, say, say_json, say_json_line, table, word
from packd.cli.text import plural, since
from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packd.client import Client

_EVERY_S: Final = 2.0  # at least, when nothing happens
_LATELY: Final = 8  # events below a status that is watched
_NAMED: Final = 5  # things that are left alone
_KINDS = ("active", "testing", "waiting", "refused")
_WHICH: Final = (
    "refused is the newest content, also where older content is in use: "
    "packd list --status refused shows which, packd why REF says why"
)


@click.command("status")
@click.option("--watch", "-w", is_flag=True, help="Show it again whenever something happens, until interrupted.")
@as_json
@asks_daemon
def command(client: Client, watch: bool, as_json: bool) -> None:
    """The daemon at a glance: what it watches, how the packs are, who is told.

    With --watch and --json every line is one status.

    \b
    Examples:
      packd status
      packd status --watch

    Exit status: 0 fine, 3 no daemon answers.
    """
    if watch:
        with suppress(KeyboardInterrupt):  # that is how one stops watching, so it is no failure
            _watch_it(client, as_json=as_json)
        return
    status = client.get("/status")["data"]
    if as_json:
        say_json(status)
    else:
        print_status(status)


def print_status(status: dict[str, Any]) -> None:
    """For people."""
    flow(cell(f"packd {status['version']}", bold=True), f" · pid {status['pid']} · up {since(status['started_at'])}")
    facts(
        [
            ("packs", counted(status["packs"])),
            *([("", [cell(_WHICH)])] if _refused(status) else []),
            ("watching", watched(status)),
            ("work", _work(status["queue"])),
            ("isolation", [cell(f"{status['isolation']}, of packs' tests")]),
            *(("", [cell(f"but {gap}")]) for gap in status["not_contained"]),
            ("state in", [cell(status["state_dir"])]),
            *((name, [cell(said, colour=colour)]) for name, said, colour in troubles(status)),
        ]
    )
    if status["endpoints"]:
        heading("Webhooks")
        table(
            ("NAME", "STATE", "PENDING", "DELIVERED", "LAST ERROR"),
            [_endpoint(one) for one in status["endpoints"]],
            spare=("DELIVERED", "LAST ERROR"),
        )


def troubles(status: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(what, what is wrong with it, colour) of everything that somebody should look at."""
    for ailment in status.get("health", ()):
        yield ailment["part"], ailment["reason"], "red" if ailment["grade"] in ("dying", "unready") else "yellow"
    for one in status.get("not_passing_any_more", ()):
        said = f"in use, and does not pass its own tests any more: packd tests {one['ref']} --run {one['run_id']}"
        yield f"{one['ref']}#{one['revision']}", said, "red"
    alone = status.get("left_alone", ())
    for one in alone[:_NAMED]:
        yield "left alone", f"'{one['name']}' {one['why']}", "yellow"
    if len(alone) > _NAMED:
        yield "left alone", f"and {len(alone) - _NAMED} more: packd status --json has them all", "yellow"
    yield from of_configuration(status)


def of_configuration(status: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The same of what the file says by now and the daemon does not do."""
    changed = status.get("configuration") or {}
    for why in changed.get("rejected", ()):
        yield "configuration", f"the changed file is not used: {why}", "red"
    if changed.get("needs_restart"):
        keys = ", ".join(changed["needs_restart"])
        yield "configuration", f"changed, and needs a restart to be heard: {keys}", "yellow"


def _watch_it(client: Client, *, as_json: bool) -> None:
    """Again on every event, and every two seconds, as what is settling makes none."""
    cursor = int(client.get("/events", limit=1)["cursor"]["newest"])
    with full_screen() if not as_json else nullcontext(_no_frame) as frame:
        while True:
            try:
                status = client.get("/status")["data"]
                lately = client.get("/events", after=max(0, cursor - _LATELY), limit=_LATELY)["items"]
                if as_json:
                    say_json_line(status)
                else:
                    frame(partial(_frame, status, lately))
                waited = client.get("/events", after=cursor, wait=_EVERY_S, limit=100)
                cursor = int(waited["cursor"]["newest"])
            except Failure as failure:
                if failure.code not in (Code.UNREACHABLE, Code.UNAVAILABLE):
                    raise
                frame(lambda: say(cell("the daemon went away; waiting for it to come back", colour="yellow")))
                time.sleep(_EVERY_S)


def _frame(status: dict[str, Any], lately: list[dict[str, Any]]) -> None:
    print_status(status)
    if lately:
        heading("Lately")
        for event in lately:
            print_event(event)


def _no_frame(_show: Callable[[], None]) -> None:
    """In JSON nothing is shown but what there is."""


def counted(counts: dict[str, int]) -> list[Cell | str]:
    """`3 active · 1 refused`."""
    pieces: list[Cell | str] = []
    for kind in _KINDS:
        if counts.get(kind):
            pieces += [" · " if pieces else "", f"{counts[kind]} ", word(kind)]
    return pieces or [cell("none yet: drop one into the folder, or try `packd new hello`")]


def _refused(status: dict[str, Any]) -> bool:
    return bool(status["packs"].get("refused"))


# By the words of the API: what is wrong, and what that means for what is dropped.
_DIM: Final = {
    "overflow": "more changed at once than the kernel tells of; it is found by scanning",
    "root_missing": "the packs directory is away; meanwhile nothing counts as removed",
    "limit": "not every folder can be watched; changes there are found by scanning",
    "permission": "some folders may not be read; changes there are found by scanning",
    "disk": "there is no room on the disk; nothing new is taken",
}


def watched(status: dict[str, Any]) -> list[Cell | str]:
    """The folder, and what is wrong with watching it."""
    watch = status["watch"]
    place: list[Cell | str] = [cell(status["packs_dir"]), f" ({plural(watch['folders'], 'folder')})"]
    if watch["state"] == "watching":
        return place
    why = ". ".join(_DIM.get(trouble, trouble) for trouble in watch["troubles"]) or "the watcher has stopped"
    return [*place, " ", word("degraded"), f": {why}"]


def _work(queue: dict[str, Any]) -> list[Cell | str]:
    testing = list(queue.get("testing", ()))
    parts = [f"testing {', '.join(testing)}"] if testing else []
    if settling := _count(queue.get("settling")):
        parts.append(f"{plural(settling, 'drop')} settling")
    if (others := _count(queue.get("jobs")) - len(testing)) > 0:  # a run is one of them
        parts.append(f"{plural(others, 'job')} to do")
    return [cell(" · ".join(parts) or "idle", faint=not parts)]


def _count(value: Any) -> int:
    return value if isinstance(value, int) else len(value or ())


def met(last_error: str | None) -> str | None:
    """What an attempt met, without when the next one was due as it was said then."""
    return last_error and last_error.partition("; attempt ")[0]


def _endpoint(endpoint: dict[str, Any]) -> list[Cell]:
    pending = endpoint["pending"]
    return [
        cell(endpoint["name"]),
        word(endpoint["state"]),
        cell(pending, colour="yellow" if pending else None),
        cell(endpoint["delivered"]),
        cell(met(endpoint["last_error"])),
    ]
