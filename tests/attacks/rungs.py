"""The rungs of the isolation ladder that work on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packd.testrun.sandbox import BasicSandbox

if TYPE_CHECKING:
    from packd.testrun.sandbox import Sandbox

NAMES: Final = ("basic",)  # all that there are, best first


def working() -> dict[str, Sandbox]:
    """Those that work here, each probed by really running it."""
    return {"basic": BasicSandbox()}
