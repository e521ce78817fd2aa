"""Keys of the asymmetric scheme `v1a` (Ed25519, RFC 8032): packd signs, and receivers hold nothing that could.

`cryptography` is imported when the first key is used: most daemons have none. Pure.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE_PREFIX: Final = "whsk_"  # base64 of the seed, or of seed and public key as libsodium keeps them
PUBLIC_PREFIX: Final = "whpk_"
SEED_BYTES: Final = 32


class BadKeyError(ValueError):
    """What is wrong with the text of a key, without the text."""


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """What packd signs with."""

    seed: bytes = field(repr=False)  # 32 random bytes

    def sign(self, message: bytes) -> bytes:
        return _private(self.seed).sign(message)

    @property
    def public(self) -> VerifyKey:
        return VerifyKey(raw=_private(self.seed).public_key().public_bytes_raw())

    def __str__(self) -> str:
        """As it is kept: with the public key behind the seed, so that any library takes it."""
        return PRIVATE_PREFIX + base64.b64encode(self.seed + self.public.raw).decode()


@dataclass(frozen=True, kw_only=True)
class VerifyKey:
    """What a receiver verifies with; no secret."""

    raw: bytes

    def verifies(self, signature: bytes, message: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return PUBLIC_PREFIX + base64.b64encode(self.raw).decode()


def signing_key(text: str) -> SigningKey:
    """From `whsk_…`. Raises BadKeyError."""
    raw = _decoded(text, PRIVATE_PREFIX)
    if len(raw) not in (SEED_BYTES, 2 * SEED_BYTES):
        raise BadKeyError(f"what follows {PRIVATE_PREFIX!r} must be 32 or 64 bytes, these are {len(raw)}")
    key = SigningKey(seed=raw[:SEED_BYTES])
    if raw[SEED_BYTES:] not in (b"", key.public.raw):
        raise BadKeyError("the two halves of the private key do not belong together")
    return key


def verify_key(text: str) -> VerifyKey:
    """From `whpk_…`. Raises BadKeyError."""
    raw = _decoded(text, PUBLIC_PREFIX)
    if len(raw) != SEED_BYTES:
        raise BadKeyError(f"what follows {PUBLIC_PREFIX!r} must be 32 bytes, these are {len(raw)}")
    return VerifyKey(raw=raw)


def _decoded(text: str, prefix: str) -> bytes:
    encoded = text.strip().removeprefix(prefix)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadKeyError(f"what follows {prefix!r} in a key must be base64 (A-Z a-z 0-9 + /)") from None


@lru_cache(maxsize=64)
def _private(seed: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)
