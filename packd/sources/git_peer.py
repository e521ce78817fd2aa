"""Who git talks to: the address is judged here, and git is told to connect to that very address and no other."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from packd.domain.sources import is_host, scp_host, urlsplit_or_bad
from packd.sources import reach
from packd.sources.download import download
from packd.sources.errand import wrong

if TYPE_CHECKING:
    from packd.sources.errand import Errand

_PORTS: Final = {"https": 443, "http": 80, "git": 9418, "ssh": 22}
_ADVERTISEMENT: Final = "/info/refs"  # gitprotocol-http(5)
_SSH: Final = (
    "ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o PermitLocalCommand=no -o ForwardAgent=no "
    "-o ForwardX11=no -o ClearAllForwardings=yes -o ConnectTimeout=20 -o UpdateHostKeys=no"
)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One repository as git is told of it."""

    url: str  # for git
    shown: str  # for people
    transport: str
    host: str = ""
    settings: tuple[tuple[str, str, str], ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


def peer_of(url: str, errand: Errand, *, pinned: bool) -> Peer:
    """Judge where `url` leads. `pinned`: a full commit id was asked for. Raises SourceFailure, Failure."""
    if url.startswith("/"):
        return _here(url)
    if "://" not in url:
        return _scp(url, errand)
    parts = urlsplit_or_bad(url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    if parts.scheme in ("http", "git"):
        reach.check_plain(url, host, pinned=pinned, errand=errand)
    found = reach.addresses(host, port, errand)
    if parts.scheme == "ssh":
        return Peer(url=url, shown=url, transport="ssh", host=host, environ=_ssh(host, port, found[0]))
    if parts.scheme == "git":
        by_address = urlunsplit(parts._replace(netloc=f"{_bracketed(found[0])}:{port}"))
        asked = {"GIT_OVERRIDE_VIRTUAL_HOST": f"{_bracketed(host)}:{port}" if parts.port else host}
        return Peer(url=by_address, shown=url, transport="git", host=host, environ=asked)
    pins = f"{host}:{port}:{','.join(map(_bracketed, found))}"
    return Peer(url=url, shown=url, transport=parts.scheme, host=host, settings=(("http", "curloptResolve", pins),))


def behind_redirects(url: str, errand: Errand, *, pinned: bool) -> str:
    """Where a repository that has moved is now; every hop is judged. Raises SourceFailure."""
    parts = urlsplit(url)
    asked = urlunsplit(parts._replace(path=parts.path.rstrip("/") + _ADVERTISEMENT, query="service=git-upload-pack"))
    found = urlsplit(download(asked, errand=errand, sink=lambda _: None, pinned=pinned).url)
    if not found.path.endswith(_ADVERTISEMENT):
        raise wrong(f"{url} redirects to what is no git repository", elsewhere=True)
    return urlunsplit(found._replace(path=found.path.removesuffix(_ADVERTISEMENT), query=""))


def _here(path: str) -> Peer:
    """The asker may read it; whose it is does not matter, as nothing in it is run."""
    owned = (("safe", "directory", path), ("safe", "directory", f"{path.rstrip('/')}/.git"))
    return Peer(url=path, shown=path, transport="file", settings=owned)


def _scp(url: str, errand: Errand) -> Peer:
    """`user@host:path`."""
    place = scp_host(url)
    if not is_host(place):
        raise wrong(f"{place[:80]!r} is not the plain name or address of a host")
    found = reach.addresses(place, _PORTS["ssh"], errand)
    return Peer(url=url, shown=url, transport="ssh", host=place, environ=_ssh(place, 22, found[0]))


def _ssh(host: str, port: int, address: str) -> dict[str, str]:
    """The address is the one that was judged; the key is looked up by the name that was asked for."""
    alias = host if port == _PORTS["ssh"] else f"[{host}]:{port}"
    command = f"{_SSH} -o HostName={shlex.quote(address)} -o HostKeyAlias={shlex.quote(alias)}"
    return {"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"} | _agent()


def _agent() -> dict[str, str]:
    return {"SSH_AUTH_SOCK": os.environ["SSH_AUTH_SOCK"]} if os.environ.get("SSH_AUTH_SOCK") else {}


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
