"""What goes to stdout: aligned and coloured on a terminal, plain in a pipe, JSON where it is asked for."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from packd.cli.text import chopped, fit, folded, one_line, width
from packd.domain.printing import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GAP: Final = "  "
_BLANKS_OR_NOT: Final = re.compile(r"\s+|\S+")
_NARROWEST: Final = 6  # columns that a shrunk column keeps
_READABLE: Final = 20  # columns in which long text still says something

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


def flow(*pieces: Cell | str, hanging: str = "", break_words: bool = False) -> None:
    """One line of pieces; where a terminal is narrower it is broken between words, and goes on behind `hanging`.

    A word that is longer than a line stays whole, so that it can be copied, unless `break_words`.
    """
    cells = [Cell(text=piece) if isinstance(piece, str) else piece for piece in pieces]
    columns = terminal_columns()
    if columns is None or width("".join(one.text for one in cells)) <= columns:
        say(*cells)
        return
    line, used = "", 0
    for word, room in _words(cells, max(1, columns - len(hanging)) if break_words else None):
        if used + room > columns and used > len(hanging):
            click.echo(line.rstrip())
            line, used, word, room = hanging, len(hanging), word.lstrip(), room - (len(word) - len(word.lstrip()))  # noqa: PLW2901
        line, used = line + word, used + room
    click.echo(line.rstrip())


def _words(cells: Sequence[Cell], longest: int | None) -> Iterator[tuple[str, int]]:
    """(text in its style, columns) of each word with the blanks before it; a word may run over several cells.

    What is longer than `longest` columns comes in pieces.
    """
    word, room, ended = "", 0, False
    for one in cells:
        for part in _parts(one.text, longest):
            blank = part.isspace()
            if ended and (blank or (longest is not None and room + width(part) > longest)):
                yield word, room
                word, room = "", 0
            ended = not blank
            word, room = word + (part if blank else one.shown(part)), room + width(part)
    if word:
        yield word, room


def _parts(text: str, longest: int | None) -> Iterator[str]:
    for part in _BLANKS_OR_NOT.findall(text):
        yield from [part] if longest is None or part.isspace() else chopped(part, longest)


def paragraph(text: str, *, indent: str = "", hanging: str | None = None, err: bool = False, **style: Any) -> None:
    """Text that is broken between words where a terminal is narrower; `hanging` begins the lines after the first."""
    columns = terminal_columns(sys.stderr if err else sys.stdout)
    for line in folded(text, columns, indent=indent, hanging=indent if hanging is None else hanging):
        click.secho(line, err=err, **style)


def note(text: str) -> None:
    """Something beside the data: on stderr."""
    paragraph(text, err=True, dim=True)


def say_done(answer: dict[str, Any], *, as_json: bool, fg: str = "green") -> None:
    """What the daemon says of what it has done: its sentence, or its data."""
    if as_json:
        say_json(answer["data"])
    else:
        paragraph(clean(answer["message"]), fg=fg)


def say_json(value: Any) -> None:
    """As the API gives it."""
    click.echo(_json(value, indent=2))


def say_json_line(value: Any) -> None:
    """One value a line, at once: for what has no end."""
    click.echo(_json(value, indent=None))
    sys.stdout.flush()


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    columns: int | None = None,
    spare: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Rows under a header, if there is one.

    On a terminal that is too narrow the columns in `spare` are left out, one after the other, and then the widest give
    way until a row is one line; those in `whole` are of no use when anything of them is missing.
    """
    columns = columns or terminal_columns()
    titled = [*([[Cell(text=title, faint=True) for title in header]] if header else []), *rows]
    if not titled:
        return
    for title in spare:
        if columns is not None and _comfortable(titled, whole) > columns:
            place = [cell.text for cell in titled[0]].index(title)
            titled = [[*row[:place], *row[place + 1 :]] for row in titled]
    widths = _shrunk(_widths(titled), columns, whole=[cell.text in whole for cell in titled[0]])
    for row in titled:
        filled = _without_empty_end(row)
        shown = [_padded(one, room) for one, room in zip(filled[:-1], widths, strict=False)]
        say(_GAP.join([*shown, *(one.shown(fit(one.text, widths[len(filled) - 1])) for one in filled[-1:])]))


def facts(pairs: Sequence[tuple[str, Sequence[Cell | str]]]) -> None:
    """Names on the left, what they are on the right."""
    room = max((width(name) for name, _ in pairs), default=0)
    for name, pieces in pairs:
        margin = " " * (room - width(name)) + _GAP
        hanging = " " * (room + len(_GAP))
        flow(Cell(text=one_line(name), faint=True), margin, *pieces, hanging=hanging if room < _READABLE else _GAP)


def heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def terminal_columns(stream: TextIO | None = None) -> int | None:
    """None where nobody looks: in a pipe nothing is cut off."""
    return shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else None


def wants_colour() -> bool:
    """https://no-color.org: any value that is not empty says no; and a dumb terminal shows no colours."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _padded(one: Cell, room: int) -> str:
    text = fit(one.text, room)
    return one.shown(text) + " " * (room - width(text))


def _without_empty_end(row: Sequence[Cell]) -> Sequence[Cell]:
    """So that no line ends in blanks."""
    filled = len(row)
    while filled and not row[filled - 1].text:
        filled -= 1
    return row[:filled]


def _widths(rows: Sequence[Sequence[Cell]]) -> list[int]:
    return [max(width(cell.text) for cell in column) for column in zip(*rows, strict=True)]


def _comfortable(rows: Sequence[Sequence[Cell]], whole: Sequence[str]) -> int:
    """Columns that the rows need so that one can still read them: what is long may be cut off."""
    titled = zip(_widths(rows), rows[0], strict=True)
    needed = [room if title.text in whole else min(room, _READABLE) for room, title in titled]
    return sum(needed) + len(_GAP) * (len(needed) - 1)


def _shrunk(widths: list[int], columns: int | None, *, whole: Sequence[bool]) -> list[int]:
    """Take from the widest until the whole fits, or nothing more can be taken."""
    if columns is None:
        return widths
    room = columns - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room:
        most, widest = max((0 if kept else one, n) for n, (one, kept) in enumerate(zip(widths, whole, strict=True)))
        if most <= _NARROWEST:
            break
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
