"""The rungs of the isolation ladder that work on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.testrun.bwrap import BwrapSandbox
from packd.testrun.ladder import NAMES, Footing, rungs, suite_user
from tests.attacks.standing import Fresh, Standing

if TYPE_CHECKING:
    from pathlib import Path

    from packd.testrun.ladder import Rung
    from packd.testrun.sandbox import Sandbox

__all__ = ["NAMES", "STATES", "plain", "probed", "states", "working"]

_STANDING = ", walls that stand"  # behind the name of a rung
STATES = [state for name in NAMES for state in ((name, f"{name}{_STANDING}") if "bwrap" in name else (name,))]


def probed(folder: Path) -> dict[str, Rung]:
    """All of them, best first, each tried by really running something on it; `folder` is for what they prepare."""
    return {rung.name: rung for rung in rungs(Footing(folder=folder, someone=suite_user(None)))}


def working(folder: Path) -> dict[str, Sandbox]:
    """Those that work here."""
    return {name: rung.sandbox for name, rung in probed(folder).items() if rung.sandbox is not None}


def states(folder: Path) -> dict[str, Sandbox]:
    """The same, bubblewrap's in both of their states."""
    found: dict[str, Sandbox] = {}
    for name, sandbox in working(folder).items():
        if isinstance(sandbox, BwrapSandbox):
            found |= {name: Fresh(sandbox), f"{name}{_STANDING}": Standing(sandbox)}
        else:
            found[name] = sandbox
    return found


def plain(state: str) -> str:
    """The name of the rung itself."""
    return state.removesuffix(_STANDING)
