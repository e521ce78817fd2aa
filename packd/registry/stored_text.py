"""How text is kept that not every database can hold: a few characters are escaped on the way in and restored on the way out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# A noncharacter (Unicode 23.7): no text has it, and both databases keep it. It is escaped itself, so nothing is lost.
_MARK: Final = "\U0010ffff"
_UNSTORABLE: Final = re.compile(f"[\0\ud800-\udfff{_MARK}]")
_ESCAPED: Final = re.compile(f"{_MARK}([0-9a-f]{{6}})")


def is_plain(texts: Iterable[str | None]) -> bool:
    """Nothing has to be done to any of these, in either direction."""
    together = "".join(filter(None, texts))
    return together.isascii() and "\0" not in together


def as_stored(value: str | None) -> str | None:
    """What the database keeps; an enumeration's member becomes its plain text."""
    if value is None:
        return None
    if value.isascii() and "\0" not in value:
        return str(value)
    return _UNSTORABLE.sub(lambda found: f"{_MARK}{ord(found[0]):06x}", value)


def as_given(value: Any | None) -> str | None:
    """What was given before it was stored."""
    if value is None or value.isascii() or _MARK not in value:
        return value
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
