"""Bubblewrap's rung in its two states, each for certain: a sandbox for each program, and walls that stand before the first.

By itself the rung begins with the one and goes on with the other as soon as a warden is there.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final

from packd.testrun.sandbox import Unchanged
from packd.testrun.walled import WalledSandbox, is_ordinary

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from packd.testrun.bwrap import BwrapSandbox
    from packd.testrun.sandbox import Cell, Lasting, Order

_DEADLINE_MS: Final = 20_000


class Fresh(Unchanged):
    """No walls ever stand."""

    def lasting(self) -> Lasting:
        return self


class Standing(Unchanged):
    """Walls stand before they are needed."""

    def __init__(self, rung: BwrapSandbox) -> None:
        super().__init__(rung)
        self._bwrap = rung

    def lasting(self) -> Lasting:
        return _Patient(self._bwrap)


class _Patient(WalledSandbox):
    def cell(self, order: Order) -> AbstractContextManager[Cell]:
        if is_ordinary(order):
            view = self._view(order)
            while self._gate(view) is None:
                walls = self._standing.walls.get(view)
                if walls is None:
                    walls = self._standing.walls[view] = self._made(view)
                poll = select.poll()
                poll.register(walls.line, select.POLLIN)
                assert poll.poll(_DEADLINE_MS), "the warden did not make a cell"
        return super().cell(order)
