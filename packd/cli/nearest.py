"""Which command was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest_command(typed: str, names: Iterable[str]) -> str | None:
    """One that begins with what was typed before any other; None where none is near.

    >>> nearest_command("hist", ["history", "list"])
    'history'
    """
    begun = [name for name in names if typed and name.startswith(typed)]
    near = get_close_matches(typed, begun or list(names), n=1, cutoff=0.0 if begun else 0.6)
    return next(iter(near), None)
