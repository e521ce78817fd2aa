"""For people at a terminal: the time, how bad, what, about whom, and what matters, in columns."""

from __future__ import annotations

from datetime import datetime
from typing import Final, TextIO

from packd.logs.output import Entry, Stream
from packd.logs.words import about, details, printable

_EVENT_WIDTH: Final = 24
_PACK_WIDTH: Final = 16
_RESET, _BOLD, _DIM, _RED, _GREEN, _YELLOW, _CYAN = (f"\x1b[{code}m" for code in (0, 1, 2, 31, 32, 33, 36))
_LEVELS: Final = {"debug": _DIM, "info": _GREEN, "warning": _YELLOW, "error": _RED, "critical": _RED + _BOLD}


class Console:
    """One line an entry, and under it the lines of its exception."""

    def __init__(self, stream: TextIO, *, colours: bool) -> None:
        self._stream = Stream(stream)
        self._colours = colours

    def write(self, entry: Entry) -> None:
        level, event = str(entry.get("level", "info")), printable(str(entry.get("event", "")))
        moment = datetime.fromisoformat(entry["timestamp"]).astimezone()
        columns = [
            self._in(_DIM, f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"),
            self._in(_LEVELS.get(level, ""), f"{level:<7}"),
            self._in(_BOLD if level != "debug" else _DIM, f"{event:<{_EVENT_WIDTH}}"),
            self._in(_CYAN, f"{about(entry):<{_PACK_WIDTH}}"),
        ]
        line = "  ".join([" ".join(columns), *self._details(entry)]).rstrip()
        self._stream.line("\n".join([line, *self._below(entry)]))

    def close(self) -> None:
        """There is nothing to give back."""

    def _details(self, entry: Entry) -> list[str]:
        if "message" in entry:  # a library's own words
            return [printable(f"{entry.get('logger', '')}: {entry['message']}")]
        return [f"{self._in(_DIM, name)} {value}" for name, value in details(entry)]

    def _below(self, entry: Entry) -> list[str]:
        return [f"    {self._in(_DIM, printable(line))}" for line in str(entry.get("exception", "")).splitlines()]

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours and text.strip() else text
