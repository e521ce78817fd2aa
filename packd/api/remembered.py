"""Answers that are asked for again and again while nothing changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

_MOST: Final = 64


class Remembered:
    """The bytes of answers, each with the number of commits that it was read behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, tuple[int, bytes]] = OrderedDict()

    def get(self, key: Hashable, commits: int) -> bytes | None:
        """None when there is none, or something was written since."""
        with self._lock:
            known = self._answers.get(key)
        return known[1] if known is not None and known[0] == commits else None

    def keep(self, key: Hashable, commits: int, answer: bytes) -> None:
        """`commits` is the number from before anything was read for it."""
        with self._lock:
            self._answers[key] = commits, answer
            self._answers.move_to_end(key)
            while len(self._answers) > _MOST:
                self._answers.popitem(last=False)
