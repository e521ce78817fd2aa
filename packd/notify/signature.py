"""Sign and verify as Standard Webhooks 1.0.0 says (its sections "Signature scheme" and "Webhook headers"). Pure.

The signature is an HMAC-SHA256 over `<id>.<timestamp>.<body>`; several, separated by spaces, while a secret is being
rotated. A secret is written `whsec_` and the base64 of 24 to 64 random bytes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

NEW_SECRET_BYTES: Final = 32  # how many random bytes to make a secret of
TOLERANCE_S: Final = 300  # how far apart two clocks, and an attempt and its arrival, may be

_PREFIX: Final = "whsec_"
_VERSION: Final = "v1"
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


def _check_length(secret: bytes) -> None:
    if not _LEAST <= len(secret) <= _MOST:
        raise BadSecretError(f"a webhook secret must be {_LEAST} to {_MOST} bytes long, this one has {len(secret)}")


def sign(secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature a secret, the newest first. `timestamp` in Unix seconds."""
    if not secrets:
        raise ValueError("a webhook cannot be signed without a secret")
    return " ".join(f"{_VERSION},{_hmac(secret, event_id, str(timestamp), body)}" for secret in secrets)


def headers(secrets: Sequence[bytes], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers that a webhook must have; `timestamp` is the attempt's, in Unix seconds."""
    return {
        ID: event_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secrets, event_id, timestamp, body),
    }


def verify(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: float, *, tolerance_s: float = TOLERANCE_S
) -> Fault | None:
    """None when the webhook was signed with one of these secrets and not long ago, else why it cannot be trusted.

    `now` in Unix seconds. Signatures are compared in constant time, and every one with every secret.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not lowered.get(name)]
    if missing:
        return Fault(code=FaultCode.MISSING_HEADER, sentence=f"there is no {' and no '.join(missing)} header")
    event_id, timestamp = lowered[ID], lowered[TIMESTAMP]
    given = [value for version, _, value in _parts(lowered[SIGNATURE]) if version == _VERSION]
    return _time_fault(timestamp, now, tolerance_s) or _signature_fault(given, secrets, event_id, timestamp, body)


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
    given: Sequence[str], secrets: Sequence[bytes], event_id: str, timestamp: str, body: bytes
) -> Fault | None:
    if not given:
        return Fault(code=FaultCode.NO_SIGNATURE, sentence=f"{SIGNATURE} holds no signature of the scheme {_VERSION!r}")
    if _signed(given, secrets, event_id, timestamp, body):
        return None
    return Fault(code=FaultCode.MISMATCH, sentence=_why_mismatch(given, secrets, event_id, timestamp, body))


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
    signed = f"{event_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
