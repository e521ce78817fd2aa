"""How connections are made and transactions begin: SQLite set up to be durable and safe with threads, PostgreSQL as it is."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.exc import ArgumentError, OperationalError

from packd.domain.masking import masked_url
from packd.registry.broken import DatabaseBroken, DatabaseUnusable, is_broken, is_forbidden
from packd.registry.kept import BEGIN_WRITE
from packd.registry.prepared import from_json, to_json
from packd.registry.tables import use_on_postgresql

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine import ExceptionContext

_WRITES: Final = "packd_write"  # the option of a connection that is going to write
_BUSY_TIMEOUT_S: Final = 15
_AGAIN_S: Final = 0.01
_PRAGMAS: Final = ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY")
_WRITER_LOCK: Final = int.from_bytes(b"packd", "big")  # of PostgreSQL's advisory locks, which are numbered per database

_HOW_TO_NAME_ONE: Final = (
    "leave it out for the embedded database, or write postgresql+psycopg://USER:PASSWORD@HOST/NAME and "
    "`pip install 'packd[postgresql]'`"
)

# On PostgreSQL each statement would see its own moment; one for the whole of a reading has to be asked for.
POSTGRESQL_MODES: Final[tuple[dict[str, Any], dict[str, Any]]] = (
    {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    {"isolation_level": "READ COMMITTED", _WRITES: True},
)
SQLITE_MODES: Final[tuple[dict[str, Any], dict[str, Any]]] = ({}, {_WRITES: True})


def engine_of(url: str) -> Engine:
    """For this URL of SQLAlchemy. Raises DatabaseUnusable when it is none, or its driver is not installed."""
    try:
        if url.startswith("sqlite"):
            return _sqlite_engine(url)
        # Asked before each use whether they are still there: the server may have been started anew.
        engine = create_engine(url, pool_size=16, max_overflow=48, pool_pre_ping=True, hide_parameters=True)
    except (ArgumentError, ModuleNotFoundError) as failure:
        raise DatabaseUnusable(f"database_url can't be used ({failure}): {_HOW_TO_NAME_ONE}") from failure
    except ValueError:  # which quotes what stands in the place of the port, as a part of a password may
        raise DatabaseUnusable(f"database_url can't be used (its port is no number): {_HOW_TO_NAME_ONE}") from None
    use_on_postgresql()
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "handle_error", _say_that_it_is_away)
    return engine


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url,
        max_overflow=-1,  # those that are kept never come back: who found no place would wait for what does not happen
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_S},
        json_serializer=to_json,
        json_deserializer=from_json,
        hide_parameters=True,  # among them are secrets, and errors are logged
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "handle_error", _say_what_broke)
    return engine


def shown(url: URL) -> str:
    """Without what may be secret in it."""
    if url.drivername.startswith("sqlite"):
        return str(url.database)
    return masked_url(url.render_as_string(hide_password=False))  # SQLAlchemy would hide it in one place of two


def _say_what_broke(context: ExceptionContext) -> DatabaseBroken | None:
    """In the place of what SQLAlchemy says, which is mostly SQL."""
    said = context.original_exception
    engine = context.engine
    return DatabaseBroken(str(engine.url.database), said) if engine is not None and is_broken(said) else None


def _say_that_it_is_away(context: ExceptionContext) -> DatabaseBroken | None:
    """A server that can't be reached, or went away in the middle; and one that does not let us."""
    failed_to_connect = context.connection is None and isinstance(context.sqlalchemy_exception, OperationalError)
    is_away = context.is_disconnect or failed_to_connect or is_forbidden(context.original_exception)
    if not is_away or context.is_pre_ping or context.engine is None:
        return None
    return DatabaseBroken(shown(context.engine.url), context.original_exception)


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin when we say so, see _begin_sqlite
    _write_ahead(connection)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turning it on does not wait for a lock as statements do: of several that open a new database some are refused."""
    give_up_at = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """Nothing to do where `transaction` has begun already."""
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.exec_driver_sql(BEGIN_WRITE if _is_write(connection) else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    """One writer at a time, here and on other machines: it holds this lock until its transaction has ended.

    What follows then sees everything that the writers before it did, so that nothing has to be tried again.
    """
    if _is_write(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")


def _is_write(connection: Connection) -> bool:
    is_write: bool = connection.get_execution_options().get(_WRITES, False)
    return is_write
