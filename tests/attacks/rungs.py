"""The rungs of the isolation ladder that work on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.testrun.ladder import NAMES, working_rungs

if TYPE_CHECKING:
    from pathlib import Path

    from packd.testrun.sandbox import Sandbox

__all__ = ["NAMES", "working"]


def working(folder: Path) -> dict[str, Sandbox]:
    """Those that work here, each probed by really running it; `folder` is for what they prepare."""
    return working_rungs(folder)
