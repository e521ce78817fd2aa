"""How long each stage of a revision took, for the one line that is logged when it has arrived."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packd.registry.rows import Revision


class Stopwatch:
    """Milliseconds by revision and stage. Kept in memory: after a restart only what is left is measured."""

    def __init__(self, told: Callable[[str, float], None] = lambda *_: None) -> None:
        """`told` gets the name and the seconds of every stage that has ended; it must be quick and must not raise."""
        self._told = told
        self._lock = threading.Lock()
        self._stages: dict[str, dict[int, dict[str, float]]] = {}

    @contextmanager
    def measure(self, revision: Revision, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(revision.ref, revision.number, stage, (time.perf_counter() - began) * 1000)

    def add(self, ref: str, number: int, stage: str, ms: float) -> None:
        with self._lock:
            stages = self._stages.setdefault(ref, {}).setdefault(number, {})
            stages[stage] = round(stages.get(stage, 0.0) + ms, 2)
        self._told(stage, ms / 1000)

    def take(self, ref: str, number: int) -> dict[str, float]:
        """The stages so far, e.g. {"snapshot_ms": 2.9, "test_ms": 4.1}; asked once, then forgotten."""
        with self._lock:
            mine = self._stages.get(ref, {})
            stages = mine.pop(number, {})
            if not mine:
                self._stages.pop(ref, None)
        return {f"{stage}_ms": ms for stage, ms in stages.items()}

    def not_taken(self, ref: str) -> list[int]:
        """The revisions of this pack that were measured and not asked for."""
        with self._lock:
            return list(self._stages.get(ref, ()))
