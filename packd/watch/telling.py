"""Tell hints and troubles to whoever listens: each trouble once, each recovery once, and nothing is lost on the way."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from packd.watch.hints import Hint, Recovered, Trouble, TroubleReason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import TypeVar

    T = TypeVar("T")


class Teller:
    """Calls back and never raises: a callback's exception is a bug of its owner, and must not end the watching."""

    def __init__(
        self,
        *,
        on_hint: Callable[[Hint], None],
        on_trouble: Callable[[Trouble], None],
        on_recovered: Callable[[Recovered], None],
    ) -> None:
        self._on_hint = on_hint
        self._on_trouble = on_trouble
        self._on_recovered = on_recovered
        self._silent = threading.Event()
        self._standing: dict[TroubleReason, Trouble] = {}
        self.last_trouble: Trouble | None = None
        self.callback_error: str | None = None  # the newest exception that a callback raised
        self.missed = False  # a hint did not get through since the last look at everything

    @property
    def standing(self) -> tuple[Trouble, ...]:
        """The troubles that are not over."""
        return tuple(self._standing.copy().values())

    def stands(self, reason: TroubleReason) -> bool:
        return reason in self._standing

    def hint(self, hint: Hint) -> None:
        """Pass a hint on; one that its receiver choked on is remembered in `missed`."""
        if not self._call(self._on_hint, hint):
            self.missed = True

    def look_everywhere(self) -> None:
        self.missed = False
        self.hint(Hint(drop=None, at=time.monotonic()))

    def trouble(self, reason: TroubleReason, *, scope: str, detail: str) -> None:
        """Tell a trouble, unless one with this reason stands already."""
        if reason not in self._standing:
            self.last_trouble = Trouble(reason=reason, scope=scope, detail=detail, at=time.monotonic())
            self._standing[reason] = self.last_trouble
            self._call(self._on_trouble, self.last_trouble)

    def over(self, reasons: Collection[TroubleReason]) -> None:
        """Tell that those of these troubles that stand are over, after a hint to look at everything."""
        ended = [trouble for trouble in self.standing if trouble.reason in reasons]
        if ended:
            self.look_everywhere()
        for trouble in ended:
            del self._standing[trouble.reason]
            self._call(self._on_recovered, Recovered(reason=trouble.reason, scope=trouble.scope, at=time.monotonic()))

    def silence(self) -> None:
        """No callback begins after this."""
        self._silent.set()

    def _call(self, callback: Callable[[T], None], value: T) -> bool:
        if self._silent.is_set():
            return True
        try:
            callback(value)
        except Exception as error:
            self.callback_error = f"{type(error).__name__}: {error}"
            return False
        return True
