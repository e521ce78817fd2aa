"""Where entries end."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

Entry = dict[str, Any]


class Output(Protocol):
    """Takes an entry: `timestamp`, `level` and `event` first, every value JSON-able, no secret in it."""

    def write(self, entry: Entry) -> None:
        """Never raises: a log that cannot be written must not stop the daemon."""

    def close(self) -> None:
        """Give back what it opened itself; the stream is not its own."""


class Stream:
    """Whole lines to a text stream, one after another whichever threads they come from."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        if encoding.lower() not in ("utf-8", "utf8"):
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            with self._lock:
                self._stream.write(f"{text}\n")
                self._stream.flush()
        except BrokenPipeError:  # nobody reads it any more; what is left in the buffer would be refused again at exit
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
        except (OSError, ValueError):  # the terminal has gone, the disk is full, somebody closed it
            return


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class JsonLines:
    """One JSON object a line, as RFC 8259 has it, in UTF-8."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = Stream(stream)

    def write(self, entry: Entry) -> None:
        entry.pop("site", None)
        self._stream.line(_encode(entry))

    def close(self) -> None:
        """There is nothing to give back."""
