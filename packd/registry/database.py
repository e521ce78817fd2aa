"""The database that the registry is kept in: SQLite in one file, or PostgreSQL by its URL alone."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from packd.registry.backup import NotPackds, back_up
from packd.registry.broken import (
    OWN,
    DatabaseAway,
    DatabaseBroken,
    DatabaseUnusable,
    is_damage,
    is_for_somebody_to_put_right,
    is_forbidden,
)
from packd.registry.conditions import SCHEMA_VERSION
from packd.registry.engine import POSTGRESQL_MODES, SQLITE_MODES, engine_of, shown
from packd.registry.full_disk import DiskFull, is_full
from packd.registry.kept import Kept
from packd.registry.occupancy import Occupancy
from packd.registry.place import Place
from packd.registry.schema import check_foreign_keys, create, schema_version, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

_LINGERS_S: Final = 5.0  # until a server has noticed that a daemon was killed
_OPTIMISE_WAITS_S: Final = 0.5  # for readers, while nobody can write
_MANY_PAGES: Final = 1000  # empty ones that are worth rewriting the file for


class Database:
    """Two ways in: `read()` sees one consistent moment, `write()` is one transaction, durable when it ends."""

    def __init__(self, url: str) -> None:
        """`url` is SQLAlchemy's. Raises DatabaseUnusable when it is none, or its driver is not installed."""
        self._engine = engine_of(url)
        reading, writing = POSTGRESQL_MODES if self._is_postgresql else SQLITE_MODES
        self._reading = self._engine.execution_options(**reading)
        self._writing = self._engine.execution_options(**writing)
        # The database lets one writer in at a time; waiting for that here is fair and holds no connection meanwhile.
        self._one_writer = threading.Lock()
        self._occupancy = Occupancy(self._engine) if self._is_postgresql else None
        self._place = None if self._is_postgresql else _place_of(self._engine)
        self._kept = Kept(reading=self._reading, writing=self._writing, one_writer=self._one_writer)  # of SQLite

    @property
    def _is_postgresql(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def read(self, *, durable: bool = False) -> AbstractContextManager[Connection]:
        """One consistent moment.

        With SQLite a commit can be read a little before it is on the disk. When the block has been left it is, so that
        nobody is shown what a power cut could undo; but while a disk hangs only those wait who ask for `durable`, since
        they tell others what they have read.
        """
        return self._reading_postgresql() if self._is_postgresql else self._kept.read(durable=durable)

    @contextmanager
    def _reading_postgresql(self) -> Iterator[Connection]:
        with self._reading.connect() as connection, connection.begin():
            yield connection

    def write(self, *, durable: bool = True) -> AbstractContextManager[Connection]:
        """Commits on leaving, rolls back on an exception. Keep it short: never across a process or a network.

        Not `durable`, a power cut may undo it, though never a kill: for what is as good done once more. With SQLite it does
        not wait for the disk; the next durable one makes both durable. Not reentrant: a second one inside of it, in the
        same thread, waits for ever.
        """
        return self._writing_postgresql() if self._is_postgresql else self._kept.write(durable=durable)

    @contextmanager
    def _writing_postgresql(self) -> Iterator[Connection]:
        with self._one_writer, self._writing.begin() as connection:
            yield connection

    def occupy(self) -> None:
        """For a daemon, before all else: on a server nobody else may be it until `close`.

        Raises DatabaseUnusable when another one is, or when it can't be opened; DatabaseAway when it may be later.
        """
        if self._occupancy is None:
            return
        with self._refusals():
            holder = self._occupancy.take(_LINGERS_S)
        if holder is not None:
            raise DatabaseUnusable(
                f"another {holder} uses the database {self.shown}: stop it first, or give this one a database of its own"
            )

    def keep_occupied(self) -> str | None:
        """Take it again where that was lost, with the connection. Returns what is wrong, and the way out; None: nothing."""
        if self._occupancy is None:
            return None
        try:
            holder = self._occupancy.keep()
        except DatabaseBroken:  # whoever wants something of it is told
            return None
        return holder and (
            f"another {holder} came to use the database {self.shown} while it could not be reached from here: "
            "each of the two takes for removed what only the other one sees; stop one of them"
        )

    def prepare(self) -> Path | None:
        """Make or upgrade the schema; does nothing when it is the one that this code knows.

        Returns the copy that was kept of an embedded database with an older schema. Raises SchemaMismatch when the
        database is newer than this code, DiskFull when there is no room for it, DatabaseUnusable when it can't be
        opened or copied, is not a database, or holds tables of another program.
        """
        with self._refusals():
            kept, found = None, self.schema()
            if found != SCHEMA_VERSION:
                kept = self._keep(found)
                self._bring_up_to_date()
        if self._place is not None:
            self._place.remember()
        return kept

    def schema(self) -> str | None:
        """The version of the schema that is there, None where there is none. Raises what `prepare` does."""
        with self._refusals(), self.read() as connection:
            return schema_version(connection)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What the driver says, in the words of `prepare`."""
        try:
            yield
        except DatabaseBroken as failure:
            raise self._refusal(failure.said) from failure
        except DBAPIError as failure:
            if is_full(failure):
                raise DiskFull(self.shown) from failure
            if isinstance(failure, OperationalError | InterfaceError) or failure.statement is None:  # no connection
                raise self._refusal(failure.orig) from failure
            raise

    def _refusal(self, said: object) -> DatabaseUnusable:
        if is_damage(said):
            return DatabaseUnusable(
                f"{self.shown} is not a database, or is damaged: move it away, or restore a backup of it"
            )
        if is_forbidden(said):
            return DatabaseUnusable(
                f"the database {self.shown} can't be used: {str(said).partition(chr(10))[0]}; {OWN}"
            )
        may_pass = self._is_postgresql and not is_for_somebody_to_put_right(said)
        kind = DatabaseAway if may_pass else DatabaseUnusable
        return kind(f"the database {self.shown} can't be used: {said}")

    def _keep(self, found: str | None) -> Path | None:
        """A copy beside it, before an older schema is touched; on a server that is for its own tools."""
        file = self._engine.url.database
        if self._is_postgresql or file is None or found is None or found > SCHEMA_VERSION:
            return None
        kept = Path(f"{file}.schema-{found}")
        try:
            back_up(Path(file), kept)
        except (NotPackds, OSError) as failure:
            raise DatabaseUnusable(
                f"{file} has the older schema {found}, and no copy of it can be kept ({failure}): nothing was changed"
            ) from failure
        return kept

    def optimise(self) -> None:
        """Let the database look after itself: statistics, and room given back when much of the file is empty.

        Skipped, until the next time, while somebody else uses it, and where it is damaged or not at its place: that is
        for others to say.
        """
        if self._is_postgresql:  # autovacuum does it
            return
        if self.displaced():
            return
        # A connection of its own: SQLAlchemy begins a transaction, in which nothing can be rewritten, and ours keep
        # temporary tables in memory, where the whole of a large file has no place.
        one = closing(sqlite3.connect(str(self._engine.url.database), isolation_level=None, timeout=_OPTIMISE_WAITS_S))
        with self._one_writer, suppress(sqlite3.DatabaseError), one as connection:
            connection.execute("PRAGMA optimize")
            (empty,) = connection.execute("PRAGMA freelist_count").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            if empty > _MANY_PAGES and empty * 4 > pages:
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sizes(self) -> dict[str, int]:
        """Bytes on the disk, by file: `database`, and with SQLite `wal`, what waits to be written into it."""
        if self._is_postgresql:
            with self.read() as connection:
                whole = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
            return {"database": int(whole)}
        file = Path(str(self._engine.url.database))
        return {"database": _size(file), "wal": _size(file.with_name(f"{file.name}-wal"))}

    def displaced(self) -> str | None:
        """What happened to the files of an embedded database while it is in use, and the way out; None: nothing."""
        return None if self._place is None else self._place.trouble()

    def close(self) -> Path | None:
        """Nothing should be under way; a write that still is comes to its end first: closing it there is no error, but a crash.

        Where the files were removed or replaced, what is known is brought to safety: returns the file which that is in.
        Raises OSError or NotPackds when it could not be.
        """
        with self._one_writer:
            if self._place is not None:
                return self._place.leave(self._kept.driver(), self._close)
            self._close()
            return None

    def _close(self) -> None:
        if self._occupancy is not None:
            self._occupancy.release()
        self._kept.close()
        self._engine.dispose()

    @property
    def shown(self) -> str:
        """Where it is, without what may be secret in its URL."""
        return shown(self._engine.url)

    def _bring_up_to_date(self) -> None:
        """Looks once more under the lock: another packd may have done it in the meantime."""
        with self._write_whole_tables() as connection:
            found = schema_version(connection)
            if found is None:
                create(connection)
            elif found != SCHEMA_VERSION:
                upgrade(connection, found)

    @contextmanager
    def _write_whole_tables(self) -> Iterator[Connection]:
        """A write in which SQLite takes the dropping of a table for what it is while a migration makes it anew.

        With foreign keys on it would first delete every row of it, and with them all that hangs on them by CASCADE.
        The switch is heard only between transactions.
        """
        with self._one_writer, self._writing.connect() as connection:
            if self._is_postgresql:
                with connection.begin():
                    yield connection
                return
            switch: Any = connection.connection.driver_connection
            switch.execute("PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    yield connection
                    check_foreign_keys(connection)
            finally:
                switch.execute("PRAGMA foreign_keys=ON")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # the last reader takes the WAL with it
        return 0


def sqlite_url(folder: Path) -> str:
    """The address of the embedded database in a state directory."""
    return f"sqlite:///{folder / 'packd.db'}"


def _place_of(engine: Engine) -> Place:
    place = Place(Path(str(engine.url.database)))
    event.listen(engine, "do_connect", lambda *_: place.check())
    return place
