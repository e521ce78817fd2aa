"""Sign and verify as Standard Webhooks 1.0.0 says (its sections "Signature scheme" and "Webhook headers"). Pure.

The signature `v1` is an HMAC-SHA256 over `<id>.<timestamp>.<body>`, `v1a` an Ed25519 signature of the same; several,
separated by spaces, while a secret is being rotated. A secret is written `whsec_` and the base64 of 24 to 64 random
bytes; the keys of `v1a` are `whsk_…` for packd and `whpk_…` for receivers.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from packd.notify.ed25519 import (
    PRIVATE_PREFIX,
    PUBLIC_PREFIX,
    SEED_BYTES,
    BadKeyError,
    SigningKey,
    VerifyKey,
    signing_key,
    verify_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Secret = bytes | SigningKey  # what packd signs with
Trusted = bytes | SigningKey | VerifyKey  # what a receiver verifies with
Scheme = Literal["v1", "v1a"]

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

NEW_SECRET_BYTES: Final = 32  # how many random bytes to make a secret of
TOLERANCE_S: Final = 300  # how far apart two clocks, and an attempt and its arrival, may be

_PREFIX: Final = "whsec_"
_VERSION: Final = "v1"
_ASYMMETRIC: Final = "v1a"
_LEAST, _MOST = 24, 64  # bytes of a secret
_UNIX_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class BadSecretError(ValueError):
    """What is wrong with the text of a secret, without the text."""


class FaultCode(StrEnum):
    """Why a webhook cannot be trusted."""

    MISSING_HEADER = "missing_header"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_SIGNATURE = "no_signature"  # none of a scheme that is known here
    MISMATCH = "mismatch"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a webhook cannot be trusted, for programs and for people."""

    code: FaultCode
    sentence: str


def encode_secret(secret: bytes) -> str:
    """The text of a secret made of these random bytes. Raises BadSecretError for a number of bytes not in 24..64."""
    _check_length(secret)
    return _PREFIX + base64.b64encode(secret).decode()


def decode_secret(text: str) -> bytes:
    """The bytes of a secret from its text; a newline around it and missing padding are forgiven. Raises BadSecretError."""
    encoded = text.strip().removeprefix(_PREFIX)
    if encoded == text.strip():
        raise BadSecretError(f"a webhook secret must begin with {_PREFIX!r}; `packd webhook add` makes one")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecretError(f"what follows {_PREFIX!r} in a webhook secret must be base64 (A-Z a-z 0-9 + /)") from None
    _check_length(secret)
    return secret


def decode(text: str) -> Secret:
    """What to sign with, from `whsec_…` or `whsk_…`. Raises BadSecretError."""
    if not text.strip().startswith(PRIVATE_PREFIX):
        return decode_secret(text)
    try:
        return signing_key(text)
    except BadKeyError as wrong:
        raise BadSecretError(str(wrong)) from None


def decode_trusted(text: str) -> Trusted:
    """What to verify with: as `decode`, or the public key `whpk_…`. Raises BadSecretError."""
    if not text.strip().startswith(PUBLIC_PREFIX):
        return decode(text)
    try:
        return verify_key(text)
    except BadKeyError as wrong:
        raise BadSecretError(str(wrong)) from None


def new_secret(scheme: Scheme, random: Callable[[int], bytes]) -> str:
    """The text of a fresh one; `random` gives as many random bytes as it is asked for."""
    if scheme == _ASYMMETRIC:
        return str(SigningKey(seed=random(SEED_BYTES)))
    return encode_secret(random(NEW_SECRET_BYTES))


def public_key(text: str) -> str | None:
    """The `whpk_…` that belongs to a `whsk_…`; None for a shared secret."""
    secret = decode(text)
    return str(secret.public) if isinstance(secret, SigningKey) else None


def _check_length(secret: bytes) -> None:
    if not _LEAST <= len(secret) <= _MOST:
        raise BadSecretError(f"a webhook secret must be {_LEAST} to {_MOST} bytes long, this one has {len(secret)}")


def sign(secrets: Sequence[Secret], event_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature a secret, the newest first. `timestamp` in Unix seconds."""
    if not secrets:
        raise ValueError("a webhook cannot be signed without a secret")
    return " ".join(_signature(secret, event_id, str(timestamp), body) for secret in secrets)


def _signature(secret: Secret, event_id: str, timestamp: str, body: bytes) -> str:
    if isinstance(secret, SigningKey):
        signature = secret.sign(_signed_content(event_id, timestamp, body))
        return f"{_ASYMMETRIC},{base64.b64encode(signature).decode()}"
    return f"{_VERSION},{_hmac(secret, event_id, timestamp, body)}"


def headers(secrets: Sequence[Secret], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers that a webhook must have; `timestamp` is the attempt's, in Unix seconds."""
    return {
        ID: event_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secrets, event_id, timestamp, body),
    }


