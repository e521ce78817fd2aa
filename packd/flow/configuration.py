"""Which configuration is in force, as `packd status` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(kw_only=True)
class Configuration:
    """Changed by reloading, read by whoever asks."""

    settings: Callable[[], list[dict[str, Any]]]  # {key, value, origin} of all that is in force, secrets starred out
    loaded_at: str  # RFC 3339
    file: Path | None = None  # None: only variables, flags and defaults
    rejected: tuple[str, ...] = ()  # why the newest one was not taken; empty while the newest is in force
    needs_restart: tuple[str, ...] = ()  # dotted keys whose new values wait for a restart

    def in_force(self) -> list[dict[str, Any]]:
        """Of this moment: another one may be loaded at any time."""
        return self.settings()

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "state": "rejected" if self.rejected else "loaded",
            "file": None if self.file is None else str(self.file),
            "loaded_at": self.loaded_at,
            "rejected": list(self.rejected),
            "needs_restart": list(self.needs_restart),
        }
