"""What the sender is asked to send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from packd.notify.signature import Secret


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One POST to one endpoint."""

    url: str
    event_id: str  # the `webhook-id`
    body: bytes  # the exact bytes, the same on every attempt
    secrets: tuple[Secret, ...] = field(repr=False)  # the newest first; the one before it while it is being rotated
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # extra ones of the endpoint
    allow_private: bool = False  # loopback and private networks may be connected to
    connect_timeout_s: float = 5.0  # to find the address, connect and agree on TLS
    total_timeout_s: float = 15.0  # for everything, the answer's body included
    tls: ssl.SSLContext | None = field(
        default=None, repr=False
    )  # None: the system's authorities, no client certificate
