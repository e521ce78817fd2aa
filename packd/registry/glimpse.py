"""What a start asks first, read with the driver alone: what was known of the packs directory when packd last ended.

Loading SQLAlchemy and making all statements takes longer than everything that is found here. For the embedded database
with exactly the schema that this code knows; of everything else there is no glimpse. Nothing is changed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.registry.conditions import IS_ACTIVE, IS_CANDIDATE, SCHEMA_VERSION
from packd.registry.stored_text import as_given

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WAITS_S: Final = 0.5  # for somebody who looks at it at the same time

_VERSION: Final = "SELECT version_num FROM alembic_version"
_FACTS: Final = "SELECT name, value FROM facts WHERE name IN ('last_stop', 'root_identity')"
_DROPS: Final = "SELECT name, kind, fingerprint FROM drops WHERE gone_at_s IS NULL"
_OPEN: Final = (
    "SELECT EXISTS (SELECT 1 FROM drops WHERE gone_at_s IS NOT NULL)",
    f"SELECT EXISTS (SELECT 1 FROM revisions WHERE {IS_CANDIDATE})",  # noqa: S608
    "SELECT EXISTS (SELECT 1 FROM endpoints WHERE state = 'disabled')",
)
_DIGESTS: Final = f"SELECT ref, digest FROM revisions WHERE {IS_ACTIVE}"  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """What was true when the last daemon ended."""

    root_identity: str | None  # of the packs directory
    fingerprints: dict[tuple[str, str], str | None]  # (name, kind) of every drop → fingerprint
    digests: dict[str, str]  # ref → digest of what is in use
    is_at_rest: bool  # stopped cleanly; there is no candidate, no removal, no endpoint that was given up


def glimpse(file: Path) -> Glimpse | None:
    """None when it can't be had; then whoever opens the database properly finds out why."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAITS_S)) as connection:
            connection.execute("BEGIN")  # one moment
            return _read(connection)
    except (sqlite3.Error, ValueError):
        return None


def _read(connection: sqlite3.Connection) -> Glimpse | None:
    if list(connection.execute(_VERSION)) != [(SCHEMA_VERSION,)]:
        return None
    facts = dict(connection.execute(_FACTS))
    return Glimpse(
        root_identity=facts.get("root_identity"),
        fingerprints=dict(_fingerprints(connection)),
        digests=dict(connection.execute(_DIGESTS)),
        is_at_rest=facts.get("last_stop") == "clean" and not any(_is(connection, sql) for sql in _OPEN),
    )


def _fingerprints(connection: sqlite3.Connection) -> Iterator[tuple[tuple[str, str], str | None]]:
    for name, kind, fingerprint in connection.execute(_DROPS):
        yield (as_given(name) or "", kind), fingerprint


def _is(connection: sqlite3.Connection, sql: str) -> bool:
    ((found,),) = connection.execute(sql)
    return bool(found)
