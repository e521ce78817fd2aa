"""Which configuration is in force, as `packd status` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(kw_only=True)
class Configuration:
    """Changed by reloading, read by whoever asks."""

    loaded_at: str  # RFC 3339
    rejected: tuple[str, ...] = ()  # why the newest one was not taken; empty while the newest is in force
    needs_restart: tuple[str, ...] = ()  # dotted keys whose new values wait for a restart

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "state": "rejected" if self.rejected else "loaded",
            "loaded_at": self.loaded_at,
            "rejected": list(self.rejected),
            "needs_restart": list(self.needs_restart),
        }
