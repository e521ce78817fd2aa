"""What a run says of itself beside its cases, for whoever waits: a few words, and how each suite ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packd.domain.reports import SuiteReport

# Called from the run's thread: be quick, never raise.
Tell = Callable[[str], None]
OnSuite = Callable[["SuiteReport"], None]  # of each suite that has ended: the report's part of it, bare


def nobody(_told: object) -> None:
    """Nobody wants to know."""