def verify(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[Trusted], now: float, *, tolerance_s: float = TOLERANCE_S
) -> Fault | None:
    """None when the webhook was signed with one of these secrets and not long ago, else why it cannot be trusted.

    `now` in Unix seconds. Signatures are compared in constant time, and every one with every secret.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not lowered.get(name)]
    if missing:
        return Fault(code=FaultCode.MISSING_HEADER, sentence=f"there is no {' and no '.join(missing)} header")
    event_id, timestamp = lowered[ID], lowered[TIMESTAMP]
    parts = [(version, value) for version, _, value in _parts(lowered[SIGNATURE])]
    return _time_fault(timestamp, now, tolerance_s) or _signature_fault(parts, secrets, event_id, timestamp, body)


def _parts(signatures: str) -> Iterable[tuple[str, str, str]]:
    return (signature.partition(",") for signature in signatures.split())


def _time_fault(timestamp: str, now: float, tolerance_s: float) -> Fault | None:
    if _UNIX_SECONDS.fullmatch(timestamp) is None:
        return Fault(
            code=FaultCode.BAD_TIMESTAMP,
            sentence=f"{TIMESTAMP} must be a whole number of Unix seconds: {timestamp!r:.40}",
        )
    age_s = now - int(timestamp)
    if age_s > tolerance_s:
        return Fault(
            code=FaultCode.TOO_OLD,
            sentence=f"it was signed {age_s:.0f} s ago, more than {tolerance_s:.0f} s: sent again by someone, or a clock is wrong",
        )
    if age_s < -tolerance_s:
        return Fault(
            code=FaultCode.TOO_NEW,
            sentence=f"it was signed {-age_s:.0f} s in the future, more than {tolerance_s:.0f} s: a clock is wrong",
        )
    return None


def _signature_fault(
    parts: Sequence[tuple[str, str]], secrets: Sequence[Trusted], event_id: str, timestamp: str, body: bytes
) -> Fault | None:
    shared = [secret for secret in secrets if isinstance(secret, bytes)]
    keys = [one.public if isinstance(one, SigningKey) else one for one in secrets if not isinstance(one, bytes)]
    given = [value for version, value in parts if version == _VERSION and shared]
    asymmetric = [value for version, value in parts if version == _ASYMMETRIC and keys]
    if not given and not asymmetric:
        wanted = " or ".join(repr(name) for name, held in ((_VERSION, shared), (_ASYMMETRIC, keys)) if held)
        return Fault(code=FaultCode.NO_SIGNATURE, sentence=f"{SIGNATURE} holds no signature of the scheme {wanted}")
    if _signed(given, shared, event_id, timestamp, body) or _verified(asymmetric, keys, event_id, timestamp, body):
        return None
    return Fault(code=FaultCode.MISMATCH, sentence=_why_mismatch(given, shared, event_id, timestamp, body))


def _verified(given: Sequence[str], keys: Sequence[VerifyKey], event_id: str, timestamp: str, body: bytes) -> bool:
    content = _signed_content(event_id, timestamp, body)
    return any(key.verifies(_unpacked(signature), content) for key in keys for signature in given)


def _unpacked(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _signed(given: Sequence[str], secrets: Sequence[bytes], event_id: str, timestamp: str, body: bytes) -> bool:
    matches = [
        hmac.compare_digest(_hmac(secret, event_id, timestamp, body).encode(), signature.encode())
        for secret in secrets
        for signature in given
    ]
    return any(matches)


def _why_mismatch(given: Sequence[str], secrets: Sequence[bytes], event_id: str, timestamp: str, body: bytes) -> str:
    """The usual mistakes of receivers, tried out."""
    if _signed(given, secrets, event_id, timestamp, body.strip()):
        return "the signature is of the same body without the white space around it: pass the exact bytes received"
    if _signed(given, secrets, event_id, timestamp, _written_again(body)):
        return "the body was parsed and written again: pass the exact bytes received"
    if _signed(given, [encode_secret(secret).encode() for secret in secrets], event_id, timestamp, body):
        return f"the sender took the text of the secret as the key: take the bytes that base64 after {_PREFIX!r} stands for"
    return "no signature matches: the secret is another one, or the id, the timestamp or the body was changed"


def _written_again(body: bytes) -> bytes:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


def _hmac(secret: bytes, event_id: str, timestamp: str, body: bytes) -> str:
    keyed = _keyed(secret).copy()
    keyed.update(_signed_content(event_id, timestamp, body))
    return base64.b64encode(keyed.digest()).decode()


@lru_cache(maxsize=256)
def _keyed(secret: bytes) -> hmac.HMAC:
    """To be copied: what the key alone does is done once."""
    return hmac.new(secret, digestmod="sha256")


def _signed_content(event_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{event_id}.{timestamp}.".encode() + body
