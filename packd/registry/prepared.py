"""Statements that are asked for every revision: compiled once, then handed to SQLite as they are.

SQLAlchemy's way from a statement to the driver takes five to ten times as long as SQLite needs to answer it, and a
revision asks dozens. A prepared statement keeps what SQLAlchemy compiled, with the conversions that it chose for each
parameter and column, and gives the rest of the way a miss. It runs on the driver's connection of the same transaction,
so the two ways mix freely. On other databases, where the network costs more than the way there, nothing is special.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from packd.registry.anytext import AnyText
from packd.registry.broken import DatabaseBroken, is_broken
from packd.registry.stored_text import as_given, as_stored, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Engine, Executable

    Convert = Callable[[Any], Any]
    Pick = Callable[[Any], tuple[Any, ...]]  # some of the members, in one step

_DRIVER: Final = "packd_driver"  # the option of a connection that holds SQLite's own
_ROWS_AT_ONCE: Final = 200  # that an insert takes


def connect(engine: Engine) -> Connection:
    """A connection to SQLite that is kept. Which is the driver's own is asked once: the way to it is long."""
    connection = engine.connect()
    return connection.execution_options(**{_DRIVER: connection.connection.driver_connection})


@dataclass(frozen=True, kw_only=True)
class _Conversion:
    """What is done to the values of one row. Texts are looked at together: nearly all are as they should be."""

    texts: tuple[int, ...]  # the places of AnyText
    pick_texts: Pick
    convert_text: Convert
    others: tuple[tuple[int, Convert], ...]  # the other places where something has to be done

    def __call__(self, row: tuple[Any, ...]) -> Sequence[Any]:
        is_plain_row = is_plain(self.pick_texts(row))
        if is_plain_row and not self.others:
            return row
        values = list(row)
        for place, convert in self.others:
            values[place] = convert(values[place])
        if not is_plain_row:
            for place in self.texts:
                values[place] = self.convert_text(values[place])
        return values


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """One statement in the driver's words."""

    sql: str
    defaults: Mapping[str, Any]  # values that the statement itself brings along
    pick: Pick  # the parameters by name, in the order of their places
    writing: _Conversion
    reading: _Conversion

    def parameters(self, given: Mapping[str, Any]) -> Sequence[Any]:
        return self.writing(self.pick({**self.defaults, **given} if self.defaults else given))


