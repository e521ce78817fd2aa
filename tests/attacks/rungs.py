"""The rungs of the isolation ladder that work on this machine."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.ladder import NAMES, working_rungs

if TYPE_CHECKING:
    from packd.testrun.sandbox import Sandbox

__all__ = ["NAMES", "working"]

_PREFIX: Final = "packd-rungs-"


@functools.cache
def working() -> dict[str, Sandbox]:
    """Those that work here, each probed by really running it."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return working_rungs(folder)
