"""Text columns that take any Python string, and give back exactly that string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Text
from sqlalchemy.types import TypeDecorator

from packd.registry.stored_text import as_given, as_stored

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class AnyText(TypeDecorator[str]):
    """TEXT for what people and packs write.

    A file name whose bytes are not UTF-8 reaches Python with lone surrogates (PEP 383), which UTF-8 cannot carry, and
    PostgreSQL refuses NUL: these few characters are escaped on the way in and restored on the way out.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return as_stored(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        return as_given(value)
