"""Tokens: what they look like, what they may do. Pure; whoever makes one brings the randomness."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Final

PREFIX: Final = "pkd_"
RANDOM_BYTES: Final = 24  # 192 bits
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 33  # digits of base 62 that 192 bits need
_CHECKSUM_LENGTH: Final = 6  # and 32 bits
_FORM: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}")

SCOPES: Final[dict[str, str]] = {
    "events:read": "Read and follow events.",
    "packs:read": "Read packs, runs, jobs and the daemon's state.",
    "packs:write": "Register, test, roll back, remove; includes packs:read.",
    "webhooks:manage": "Everything about endpoints and deliveries.",
    "admin": "Everything, tokens included.",
}
_INCLUDES: Final = {"packs:write": frozenset({"packs:read"})}
_OPEN: Final = ("/livez", "/readyz", "/openapi.json", "/docs")  # nothing in them depends on what packd knows
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def make(random: bytes) -> str:
    """A token of RANDOM_BYTES random bytes: `pkd_`, the secret, and a checksum that tells a typing error or a leak
    scanner's find from a token without asking anybody."""
    secret = _base62(int.from_bytes(random, "big"), _SECRET_LENGTH)
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_well_formed(text: str) -> bool:
    """Could this be a token, with the right checksum?"""
    if not _FORM.fullmatch(text):
        return False
    body = text.removeprefix(PREFIX)
    return _checksum(body[:_SECRET_LENGTH]) == body[_SECRET_LENGTH:]


def digest_of(text: str) -> str:
    """What is stored instead. No salt, no slow hash: the secret is 192 random bits, there is nothing to guess."""
    return hashlib.sha256(text.encode()).hexdigest()


def includes(scopes: frozenset[str], wanted: str) -> bool:
    """Do these scopes allow what `wanted` stands for?"""
    given = scopes.union(*(_INCLUDES.get(scope, frozenset()) for scope in scopes))
    return "admin" in given or wanted in given


def scope_for(method: str, path: str) -> str | None:
    """The scope that a request needs; None: anybody may, also without a token."""
    if any(path == free or path.startswith(f"{free}/") for free in _OPEN):
        return None
    room = path.removeprefix("/api/v1/").partition("/")[0]
    if room in ("events", "event-types"):
        return "events:read"
    if room == "webhooks":
        return "webhooks:manage"
    if room in ("tokens", "audit", "sweep", "verify", "config"):
        return "admin"
    return "packs:read" if method in _READING else "packs:write"


def _checksum(secret: str) -> str:
    return _base62(zlib.crc32(secret.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