class Prepared:
    """A statement without lists of changing length in it; which columns are set is told by the names that are given."""

    def __init__(self, statement: Executable, *, index: str | None = None) -> None:
        """`index` is the one that serves it, where SQLite can't tell by itself which of several is the smallest."""
        self._statement: Any = statement
        self._index = index
        self._ready: dict[tuple[str, ...], _Ready] = {}
        columns = getattr(statement, "selected_columns", ())
        self.names: tuple[str, ...] = tuple(column.key for column in columns)
        self._types = tuple(column.type for column in columns)

    def run(self, connection: Connection, given: Mapping[str, Any]) -> None:
        """For one that returns nothing."""
        driver = _driver_of(connection)
        if driver is None:
            connection.execute(self._statement, given)
        else:
            ready = self._ready_for(connection, given)
            _ask(driver, connection, ready.sql, ready.parameters(given))

    def run_each(self, connection: Connection, given: Sequence[Mapping[str, Any]]) -> None:
        """An insert of several rows, all of which name the same columns."""
        if not given:
            return
        driver = _driver_of(connection)
        if driver is None:
            connection.execute(self._statement, given)
            return
        ready = self._ready_for(connection, given[0])
        for begin in range(0, len(given), _ROWS_AT_ONCE):
            rows = given[begin : begin + _ROWS_AT_ONCE]
            head, values, places = ready.sql.partition(" VALUES ")
            sql = f"{head}{values}{', '.join([places] * len(rows))}"
            _ask(driver, connection, sql, [value for row in rows for value in ready.parameters(row)])

    def rows(self, connection: Connection, given: Mapping[str, Any]) -> list[Any]:
        """All of them, in the statement's order; the columns are `names`."""
        driver = _driver_of(connection)
        if driver is None:
            return list(connection.execute(self._statement, given))
        ready = self._ready_for(connection, given)
        found = _ask(driver, connection, ready.sql, ready.parameters(given)).fetchall()
        return [ready.reading(row) for row in found]

    def first(self, connection: Connection, given: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, or None when there is none."""
        driver = _driver_of(connection)
        if driver is None:
            return connection.execute(self._statement, given).first()
        ready = self._ready_for(connection, given)
        cursor = _ask(driver, connection, ready.sql, ready.parameters(given))
        found = cursor.fetchone()
        cursor.close()
        return None if found is None else ready.reading(found)

    def _ready_for(self, connection: Connection, given: Mapping[str, Any]) -> _Ready:
        names = tuple(given)
        ready = self._ready.get(names)
        if ready is None:
            ready = self._ready[names] = self._compile(connection.dialect, names)
        return ready

    def _compile(self, dialect: Dialect, names: tuple[str, ...]) -> _Ready:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(names))
        types = {name: bind.type for name, bind in compiled.binds.items()}
        places = compiled.positiontup
        return _Ready(
            sql=compiled.string if self._index is None else _by_index(compiled.string, self._index),
            defaults={name: value for name, value in compiled.params.items() if name not in names},
            pick=_picking(places),
            writing=_conversion([types[name] for name in places], as_stored, lambda kind: _to_column(kind, dialect)),
            reading=_conversion(self._types, as_given, lambda kind: _from_column(kind, dialect)),
        )


def _by_index(sql: str, index: str) -> str:
    """A statement about one table."""
    head, _, conditions = sql.partition("WHERE")
    return f"{head}INDEXED BY {index} WHERE{conditions}"


def _conversion(kinds: Sequence[Any], convert_text: Convert, convert: Callable[[Any], Convert | None]) -> _Conversion:
    texts = tuple(place for place, kind in enumerate(kinds) if isinstance(kind, AnyText))
    others = [(place, convert(kind)) for place, kind in enumerate(kinds) if place not in texts]
    return _Conversion(
        texts=texts,
        pick_texts=_picking(texts),
        convert_text=convert_text,
        others=tuple((place, convert) for place, convert in others if convert is not None),
    )


def _picking(keys: Sequence[Any]) -> Pick:
    """As itemgetter, which gives no tuple where there is one key, and takes no fewer."""
    if not keys:
        return lambda _: ()
    if len(keys) == 1:
        return lambda members, key=keys[0]: (members[key],)  # type: ignore[misc]
    return itemgetter(*keys)


def _to_column(kind: Any, dialect: Dialect) -> Convert | None:
    if isinstance(kind, JSON):  # without SQLAlchemy's wrapping around it
        return _to_json_or_null if kind.none_as_null else to_json
    convert: Convert | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return convert


def _from_column(kind: Any, dialect: Dialect) -> Convert | None:
    if isinstance(kind, JSON):
        return _from_json_or_null
    convert: Convert | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return convert


def to_json(value: Any) -> str:
    """As SQLAlchemy writes it. Most of what is stored as JSON is empty, and that should cost nothing."""
    if not value and isinstance(value, list | tuple | dict):
        return "{}" if isinstance(value, dict) else "[]"
    return json.dumps(value)


def from_json(stored: str) -> Any:
    """The other way round."""
    if stored == "[]":
        return []
    return {} if stored == "{}" else json.loads(stored)


def _to_json_or_null(value: Any) -> str | None:
    return None if value is None else to_json(value)


def _from_json_or_null(stored: str | None) -> Any:
    return None if stored is None else from_json(stored)


def _driver_of(connection: Connection) -> Any:
    """SQLite's own connection, on which statements are run as they are; None: SQLAlchemy runs them."""
    return connection.get_execution_options().get(_DRIVER)


def _ask(driver: Any, connection: Connection, sql: str, parameters: Sequence[Any]) -> Any:
    try:
        return driver.execute(sql, parameters)
    except connection.dialect.loaded_dbapi.Error as failure:
        raise _as_told(failure, sql, parameters, connection) from failure


class Transaction:
    """One transaction of SQLite, begun with this statement: committed on leaving, rolled back on an exception.

    The driver is told, not SQLAlchemy, whose own way costs several times the transaction. SQLAlchemy begins one of its
    own, inside of this one, when it is asked something; then it must be told of the end, too.
    """

    def __init__(self, connection: Connection, begin: str) -> None:
        self._connection = connection
        self._begin = begin

    def __enter__(self) -> None:
        _ask(_driver_of(self._connection), self._connection, self._begin, ())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        connection = self._connection
        whom: Any = connection if connection.in_transaction() else _driver_of(connection)
        try:
            if kind is None:
                whom.commit()
            else:
                whom.rollback()
        except BaseException as failure:
            self._abandon()
            if isinstance(failure, connection.dialect.loaded_dbapi.Error):
                raise _as_told(failure, "COMMIT" if kind is None else "ROLLBACK", None, connection) from failure
            raise

    def _abandon(self) -> None:
        """Its end failed, as on a full disk: SQLAlchemy and SQLite both wait to be told that it is over all the same.

        Else the first refuses whatever is asked of this connection from now on, or the second to begin another one.
        """
        with suppress(SQLAlchemyError, DatabaseBroken):
            self._connection.rollback()
        with suppress(self._connection.dialect.loaded_dbapi.Error):
            _driver_of(self._connection).rollback()


def _as_told(failure: Exception, sql: str, parameters: Any, connection: Connection) -> BaseException:
    """What SQLAlchemy would have raised."""
    if is_broken(failure):
        return DatabaseBroken(str(connection.engine.url.database), failure)
    dialect = connection.dialect
    errors = dialect.loaded_dbapi.Error
    return DBAPIError.instance(sql, parameters, failure, errors, hide_parameters=True, dialect=dialect)
