"""Where a name leads, and whether packd goes there. Asked anew for every connection; what was checked is what is used."""

from __future__ import annotations

import queue
import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from packd.domain.addresses import refusal
from packd.domain.sources import covers
from packd.sources.errand import SourceFailure, refused, unavailable

if TYPE_CHECKING:
    from packd.sources.errand import Errand

_LOOKUP_S: Final = 20.0


def addresses(host: str, port: int, errand: Errand) -> list[str]:
    """The numeric addresses that may be connected to, in the system's order.

    All must be allowed: a name that leads to a private address beside a public one is trying something. Raises
    SourceFailure.
    """
    found = _lookup(host, port, errand)
    for address in found:
        why = refusal(address, allow_private=errand.allow_private)
        if why is not None:
            raise refused(f"{host}: {_for_sources(why)}" if address != host else _for_sources(why))
    return found


def check_plain(url: str, host: str, *, pinned: bool, errand: Errand) -> None:
    """Anybody on the way can change what comes without encryption. Raises SourceFailure unless that would be noticed."""
    if pinned or _is_this_machine(host) or any(covers(beginning, url) for beginning in errand.allow):
        return
    raise refused(
        f"{url.partition('://')[0]}://{host} is not encrypted, so what comes from there could be anybody's: "
        "use https or ssh, pin it (--checksum sha256:… for an archive, a full commit id as --ref for git), "
        "or name it in sources.allow"
    )


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _for_sources(why: str) -> str:
    """The deny list is shared with webhooks; the way out is not."""
    return why.replace("allow it for this endpoint with allow_private", "set sources.allow_private to fetch from there")


def _lookup(host: str, port: int, errand: Errand) -> list[str]:
    """In a thread of its own: a lookup can hang for half a minute and can't be stopped."""
    answer: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(host, port, answer), name="source-lookup", daemon=True).start()
    try:
        found = answer.get(timeout=min(_LOOKUP_S, errand.remaining_s(f"looking up {host}")))
    except queue.Empty:
        raise unavailable(f"the name {host!r} could not be looked up in time") from None
    if isinstance(found, SourceFailure):
        raise found
    if isinstance(found, Exception):
        why = found.strerror if isinstance(found, OSError) and found.strerror else str(found)
        raise unavailable(f"the name {host!r} can't be resolved: {why}")
    return found


def _ask(host: str, port: int, answer: queue.SimpleQueue[list[str] | Exception]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        numeric = (str(address[0]) for *_, address in found)
        answer.put(list(dict.fromkeys(numeric)))
    except (OSError, UnicodeError) as failure:
        answer.put(failure)
