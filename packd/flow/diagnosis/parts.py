"""What the daemon is made of, tried by itself: the database, the interpreter and the isolation of tests, the endpoints."""

from __future__ import annotations

import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packd.domain.addresses import refusal
from packd.flow.diagnosis.answers import Answer, ok, skipped, warning, wrong
from packd.notify.tls import Tls, context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packd.testrun.ladder import Rung

_CONNECT_S: Final = 3.0
_AT_ONCE: Final = 16
_LARGE: Final = 1 << 30  # bytes; reading all of a larger database takes too long for a quick look

_RESTORE: Final = "stop the daemon and `packd db restore FILE` from the newest backup"


@dataclass(frozen=True, kw_only=True)
class Target:
    """An endpoint, as far as connecting to it goes."""

    name: str
    url: str
    allow_private: bool  # it may be at a private address
    tls: Tls | None = field(default_factory=Tls)  # None: it has certificates of its own, which only the daemon has seen


def database(path: Path, *, newest_schema: str) -> Answer:
    """The embedded one."""
    from packd.registry.backup import NotPackds, schema_of

    about = "database"
    try:
        if not path.exists():
            return ok(about, f"{path} is not there yet; the daemon makes it")
        schema, found = schema_of(path), _damage(path)
    except NotPackds as failure:
        return _no_database(about, failure)
    except OSError as failure:
        return wrong(about, f"{path} can't be read: {failure.strerror}", "ask as the user of the daemon")
    if found:
        return wrong(about, f"{path} is damaged: {found[0]}", _RESTORE)
    if schema == newest_schema:
        return ok(about, f"{path}: schema {schema}, {path.stat().st_size / 1024:.0f} KiB")
    return _other_schema(about, path, schema, newest_schema)


def _no_database(about: str, failure: Exception) -> Answer:
    from packd.registry.backup import Unused

    if isinstance(failure, Unused):
        said, fix = str(failure).split("; ")
        return warning(about, said, fix)
    return wrong(about, str(failure), _RESTORE)


def _other_schema(about: str, path: Path | str, schema: str, newest: str) -> Answer:
    if schema > newest:
        said = f"{path} has schema {schema}, this packd knows up to {newest}"
        return wrong(about, said, "install the packd that made it, or a newer one")
    return warning(about, f"{path} has the older schema {schema}", "packd db upgrade; the daemon does it, too")


def _damage(path: Path) -> list[str]:
    """Of a database that is read quickly."""
    from packd.registry.backup import troubles_of

    return troubles_of(path) if path.stat().st_size < _LARGE else []


def server_database(url: str, *, newest_schema: str) -> Answer:
    """One that is named by database_url."""
    from packd.registry.broken import DatabaseUnusable
    from packd.registry.database import Database

    about = "database"
    try:
        made = Database(url)
        try:
            return _on_server(about, made.schema(), newest_schema)
        finally:
            made.close()
    except DatabaseUnusable as failure:
        said, _, fix = str(failure).partition("; ")
        return wrong(about, said, fix or "correct database_url")
    except Exception as failure:  # whatever a driver raises
        said = str(failure).strip().splitlines()[0]
        return wrong(about, f"the server of database_url does not answer: {said}", "start it, or correct database_url")


def _on_server(about: str, schema: str | None, newest: str) -> Answer:
    if schema is None:
        return ok(about, "the server of database_url answers; the daemon makes its tables there")
    if schema == newest:
        return ok(about, f"the server of database_url answers: schema {schema}")
    return _other_schema(about, "the database of database_url", schema, newest)


def isolation(rungs: Sequence[Rung], wanted: str) -> Answer:
    """What keeps packs' tests apart from this machine; `rungs` are what there could be, best first."""
    about = "isolation"
    missing = "; ".join(f"{rung.name}: {rung.why_not}" for rung in rungs if rung.sandbox is None)
    fitting = [one.sandbox for one in rungs if one.sandbox and (wanted == "auto" or one.name.startswith(wanted))]
    if not fitting:
        said = f"tests.isolation is {wanted}, and that does not work here ({missing})"
        return wrong(about, said, f"install what it needs ({wanted}), or set tests.isolation: auto")
    best = fitting[0]
    gaps = "; ".join(best.shortcomings)
    said = f"{best.isolation}, but {gaps}" if gaps else best.isolation
    if best.isolation.startswith("bwrap"):
        return ok(about, said)
    said = f"{said} (better, and not to be had here: {missing})" if missing else said
    return warning(about, said, "apt install bubblewrap util-linux")


def interpreter(python: Path | None) -> Answer:
    """What runs packs' tests."""
    from packd.testrun.interpreters import asked, python_path

    about = "python"
    path = python_path(python)
    found = asked(path)
    if found is None:
        return wrong(about, f"{path} does not run: packs in Python can't be tested", "correct tests.python")
    own = ".".join(str(number) for number in sys.version_info[:3])
    return ok(about, f"{found.version} runs the tests ({path}); packd itself runs on {own}")


def endpoints(targets: Sequence[Target]) -> list[Answer]:
    """Can a connection be made to each? Nothing is sent over it."""
    about = "webhooks"
    if not targets:
        return [skipped(about, "no endpoint is configured")]
    with ThreadPoolExecutor(min(_AT_ONCE, len(targets))) as pool:
        return list(pool.map(_endpoint, targets))


def _endpoint(target: Target) -> Answer:
    about, parts = f"webhook {target.name}", urlsplit(target.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{host} port {port}"
    try:
        address = _addresses(host, port)[0]
        refused = refusal(address, allow_private=target.allow_private)
        if refused is not None:
            return wrong(about, f"{host} is {address}: {refused}", "set allow_private for it, or correct its URL")
        _connect(host, port, tls=target.tls if parts.scheme == "https" else None)
    except ssl.SSLCertVerificationError as failure:
        return wrong(about, f"the certificate of {where} is not accepted: {failure.verify_message}", "renew it there")
    except socket.gaierror as failure:
        return wrong(about, f"the name {host} can't be resolved: {failure.strerror}", "correct its URL, or the DNS")
    except (OSError, ValueError) as failure:
        said = getattr(failure, "strerror", None) or str(failure) or "no answer"
        return wrong(
            about,
            f"no connection to {where}: {said}",
            f"start what answers there; then packd webhook test {target.name}",
        )
    unseen = "; of its own certificates only `packd webhook test` can tell" if target.tls is None else ""
    return ok(about, f"{where} takes connections{unseen}")


def _addresses(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _connect(host: str, port: int, *, tls: Tls | None) -> None:
    with socket.create_connection((host, port), timeout=_CONNECT_S) as plain:
        if tls is not None:
            with context(tls).wrap_socket(plain, server_hostname=host):
                pass
