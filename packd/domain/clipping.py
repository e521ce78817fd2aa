"""Cut text to what a message may carry, measured as it will be sent: in bytes of its JSON form."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Final

_MARK: Final = "…"
_WORST_ESCAPE: Final = 6  # bytes that one character can take in JSON, as in \u001b


def sayable(text: str) -> str:
    """`text` without lone surrogates, which UTF-8 cannot carry: bytes of a file name that are not UTF-8 become `\\udcXX`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def clip(text: str, limit: int) -> str:
    """The beginning of `text`, with an ellipsis if anything is missing; its JSON form takes at most `limit` bytes."""
    if len(text) * _WORST_ESCAPE <= limit and text.isascii():  # most that is ever said
        return text
    text = sayable(text)
    if _fits(text, limit):
        return text
    room = limit - len(_MARK.encode())
    return text[: _longest(text, room, from_end=False)] + _MARK


def clip_to_end(text: str, limit: int) -> str:
    """The end of `text`, after an ellipsis if anything is missing; its JSON form takes at most `limit` bytes."""
    text = sayable(text)
    if _fits(text, limit):
        return text
    room = limit - len(_MARK.encode())
    return _MARK + text[len(text) - _longest(text, room, from_end=True) :]


def _fits(text: str, limit: int) -> bool:
    return len(text) * _WORST_ESCAPE <= limit or (len(text) <= limit and _json_size(text) <= limit)


def _longest(text: str, room: int, *, from_end: bool) -> int:
    """How many characters fit into `room` bytes; a character takes at least one."""
    most = min(len(text), room)
    window = text[len(text) - most :] if from_end else text[:most]
    sizes = range(most + 1)
    return bisect_right(sizes, room, key=lambda n: _json_size(window[most - n :] if from_end else window[:n])) - 1


def _json_size(text: str) -> int:
    """Bytes between the quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
