"""`packd` alone: is a daemon there, how are the packs, and what to try next."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from packd import __version__
from packd.cli.list import own_name, remark
from packd.cli.options import client_at
from packd.cli.screen import Cell, cell, flow, heading, table
from packd.cli.status import counted, troubles, watched
from packd.cli.text import one_line, since
from packd.domain.failures import Failure
from packd.domain.printing import typed

if TYPE_CHECKING:
    from pathlib import Path

    from packd.client import Client

_PATIENCE_S: Final = 3.0
_SHOWN: Final = 5

Hint = tuple[str, str]  # a command, and what it is good for


def print_overview(socket: Path | None, state_dir: Path | None) -> None:
    """Never fails: where nobody answers it says how to begin."""
    try:
        client = client_at(socket, state_dir, patience_s=_PATIENCE_S)
        status = client.get("/status")["data"]
        packs = _worth_a_look(client, status)
    except Failure as failure:
        absent = bool(failure.members.get("absent"))  # whose way out is the first of the hints
        said = failure.sentence.partition(":")[0] if absent else failure.sentence
        flow(cell(f"packd {__version__}", bold=True), f" · {one_line(said)}")
        _hints(_BEGIN if absent else _LOOK)
        return
    up = f"pid {status['pid']}, up {since(status['started_at'])}"
    flow(cell(f"packd {status['version']}", bold=True), f" · the daemon runs ({up})")
    flow("  watches ", *watched(status), hanging="    ")
    flow("  ", *counted(status["packs"]), hanging="    ")
    for part, said, colour in troubles(status):
        flow("  ", cell(f"{part}: {said}", colour=colour), hanging="    ")
    _look(packs)
    _hints(_GO_ON if status["packs"]["total"] else _DROP_ONE)


def _worth_a_look(client: Client, status: dict[str, Any]) -> list[tuple[dict[str, Any], Cell]]:
    if not status["packs"].get("refused"):
        return []
    return [(pack, remark(pack)) for pack in islice(client.items("/packs", status="refused"), _SHOWN)]


def _look(packs: list[tuple[dict[str, Any], Cell]]) -> None:
    if packs:
        heading("Needs a look")
        rows = [
            [cell(pack["ref"], bold=True), what, cell(f"packd why {typed(own_name(pack))}")] for pack, what in packs
        ]
        table(("PACK", "", "IN WORDS"), rows, spare=("IN WORDS",))


def _hints(hints: tuple[Hint, ...]) -> None:
    heading("Try")
    table((), [[cell(f"{command}"), cell(meaning, faint=True)] for command, meaning in hints])


_BEGIN: Final[tuple[Hint, ...]] = (
    ("packd run packs", "watch the folder ./packs, test and activate what is dropped there"),
    ("packd new hello --dir packs", "a first pack"),
    ("packd doctor", "is this machine fit for it?"),
    ("packd --help", "every command"),
)
_LOOK: Final[tuple[Hint, ...]] = (
    ("packd doctor", "what commonly goes wrong, each with its fix"),
    ("packd --help", "every command"),
)
_DROP_ONE: Final[tuple[Hint, ...]] = (
    ("packd new hello --dir FOLDER", "a first pack, into the folder that is watched"),
    ("packd events --follow", "see what happens to it"),
    ("packd --help", "every command"),
)
_GO_ON: Final[tuple[Hint, ...]] = (
    ("packd list", "one line a pack"),
    ("packd why REF", "in words, why one is or isn't active"),
    ("packd events --follow", "see what happens"),
    ("packd --help", "every command"),
)
