"""Rows become values: how every query gives its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from packd.domain.lifecycle import Phase

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Select

Value = TypeVar("Value")

_LISTS: Final = (
    "problems",
    "needs",
    "waits_for",
    "types",
    "packs",
    "scopes",
)  # JSON arrays that are tuples in the values


def one(connection: Connection, kind: type[Value], query: Select[Any], **given: object) -> Value | None:
    """The first row, or None when there is none."""
    row = connection.execute(query, given).mappings().first()
    return None if row is None else _as(kind, row)


def many(connection: Connection, kind: type[Value], query: Select[Any], **given: object) -> list[Value]:
    """All rows, in the query's order."""
    return [_as(kind, row) for row in connection.execute(query, given).mappings()]


def _as(kind: type[Value], row: RowMapping) -> Value:
    """A row as the value of the same fields; JSON arrays become tuples."""
    values: dict[str, Any] = dict(row)
    for name in _LISTS:
        if name in values:
            values[name] = tuple(values[name])
    if "phase" in values:
        values["phase"] = Phase(values["phase"])
    if values.get("headers") is not None:
        values["headers"] = tuple((name, value) for name, value in values["headers"])
    return kind(**values)
