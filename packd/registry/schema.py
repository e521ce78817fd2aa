"""Which schema a database has, and how it gets the one that this code knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from packd.registry.broken import DatabaseUnusable
from packd.registry.conditions import SCHEMA_VERSION
from packd.registry.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

_VERSIONS: Final = "alembic_version"  # the table is made as alembic would, so that either way gives the same schema
_CREATE_VERSIONS: Final = text(
    f"CREATE TABLE {_VERSIONS} (\n\tversion_num VARCHAR(32) NOT NULL, \n"
    f"\tCONSTRAINT {_VERSIONS}_pkc PRIMARY KEY (version_num)\n)"
)
_INSERT_VERSION: Final = text(f"INSERT INTO {_VERSIONS} (version_num) VALUES (:version)")  # noqa: S608
_SELECT_VERSION: Final = text(f"SELECT version_num FROM {_VERSIONS}")  # noqa: S608


class SchemaMismatch(Exception):
    """The database was made by a newer packd; the message says by which and what to do."""


def schema_version(connection: Connection) -> str | None:
    """None: there is none."""
    if not inspect(connection).has_table(_VERSIONS):
        return None
    version: str | None = connection.execute(_SELECT_VERSION).scalar()
    return version


def create(connection: Connection) -> None:
    """An empty database gets the whole schema at once; importing alembic for that would cost 0.4 s."""
    taken = sorted({*metadata.tables, _VERSIONS} & set(inspect(connection).get_table_names()))
    if taken:
        raise DatabaseUnusable(
            f"the database has tables that packd did not make ({', '.join(taken)}): give packd a database of its own"
        )
    metadata.create_all(connection, checkfirst=False)
    connection.execute(_CREATE_VERSIONS)
    connection.execute(_INSERT_VERSION, {"version": SCHEMA_VERSION})


def upgrade(connection: Connection, found: str) -> None:
    """From the older one that was `found`. Raises SchemaMismatch when that is a newer one."""
    from packd.registry.migrations import UnknownRevision
    from packd.registry.migrations import upgrade as migrate

    try:
        migrate(connection, to=SCHEMA_VERSION)
    except UnknownRevision:
        raise SchemaMismatch(
            f"the database has schema {found}, this packd knows up to {SCHEMA_VERSION}: "
            "install the packd that made it, or a newer one, or point it at another --state-dir"
        ) from None


def check_foreign_keys(connection: Connection) -> None:
    """Raises RuntimeError where a row belongs to none that is there."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise RuntimeError(f"the migration left rows of '{broken[0]}' without what they belong to: nothing was changed")
