"""How an endpoint is to be known, and how packd is to be known by it: from the texts of certificates."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Certificates as PEM. What is None is as the system has it."""

    ca: str | None = None  # who may vouch for the endpoint, instead of the system's authorities
    certificate: str | None = None  # packd's own, with what leads to its authority
    key: str | None = field(default=None, repr=False)  # of that certificate, not encrypted


class BadCertificate(ValueError):
    """What is wrong with a certificate or a key, without the text."""


@lru_cache(maxsize=256)
def context(tls: Tls) -> ssl.SSLContext:
    """For connections to that endpoint; made once. Raises BadCertificate."""
    if (tls.certificate is None) != (tls.key is None):
        raise BadCertificate("a client certificate and its key belong together: give both")
    try:
        made = ssl.create_default_context(cadata=tls.ca)
    except (ssl.SSLError, ValueError) as wrong:
        raise BadCertificate(f"the authority's certificate can't be read: {_words(wrong)}") from None
    if tls.certificate is not None and tls.key is not None:
        _load(made, tls.certificate, tls.key)
    return made


def _load(made: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL takes these from a file; this one has no name and never was on a disk."""
    descriptor = os.memfd_create("packd-tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate.strip()}\n{key.strip()}\n".encode())
        # A password would be asked for on the terminal; an empty one makes an encrypted key an error instead.
        made.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as wrong:
        raise BadCertificate(f"the client certificate and its key can't be used: {_words(wrong)}") from None
    finally:
        os.close(descriptor)


def _words(wrong: Exception) -> str:
    if isinstance(wrong, ssl.SSLError) and wrong.reason:
        return wrong.reason.replace("_", " ").lower()
    return "it is no PEM" if not isinstance(wrong, OSError) or not wrong.strerror else wrong.strerror
