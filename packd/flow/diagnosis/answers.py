"""The form of what a look at one thing finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["ok", "warning", "wrong", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One thing, how it is, and what to do about it."""

    about: str  # a word or two
    outcome: Outcome  # warning: it works, and somebody should look; wrong: something does not work
    said: str  # what was found, one sentence
    fix: str | None = None  # what to do, as a command where there is one; None when there is nothing to do

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def ok(about: str, said: str) -> Answer:
    return Answer(about=about, outcome="ok", said=said)


def warning(about: str, said: str, fix: str) -> Answer:
    return Answer(about=about, outcome="warning", said=said, fix=fix)


def wrong(about: str, said: str, fix: str) -> Answer:
    return Answer(about=about, outcome="wrong", said=said, fix=fix)


def skipped(about: str, said: str) -> Answer:
    """It could not be looked at, or there is nothing to look at."""
    return Answer(about=about, outcome="skipped", said=said)
