"""What goes to stdout: aligned and coloured on a terminal, plain in a pipe, JSON where it is asked for."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.text import fit, one_line, width

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP: Final = "  "
_NARROWEST: Final = 6  # columns that a shrunk column keeps

_COLOURS: Final = {
    "active": "green",
    "passed": "green",
    "enabled": "green",
    "watching": "green",
    "ok": "green",
    "waiting": "yellow",
    "partial": "yellow",
    "skipped": "yellow",
    "warning": "yellow",
    "degraded": "yellow",
    "testing": "cyan",
    "running": "cyan",
    "snapshotted": "cyan",
    "validated": "cyan",
    "tested": "cyan",
    "failed": "red",
    "error": "red",
    "timed_out": "red",
    "rejected": "red",
    "refused": "red",
    "disabled": "red",
    "rolled_back": "magenta",
}
_FAINT: Final = frozenset({"superseded", "unregistered"})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A piece of a line in one style."""

    text: str
    colour: str | None = None
    bold: bool = False
    faint: bool = False

    def shown(self, text: str | None = None) -> str:
        return click.style(
            self.text if text is None else text, fg=self.colour, bold=self.bold or None, dim=self.faint or None
        )


def cell(value: object, *, colour: str | None = None, bold: bool = False, faint: bool = False) -> Cell:
    """On one line and safe to print; nothing is a dash."""
    text = "-" if value is None or value == "" else one_line(str(value))
    return Cell(text=text, colour=colour, bold=bold, faint=faint or text == "-")


def word(status: str | None) -> Cell:
    """A status in the colour that it has everywhere."""
    return cell((status or "-").replace("_", " "), colour=_COLOURS.get(status or ""), faint=status in _FAINT)


def say(*pieces: Cell | str) -> None:
    """One line of pieces, side by side."""
    click.echo("".join(piece if isinstance(piece, str) else piece.shown() for piece in pieces))


def note(text: str) -> None:
    """Something beside the data: on stderr."""
    click.secho(text, err=True, dim=True)


def say_json(value: Any) -> None:
    """As the API gives it."""
    click.echo(_json(value, indent=2))


def say_json_line(value: Any) -> None:
    """One value a line, at once: for what has no end."""
    click.echo(_json(value, indent=None))
    sys.stdout.flush()


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]], *, columns: int | None = None) -> None:
    """Rows under a header. On a terminal the widest columns give way until a row is one line."""
    titled = [[Cell(text=title, faint=True) for title in header], *rows]
    widths = [max(width(row[n].text) for row in titled) for n in range(len(header))]
    widths = _shrunk(widths, columns or terminal_columns())
    for row in titled:
        filled = _without_empty_end(row)
        shown = [_padded(one, room) for one, room in zip(filled[:-1], widths, strict=False)]
        say(_GAP.join([*shown, *(one.shown(fit(one.text, widths[len(filled) - 1])) for one in filled[-1:])]))


def facts(pairs: Sequence[tuple[str, Sequence[Cell | str]]]) -> None:
    """Names on the left, what they are on the right."""
    room = max((width(name) for name, _ in pairs), default=0)
    for name, pieces in pairs:
        say(cell(name, faint=True), " " * (room - width(name)), _GAP, *pieces)


def heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def terminal_columns() -> int | None:
    """None where nobody looks: in a pipe nothing is cut off."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wants_colour() -> bool:
    """https://no-color.org: any value that is not empty says no."""
    return not os.environ.get("NO_COLOR")


def _padded(one: Cell, room: int) -> str:
    text = fit(one.text, room)
    return one.shown(text) + " " * (room - width(text))


def _without_empty_end(row: Sequence[Cell]) -> Sequence[Cell]:
    """So that no line ends in blanks."""
    filled = len(row)
    while filled and not row[filled - 1].text:
        filled -= 1
    return row[:filled]


def _shrunk(widths: list[int], columns: int | None) -> list[int]:
    """Take from the widest until the whole fits, or nothing more can be taken."""
    if columns is None:
        return widths
    room = columns - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        widths[widest] -= 1
    return widths


def _json(value: Any, *, indent: int | None) -> str:
    """Readable where the output can carry it; JSON's own escapes where it can't."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text
