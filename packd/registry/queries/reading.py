"""Rows become values: how every query gives its answer."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from packd.domain.lifecycle import Phase
from packd.registry.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Select

Value = TypeVar("Value")

# JSON arrays are tuples in the values.
_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("problems", "needs", "waits_for", "types", "packs", "scopes"), tuple),
    "phase": {phase.value: phase for phase in Phase}.__getitem__,
    "headers": lambda pairs: pairs if pairs is None else tuple((name, value) for name, value in pairs),
}


def one(connection: Connection, kind: type[Value], query: Prepared | Select[Any], **given: object) -> Value | None:
    """The first row, or None when there is none."""
    if isinstance(query, Prepared):
        names, row = query.names, query.first(connection, given)
    else:
        result = connection.execute(query, given)
        names, row = tuple(result.keys()), result.first()
    return None if row is None else _as(kind, names, row)


def many(connection: Connection, kind: type[Value], query: Prepared | Select[Any], **given: object) -> list[Value]:
    """All rows, in the query's order."""
    if isinstance(query, Prepared):
        names, rows = query.names, query.rows(connection, given)
    else:
        result = connection.execute(query, given)
        names, rows = tuple(result.keys()), list(result)
    return [_as(kind, names, row) for row in rows]


def _as(kind: type[Value], names: tuple[str, ...], row: Sequence[Any]) -> Value:
    """A row as the value of the same fields."""
    values = dict(zip(names, row, strict=True))
    for name, convert in _conversions(names):
        values[name] = convert(values[name])
    return made(kind, values) if _has_all_fields(kind, names) else kind(**values)  # type: ignore[arg-type]


def made(kind: type[Value], values: Mapping[str, Any]) -> Value:
    """A frozen value of which every field is given: a seventh of what the constructor takes, field by field."""
    value = object.__new__(kind)
    vars(value).update(values)
    return value


@cache
def _conversions(names: tuple[str, ...]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    return tuple((name, convert) for name, convert in _CONVERSIONS.items() if name in names)


@cache
def _has_all_fields(kind: type[Any], names: tuple[str, ...]) -> bool:
    """And keeps them in a dictionary."""
    return "__slots__" not in vars(kind) and {field.name for field in fields(kind)} == set(names)
