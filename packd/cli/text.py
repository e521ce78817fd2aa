"""Text for people: safe to print whatever a pack wrote into it, and moments and durations as one says them."""

from __future__ import annotations

import re
import time
import unicodedata
from typing import TYPE_CHECKING, Final

from packd.domain.moments import unix_s
from packd.domain.printing import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMED_UTC: Final = re.compile(r"\b(\d{4}-\d\d-\d\d) ([0-2]\d:[0-5]\d:[0-5]\d) UTC\b")
_NO_COLUMN: Final = ("Mn", "Me", "Cf")  # marks on what stands before them (also vowels of many scripts), and joiners
_SOFT_HYPHEN: Final = "\u00ad"  # which terminals show
_LEAST_ROOM: Final = 20  # for words beside an indent
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400


def one_line(text: str) -> str:
    """One line that a terminal can be given, white space folded."""
    return " ".join(clean(text).split())


def width(text: str) -> int:
    """Columns that a terminal needs for it."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NO_COLUMN and character != _SOFT_HYPHEN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """Cut to so many columns, with an ellipsis when anything is missing."""
    if width(text) <= columns:
        return text
    taken, room = "", columns - 1
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        taken += character
    return taken + "…" if columns > 0 else ""


def folded(text: str, columns: int | None, *, indent: str = "", hanging: str = "") -> list[str]:
    """Lines of at most so many columns, broken between words; None: one line, however long."""
    if columns is None or width(indent + text) <= columns:
        return [indent + text]
    room = max(columns, len(hanging) + _LEAST_ROOM)
    lines: list[str] = []
    line, begun = indent, False
    for word in text.split():
        if begun and width(line) + 1 + width(word) > room:
            lines.append(line)
            line, begun = hanging, False
        line, begun = f"{line} {word}" if begun else line + word, True
    return [*lines, line]


def chopped(text: str, columns: int) -> Iterator[str]:
    """Pieces of at most so many columns, wherever that breaks it."""
    piece = ""
    for character in text:
        if piece and width(piece) + _columns(character) > columns:
            yield piece
            piece = ""
        piece += character
    yield piece


def ago(moment: str | None, now_s: float | None = None) -> str:
    """An RFC 3339 moment as people say it: `3 min ago`, `2 h ago`, or the date when it is long ago."""
    if not moment:
        return "-"
    now_s = time.time() if now_s is None else now_s
    passed = now_s - unix_s(moment)
    if passed < 2:
        return "just now"
    return f"{since(moment, now_s)} ago" if passed < 30 * _DAY_S else day_and_time(moment)[:10]


def since(moment: str, now_s: float | None = None) -> str:
    """How long it has been: `5 s`, `3 min`, `2 h`, `40 days`."""
    passed = max(0.0, (time.time() if now_s is None else now_s) - unix_s(moment))
    if passed < _MINUTE_S:
        return f"{int(passed)} s"
    if passed < _HOUR_S:
        return f"{passed // _MINUTE_S:.0f} min"
    return f"{passed // _HOUR_S:.0f} h" if passed < 2 * _DAY_S else f"{passed // _DAY_S:.0f} days"


def duration(milliseconds: float | None) -> str:
    """`12 ms`, `1.34 s`, `2 min 5 s`."""
    if milliseconds is None:
        return "-"
    if round(milliseconds) < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if round(seconds, 2) < _MINUTE_S:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    return f"{minutes} min {rest} s"


def clock(moment: str, now_s: float | None = None) -> str:
    """The time of day of an RFC 3339 moment, here; with the day when that is not today."""
    then, today = time.localtime(unix_s(moment)), time.localtime(now_s)
    same_day = (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S", then)


def day_and_time(moment: str | None) -> str:
    """`2026-01-31 09:05`, here."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s(moment))) if moment else "-"


def told_here(sentence: str) -> str:
    """A sentence of the daemon's with its moments, which name UTC, in the time zone that is used here, by its name."""
    return _NAMED_UTC.sub(_moment_here, sentence)


def _moment_here(found: re.Match[str]) -> str:
    try:
        then = time.localtime(unix_s(f"{found[1]}T{found[2]}Z"))
    except (ValueError, OverflowError, OSError):  # it only looks like one
        return found[0]
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", then)


def plural(count: int, noun: str) -> str:
    """`1 pack`, `2 packs`, `3 entries`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") and not noun.endswith("ay") else f"{count} {noun}s"


def counted(count: int, plural_noun: str) -> str:
    """`1 action`, `2 policies`: the other way round, from the plural."""
    if count != 1:
        return f"{count} {plural_noun}"
    return f"1 {plural_noun[:-3]}y" if plural_noun.endswith("ies") else f"1 {plural_noun.removesuffix('s')}"


def gist(message: str | None) -> str:
    """The line of a case's message that says what went wrong: what pytest marks as raised, or what stands below the last
    frame of a traceback; else the last one. Empty when there is none."""
    lines = [line for line in clean(message or "").splitlines() if line.strip()]
    raised = [
        line for above, line in zip(["", *lines], lines, strict=False)
        if line.startswith("E  ") and not above.startswith("E  ")
    ]  # fmt: skip
    if raised:
        return raised[-1].removeprefix("E").strip()
    frame = max((at for at, line in enumerate(lines) if line.startswith('  File "')), default=len(lines))
    below = (line for line in lines[frame + 1 :] if not line.startswith(" "))
    return next(below, lines[-1] if lines else "").strip()
