"""Who asks: a peer of the Unix socket by its credentials, or the bearer of a token. And what each may do."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, Request

from packd.domain.failures import Code, Failure

_PEER: Final = re.compile(r"uid=(\d+) pid=(\d+)")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whoever sent the request."""

    name: str  # as in the audit: "uid=1000 pid=4242", or "token:deploy"
    uid: int | None = None  # of a socket's peer
    scopes: frozenset[str] | None = None  # of a token; None: everything


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Whose files may be read for whom."""

    roots: tuple[Path, ...] = ()  # `sources.allow`, as far as it names folders
    owners: frozenset[int] = frozenset({0, os.geteuid()})  # the uids to whom everything here belongs

    def is_owner(self, caller: Caller) -> bool:
        """The daemon's own user, or root, over the socket."""
        return caller.uid is not None and caller.uid in self.owners

    def may_read(self, caller: Caller, path: Path) -> None:
        """Raises Failure FORBIDDEN when the path is outside of what this caller may have read by the daemon."""
        if self.is_owner(caller):
            return
        real = _real(path)
        if any(real.is_relative_to(_real(root)) for root in self.roots):
            return
        allowed = ", ".join(str(root) for root in self.roots) or "nothing: sources.allow names no folder"
        raise Failure(
            Code.FORBIDDEN, f"{caller.name} may not have {path} read by packd; allowed below sources.allow: {allowed}"
        )


def _real(path: Path) -> Path:
    """With every link followed, so that none leads out."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def peer(host: str | None) -> Caller:
    """The caller of a connection without a token, by what the server calls it."""
    found = _PEER.fullmatch(host or "")
    return Caller(name=host or "unknown", uid=int(found[1]) if found else None)


async def _caller(request: Request) -> Caller:
    known: Caller | None = getattr(request.state, "caller", None)
    return known if known is not None else peer(request.client.host if request.client else None)


InCaller = Annotated[Caller, Depends(_caller)]
