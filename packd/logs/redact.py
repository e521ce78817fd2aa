"""No secret reaches a log: what a key says is one, and what looks like one inside any text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from packd.domain.clipping import sayable

STARS: Final = "***"
_NAMES: Final = 1024  # keys whose answer is kept: there are a few dozen, again and again
_DEEPEST: Final = 8  # containers inside containers that are shown

_SECRET_KEY: Final = re.compile(
    r"(?:.*[_-])?(?:secret|token|password|passwd|passphrase|authorization|cookie|credential|api[_-]?key)s?",
    re.IGNORECASE,
)
# Texts without these are clean.
_HINTS: Final = re.compile("whsec_|whsk_|pkd_|://|authorization|bearer ", re.IGNORECASE)
_CLEAN: Final = (str, int, bool, type(None))  # types whose values are shown as they are, if their text is clean
_IN_TEXT: Final = (
    (re.compile(r"\b(whsec_|whsk_|pkd_)[A-Za-z0-9+/=_-]+"), rf"\1{STARS}"),
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), rf"\1{STARS}@"),
    (
        re.compile(r"([?&](?:\w+[_-])?(?:password|secret|token|api_?key|signature)=)[^\s&#\"']+", re.IGNORECASE),
        rf"\1{STARS}",
    ),
    (re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer |basic )?)[^\s\"',;]+", re.IGNORECASE), rf"\1{STARS}"),
    (re.compile(r"(bearer )[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{STARS}"),
)


def redact(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same with secrets starred out and with every value made JSON-able."""
    texts = "\n".join(value for value in entry.values() if type(value) is str)
    if not texts.isascii() or _HINTS.search(texts):
        return {_name(str(key)): _value(str(key), value, 0) for key, value in entry.items()}
    return {
        _name(str(key)): value if type(value) in _CLEAN and not _is_secret(str(key)) else _value(str(key), value, 0)
        for key, value in entry.items()
    }


@lru_cache(_NAMES)
def _is_secret(key: str) -> bool:
    return _SECRET_KEY.fullmatch(key) is not None


@lru_cache(_NAMES)
def _name(key: str) -> str:
    return _text(key)


def _value(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _is_secret(key):
        return STARS
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _container(key, value, depth)


def _container(key: str, value: Any, depth: int) -> Any:
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {_name(str(name)): _value(str(name), item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(key, item, depth + 1) for item in value]
    return _text(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else _said(value))


def _said(value: Any) -> str:
    """Logging must not fail because something cannot be shown."""
    try:
        return str(value)
    except Exception as failure:
        return f"<{type(value).__name__} that can't be shown: {type(failure).__name__}>"


def _text(text: str) -> str:
    text = sayable(text)
    if _HINTS.search(text):
        for pattern, shown in _IN_TEXT:
            text = pattern.sub(shown, text)
    return text
