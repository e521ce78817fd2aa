"""Programs that the interpreter of a *pack* executes, not packd's: standard library only, Python 3.8 or later.

They run a pack's tests and tell packd of every case on a pipe that was opened for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

HARNESS: Final = Path(__file__).parent
