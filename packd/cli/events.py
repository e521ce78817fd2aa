"""`packd events`: the feed."""

from __future__ import annotations

from collections import deque
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.options import as_json, asks_daemon
from packd.cli.screen import Cell, cell, flow, note, say_json, say_json_line
from packd.cli.text import clock, duration, one_line, plural, width
from packd.domain.numbers import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packd.client import Client

_PAGE: Final = 500
_TYPE_COLUMNS: Final = 24
_NAME_COLUMNS: Final = 14
_HANGING: Final = 17  # below the type

_COLOURS: Final = {
    "registered": "green",
    "updated": "green",
    "test_passed": "green",
    "recovered": "green",
    "delivery_recovered": "green",
    "endpoint_enabled": "green",
    "waiting": "yellow",
    "degraded": "yellow",
    "delivery_failing": "yellow",
    "validation_failed": "red",
    "test_failed": "red",
    "delivery_exhausted": "red",
    "endpoint_disabled": "red",
    "rolled_back": "magenta",
}


@click.command("events")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until interrupted.")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="Only events with a greater number.")
@click.option("--type", "types", multiple=True, metavar="GLOB", help="Only these types, e.g. 'pack.*'; repeatable.")
@click.option("--pack", "packs", multiple=True, metavar="GLOB", help="Only about these packs; repeatable.")
@click.option(
    "--last", type=click.IntRange(0, MOST), metavar="N", help="At most so many of what has happened (default: 20)."
)
@as_json
@asks_daemon
def command(
    client: Client,
    follow: bool,
    after: int | None,
    types: tuple[str, ...],
    packs: tuple[str, ...],
    last: int | None,
    as_json: bool,
) -> None:
    """What happened: the newest 20 events, or all behind --after; with --follow what happens as well.

    With --json and --follow every line is one event.

    \b
    Examples:
      packd events --follow --pack core
      packd events --type 'pack.test_*' --last 5

    Exit status: 0 fine (interrupting --follow is), 1 what comes after SEQ is not kept any more, 2 there are no such
    types, 3 no daemon answers.
    """
    keep = last if last is not None or after is not None else 20
    past = Past(client, after, list(types), list(packs), keep)
    if not follow:
        _print_past(past, as_json=as_json)
        return
    with suppress(KeyboardInterrupt):  # that is how one stops following, so it is no failure
        _follow(client, past, list(types), list(packs), say_json_line if as_json else print_event)


def _follow(
    client: Client, past: Past, types: list[str], packs: list[str], show: Callable[[dict[str, Any]], None]
) -> None:
    for event in past:
        show(event)
    with closing(client.follow(after=past.cursor, types=types, packs=packs, on_gap=note)) as coming:
        for event in coming:
            show(event)


def _print_past(past: Past, *, as_json: bool) -> None:
    if as_json:
        say_json(list(past))
        return
    for event in past:
        print_event(event)


class Past:
    """The events that are there already; `cursor` is behind the last one that was looked at."""

    def __init__(self, client: Client, after: int | None, types: list[str], packs: list[str], keep: int | None) -> None:
        self._client = client
        self._types = types
        self._packs = packs
        self._keep = keep
        self.cursor = after

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._keep is None:
            return self._pages()
        if self.cursor is None and not self._types and not self._packs:
            self._skip_to_the_end(self._keep)
        return iter(deque(self._pages(), maxlen=self._keep))

    def _skip_to_the_end(self, keep: int) -> None:
        place = self._client.get("/events", limit=1)["cursor"]
        self.cursor = max((place["oldest"] or 1) - 1, place["newest"] - keep)

    def _pages(self) -> Iterator[dict[str, Any]]:
        while True:
            answer = self._client.get("/events", after=self.cursor, types=self._types, pack=self._packs, limit=_PAGE)
            self.cursor = answer["cursor"]["next"]
            yield from answer["items"]
            if not answer["cursor"]["has_more"]:
                return


def print_event(event: dict[str, Any]) -> None:
    """One on a line; where a terminal is narrower, its details below it."""
    kind, _, name = event["subject"].partition("/")
    verb = event["type"].partition(".")[2]
    details = one_line(" · ".join(_details(event["data"])))
    room = " " * max(2, _NAME_COLUMNS - width(name or kind)) if details else ""
    flow(
        Cell(text=f"{event['seq']:>5}  {clock(event['timestamp'])}  ", faint=True),
        cell(event["type"], colour=_COLOURS.get(verb)),
        " " * max(2, _TYPE_COLUMNS - len(event["type"])),
        cell(name or kind, bold=True),
        room,
        details,
        hanging=" " * _HANGING,
        break_words=True,
    )


def _details(data: dict[str, Any]) -> Iterator[str]:
    """What one wants to know of it at a glance."""
    pack = data.get("pack") or {}
    if not pack and data.get("version"):
        yield f"packd {data['version']}"
    if previous := data.get("previous_stop"):
        yield f"after a {previous} stop" if previous == "clean" else "after a crash"
    if reconciled := data.get("reconciled"):
        yield ", ".join(f"{count} {kind}" for kind, count in reconciled.items())
    about = data.get("failed") or pack  # where one was withdrawn, `pack` is what is in use by now
    if about.get("revision"):
        yield f"#{about['revision']} {about['version'] or ''}".rstrip()
    if tests := data.get("tests"):
        yield f"{tests['passed']} of {tests['total'] - tests['skipped']} passed"
    if reason := data.get("reason"):
        limit = data.get("limit")
        yield str(reason).replace("_", " ") + (f" ({limit})" if limit else "")
    if problems := data.get("problems"):
        yield f"{plural(len(problems), 'problem')}: {problems[0]['message']}"
    if missing := data.get("missing"):
        yield "for " + ", ".join(need["ref"] for need in missing)
    if "restored" in data:
        yield _in_use_by_now(pack, data["restored"])
    if data.get("duration_ms") is not None:
        yield f"in {duration(data['duration_ms'])}"
    for key in ("scope", "last_error"):
        if data.get(key):
            yield str(data[key])


def _in_use_by_now(pack: dict[str, Any], restored: dict[str, Any] | None) -> str:
    if restored is None:
        return "nothing is in use"
    how = "is in use again" if restored["revision"] == pack["revision"] else "stays in use"
    return f"#{restored['revision']} {how}"
