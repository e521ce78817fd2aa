"""How settings are read again while the daemon runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packd.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the settings came from, and how to read them again."""

    load: Callable[[], Settings]  # raises BadConfig
    file: Path | None  # None: only variables and flags, which don't change
