"""Statements that are asked for every revision: compiled once, then handed to SQLite as they are.

SQLAlchemy's way from a statement to the driver takes five to ten times as long as SQLite needs to answer it, and a
revision asks dozens. A prepared statement keeps what SQLAlchemy compiled, with the conversions that it chose for each
parameter and column, and gives the rest of the way a miss. It runs on the driver's connection of the same transaction,
so the two ways mix freely. On other databases, where the network costs more than the way there, nothing is special.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Executable

    Convert = Callable[[Any], Any] | None  # None: as it is


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """One statement in the driver's words."""

    sql: str
    names: tuple[str, ...]  # of the parameters, in the order of their places
    defaults: Mapping[str, Any]  # values that the statement itself brings along
    writing: tuple[tuple[str, Callable[[Any], Any]], ...]  # parameters that are converted
    reading: tuple[tuple[int, Callable[[Any], Any]], ...]  # columns that are converted

    def parameters(self, given: Mapping[str, Any]) -> list[Any]:
        values = {**self.defaults, **given}
        for name, convert in self.writing:
            values[name] = convert(values[name])
        return [values[name] for name in self.names]

    def row(self, found: tuple[Any, ...]) -> Sequence[Any]:
        if not self.reading:
            return found
        values = list(found)
        for place, convert in self.reading:
            values[place] = convert(values[place])
        return values


class Prepared:
    """A statement without lists of changing length in it; which columns are set is told by the names that are given."""

    def __init__(self, statement: Executable) -> None:
        self._statement: Any = statement
        self._ready: dict[tuple[str, ...], _Ready] = {}
        columns = getattr(statement, "selected_columns", ())
        self.names: tuple[str, ...] = tuple(column.key for column in columns)
        self._types = tuple(column.type for column in columns)

    def run(self, connection: Connection, given: Mapping[str, Any]) -> None:
        """For one that returns nothing."""
        if connection.dialect.name == "sqlite":
            self._execute(connection, given)
        else:
            connection.execute(self._statement, given)

    def run_each(self, connection: Connection, given: Sequence[Mapping[str, Any]]) -> None:
        """The same for several, all of which name the same columns."""
        if connection.dialect.name == "sqlite":
            for one in given:
                self._execute(connection, one)
        elif given:
            connection.execute(self._statement, given)

    def rows(self, connection: Connection, given: Mapping[str, Any]) -> list[Any]:
        """All of them, in the statement's order; the columns are `names`."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._statement, given))
        ready, cursor = self._execute(connection, given)
        return [ready.row(found) for found in cursor.fetchall()]

    def first(self, connection: Connection, given: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, or None when there is none."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, given).first()
        ready, cursor = self._execute(connection, given)
        found = cursor.fetchone()
        cursor.close()
        return None if found is None else ready.row(found)

    def _execute(self, connection: Connection, given: Mapping[str, Any]) -> tuple[_Ready, Any]:
        key = tuple(given)
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = self._compile(connection.dialect, key)
        driver: Any = connection.connection.driver_connection
        parameters: Any = None
        try:
            parameters = ready.parameters(given)
            return ready, driver.execute(ready.sql, parameters)
        except connection.dialect.loaded_dbapi.Error as failure:
            raise _as_told(failure, ready.sql, parameters, connection.dialect) from failure

    def _compile(self, dialect: Dialect, names: tuple[str, ...]) -> _Ready:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(names))
        types = {name: bind.type for name, bind in compiled.binds.items()}
        writing = {name: types[name].dialect_impl(dialect).bind_processor(dialect) for name in compiled.positiontup}
        reading = [kind.dialect_impl(dialect).result_processor(dialect, None) for kind in self._types]
        return _Ready(
            sql=compiled.string,
            names=tuple(compiled.positiontup),
            defaults={name: value for name, value in compiled.params.items() if name not in names},
            writing=tuple((name, convert) for name, convert in writing.items() if convert is not None),
            reading=tuple((place, convert) for place, convert in enumerate(reading) if convert is not None),
        )


@contextmanager
def transaction(connection: Connection, begin: str) -> Iterator[None]:
    """One transaction of SQLite, begun with this statement: committed on leaving, rolled back on an exception.

    The driver is told, not SQLAlchemy, whose own way costs several times the transaction. SQLAlchemy begins one of its
    own, inside of this one, when it is asked something; then it must be told of the end, too.
    """
    driver: Any = connection.connection.driver_connection
    with _telling(connection, begin):
        driver.execute(begin)
    try:
        yield
    except BaseException:
        with _telling(connection, "ROLLBACK"):
            (connection if connection.in_transaction() else driver).rollback()
        raise
    with _telling(connection, "COMMIT"):
        (connection if connection.in_transaction() else driver).commit()


@contextmanager
def _telling(connection: Connection, sql: str) -> Iterator[None]:
    """The driver's errors become SQLAlchemy's."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as failure:
        raise _as_told(failure, sql, None, connection.dialect) from failure


def _as_told(failure: Exception, sql: str, parameters: Any, dialect: Dialect) -> BaseException:
    """What SQLAlchemy would have raised."""
    return DBAPIError.instance(sql, parameters, failure, dialect.loaded_dbapi.Error, dialect=dialect)
