"""Text from a pack, made fit to be stored, sent and shown on a terminal."""

from __future__ import annotations

import re
from typing import Final

NAME_LIMIT: Final = 500  # characters of a case's name
MESSAGE_LIMIT: Final = 16_384  # characters of a case's error message
OUTPUT_LIMIT: Final = 8_192  # characters of a case's own output
ELLIPSIS: Final = "…"

# Terminal sequences (ECMA-48): CSI, OSC and friends up to their terminator, and the two-character escapes. The bounds
# keep an unterminated one from being looked for to the end of a large text again and again.
_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,16}[@-~]|\x1b[\]PX^_][^\x07\x1b]{0,512}(?:\x07|\x1b\\)|\x1b[ -/]{0,4}[0-~]"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Without colours, cursor movements and other control characters; lines end in a newline.

    Lone surrogates (they come from JSON escapes) become question marks: nothing could store or send them.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    encodable = lines if lines.isascii() else lines.encode("utf-8", "replace").decode()
    return _CONTROLS.sub("", _ESCAPES.sub("", encodable))


def decoded(data: bytes) -> str:
    """Plain text of bytes that claim to be UTF-8, with or without its mark at the beginning."""
    return plain(data.decode("utf-8-sig", "replace"))


def beginning(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis at the end if some are missing."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def ending(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis at the start if some are missing."""
    return text if len(text) <= limit else ELLIPSIS + text[1 - limit :]


def name_of(value: object, fallback: str = "unnamed") -> str:
    """A case's name: one line."""
    words = " ".join(plain(value[: 4 * NAME_LIMIT]).split()) if isinstance(value, str) else ""
    return beginning(words, NAME_LIMIT) or fallback


def message_of(value: object) -> str | None:
    """An error message, or None when there is none; of a long one the end, where the cause is."""
    text = plain(value[-4 * MESSAGE_LIMIT :]).strip("\n") if isinstance(value, str) else ""
    text = text.strip() if "\n" not in text else text
    return ending(text, MESSAGE_LIMIT) if text.strip() else None


def output_of(value: object) -> str | None:
    """What a case printed, or None; of a long one the end."""
    text = plain(value[-4 * OUTPUT_LIMIT :]) if isinstance(value, str) else ""
    return ending(text, OUTPUT_LIMIT) if text.strip() else None


def milliseconds(value: object, *, per: float = 1.0) -> float:
    """A duration of any spelling in milliseconds (`per` of them in its unit); 0.0 when it makes no sense."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0.0
    try:
        number = float(value.replace(",", "")[:64] if isinstance(value, str) else value) * per
    except (ValueError, OverflowError):
        return 0.0
    return round(number, 3) if 0.0 <= number < _A_YEAR_MS else 0.0


_A_YEAR_MS: Final = 366 * 86_400_000.0
