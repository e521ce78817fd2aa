"""What a run says of itself before there are cases: a few words, for whoever waits."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[str], None]  # called from the run's thread; be quick, never raise


def nobody(_words: str) -> None:
    """Nobody wants to know."""
