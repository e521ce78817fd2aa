"""What was sent and what was answered, made fit to be kept and shown: short, printable, without secrets. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD_LIMIT: Final = 2048  # characters of an answer's head that are kept
_BODY_LIMIT: Final = 1024  # bytes of the body that may be part of it
HIDDEN: Final = "***"
_LEAST_HIDDEN: Final = 6  # a shorter value would be found everywhere, and is no secret

_SECRET_NAME: Final = re.compile(r"auth|cookie|token|secret|key|credential|session|signature", re.IGNORECASE)
_SECRET_TEXT: Final = re.compile(r"(?:whsec_|whsk_|pkd_|v1a?,|Bearer )[\w.~+/=-]{8,}")
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e\n\t\xa0-\ud7ff\ue000-\U0010ffff]")


def head(status_line: str, headers: Iterable[tuple[str, str]], body: bytes, hide: Iterable[str]) -> str:
    """Status line, headers and the beginning of the body.

    Values of headers that sound secret are hidden, and so is whatever looks like a secret or is in `hide` wherever it
    stands: some endpoints answer with what they were sent.
    """
    lines = [status_line]
    length = len(status_line)
    for name, value in headers:
        line = f"{name}: {HIDDEN if _sounds_secret(name) else value}"
        lines.append(line)
        length += len(line)
        if length > HEAD_LIMIT:
            break
    text = "\n".join([*lines, "", body[:_BODY_LIMIT].decode("utf-8", "replace")])
    return _fit(text, tuple(hide))


@lru_cache(maxsize=128)  # most answers are the same as the one before
def _fit(text: str, hide: tuple[str, ...]) -> str:
    return _printable(_without(text, hide))[:HEAD_LIMIT].rstrip()


@lru_cache(maxsize=256)
def _sounds_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _without(text: str, hide: Iterable[str]) -> str:
    text = _SECRET_TEXT.sub(HIDDEN, text)
    for value in hide:
        if len(value) >= _LEAST_HIDDEN:
            text = text.replace(value, HIDDEN)
    return text


def _printable(text: str) -> str:
    """Without escape sequences, which would act on the terminal of whoever reads the log."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))
