"""Statements that are asked for every revision: compiled once, then handed to SQLite as they are.

SQLAlchemy's way from a statement to the driver takes five to ten times as long as SQLite needs to answer it, and a
revision asks dozens. A prepared statement keeps what SQLAlchemy compiled, with the conversions that it chose for each
parameter and column, and gives the rest of the way a miss. It runs on the driver's connection of the same transaction,
so the two ways mix freely. On other databases, where the network costs more than the way there, nothing is special.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import DBAPIError

from packd.registry.anytext import AnyText
from packd.registry.stored_text import as_given, as_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Executable

    Convert = Callable[[Any], Any] | None  # None: as it is

_ROWS_AT_ONCE: Final = 200  # that an insert takes


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """One statement in the driver's words."""

    sql: str
    defaults: Mapping[str, Any]  # values that the statement itself brings along
    writing: tuple[tuple[str, Convert], ...]  # the parameters, in the order of their places
    reading: tuple[tuple[int, Callable[[Any], Any]], ...]  # columns that are converted

    def parameters(self, given: Mapping[str, Any]) -> list[Any]:
        values = {**self.defaults, **given} if self.defaults else given
        return [values[name] if convert is None else convert(values[name]) for name, convert in self.writing]

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
        """An insert of several rows, all of which name the same columns."""
        if connection.dialect.name != "sqlite":
            if given:
                connection.execute(self._statement, given)
            return
        for begin in range(0, len(given), _ROWS_AT_ONCE):
            rows = given[begin : begin + _ROWS_AT_ONCE]
            ready = self._ready_for(connection, tuple(rows[0]))
            head, values, places = ready.sql.partition(" VALUES ")
            sql = f"{head}{values}{', '.join([places] * len(rows))}"
            _ask(connection, sql, [value for row in rows for value in ready.parameters(row)])

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
        ready = self._ready_for(connection, tuple(given))
        return ready, _ask(connection, ready.sql, ready.parameters(given))

    def _ready_for(self, connection: Connection, names: tuple[str, ...]) -> _Ready:
        ready = self._ready.get(names)
        if ready is None:
            ready = self._ready[names] = self._compile(connection.dialect, names)
        return ready

    def _compile(self, dialect: Dialect, names: tuple[str, ...]) -> _Ready:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(names))
        types = {name: bind.type for name, bind in compiled.binds.items()}
        reading = [_from_column(kind, dialect) for kind in self._types]
        return _Ready(
            sql=compiled.string,
            defaults={name: value for name, value in compiled.params.items() if name not in names},
            writing=tuple((name, _to_column(types[name], dialect)) for name in compiled.positiontup),
            reading=tuple((place, convert) for place, convert in enumerate(reading) if convert is not None),
        )


def _to_column(kind: Any, dialect: Dialect) -> Convert:
    if isinstance(kind, AnyText):  # most columns: without SQLAlchemy's wrapping around it
        return as_stored
    convert: Convert = kind.dialect_impl(dialect).bind_processor(dialect)
    return convert


def _from_column(kind: Any, dialect: Dialect) -> Convert:
    if isinstance(kind, AnyText):
        return as_given
    convert: Convert = kind.dialect_impl(dialect).result_processor(dialect, None)
    return convert


def _ask(connection: Connection, sql: str, parameters: list[Any]) -> Any:
    driver: Any = connection.connection.driver_connection
    try:
        return driver.execute(sql, parameters)
    except connection.dialect.loaded_dbapi.Error as failure:
        raise _as_told(failure, sql, parameters, connection.dialect) from failure


class Transaction:
    """One transaction of SQLite, begun with this statement: committed on leaving, rolled back on an exception.

    The driver is told, not SQLAlchemy, whose own way costs several times the transaction. SQLAlchemy begins one of its
    own, inside of this one, when it is asked something; then it must be told of the end, too.
    """

    def __init__(self, connection: Connection, begin: str) -> None:
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._begin = begin

    def __enter__(self) -> None:
        self._do(self._begin, partial(self._driver.execute, self._begin))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        whom = self._connection if self._connection.in_transaction() else self._driver
        if kind is None:
            self._do("COMMIT", whom.commit)
        else:
            self._do("ROLLBACK", whom.rollback)

    def _do(self, sql: str, call: Callable[[], object]) -> None:
        """The driver's errors become SQLAlchemy's."""
        try:
            call()
        except self._connection.dialect.loaded_dbapi.Error as failure:
            raise _as_told(failure, sql, None, self._connection.dialect) from failure


def _as_told(failure: Exception, sql: str, parameters: Any, dialect: Dialect) -> BaseException:
    """What SQLAlchemy would have raised."""
    return DBAPIError.instance(sql, parameters, failure, dialect.loaded_dbapi.Error, dialect=dialect)
