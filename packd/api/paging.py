"""Which part of a list somebody wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends

from packd.api.views import View, pagination

Row = TypeVar("Row")

_LARGEST: Final = 100
_DEFAULT: Final = 50


@dataclass(frozen=True, kw_only=True)
class Page:
    """Both numbers are brought into their range instead of being refused."""

    number: int  # from 1
    size: int  # 1 to 100

    @property
    def first(self) -> int:
        """How many rows come before it."""
        return (self.number - 1) * self.size

    def of(self, rows: Sequence[Row]) -> Sequence[Row]:
        return rows[self.first : self.first + self.size]

    def answer(self, items: Sequence[Any], total: int) -> View:
        return {"items": items, "pagination": pagination(self.number, self.size, total)}


async def _page(page: int = 1, page_size: int = _DEFAULT) -> Page:
    return Page(number=max(page, 1), size=min(max(page_size, 1), _LARGEST))


InPage = Annotated[Page, Depends(_page)]
