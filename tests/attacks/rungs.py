"""The rungs of the isolation ladder that work on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.testrun.ladder import NAMES, Footing, rungs, suite_user

if TYPE_CHECKING:
    from pathlib import Path

    from packd.testrun.ladder import Rung
    from packd.testrun.sandbox import Sandbox

__all__ = ["NAMES", "probed", "working"]


def probed(folder: Path) -> dict[str, Rung]:
    """All of them, best first, each tried by really running something on it; `folder` is for what they prepare."""
    return {rung.name: rung for rung in rungs(Footing(folder=folder, someone=suite_user(None)))}


def working(folder: Path) -> dict[str, Sandbox]:
    """Those that work here."""
    return {name: rung.sandbox for name, rung in probed(folder).items() if rung.sandbox is not None}
