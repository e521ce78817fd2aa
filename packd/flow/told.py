"""What is said while something goes on: all of it, from the beginning, for whoever follows it, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from packd.domain.reports import Case, SuiteReport

_MOST_MESSAGES: Final = 10_000  # that are kept; a report has everything

Message = tuple[str, dict[str, Any]]

# What it is, and what it says, JSON-able. Of a run: `case` as one ends, `suite` with its counts as one has ended, and
# `progress` (`text`) while something else takes its time, such as the installing of packages. Called from the run's thread: be quick, never raise.
Say = Callable[[str, dict[str, Any]], None]


@dataclass(eq=False)
class Told:
    """The messages of one thing that goes on."""

    messages: list[Message] = field(default_factory=list)  # in order; only ever appended to
    over: bool = False  # nothing is said any more
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listeners: list[Callable[[], None]] = field(default_factory=list)

    def say(self, name: str, said: dict[str, Any]) -> None:
        with self._lock:
            if len(self.messages) < _MOST_MESSAGES:
                self.messages.append((name, said))
        self._wake()

    def finish(self) -> None:
        with self._lock:
            self.over = True
        self._wake()

    def listen(self, listener: Callable[[], None]) -> None:
        """`listener` is called, from any thread, whenever there is more to read, and at the end."""
        with self._lock:
            self._listeners.append(listener)

    def unlisten(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.remove(listener)

    def _wake(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


def on_case(say: Say) -> Callable[[str, Case], None]:
    """Tells of cases, as an executor gives them."""
    return lambda suite, case: say("case", {"suite": suite, **case.to_dict()})


def on_suite(say: Say) -> Callable[[SuiteReport], None]:
    """Tells of suites that have ended, as an executor does."""

    def tell(suite: SuiteReport) -> None:
        counts = {name: getattr(suite, name) for name in ("total", "passed", "failed", "skipped")}
        say("suite", {"suite": suite.name, "status": suite.status, **counts})

    return tell


def on_progress(say: Say) -> Callable[[str], None]:
    """Tells of what else is going on, as an executor does."""
    return lambda words: say("progress", {"text": words})
