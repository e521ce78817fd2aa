"""The one place that asks what time it is and makes new identities, so that everything else can be told."""

from __future__ import annotations

import time

from ulid import ULID

from packd.domain.moments import rfc3339


class Clock:
    """Wall clock for what is written down, monotonic for how long something took."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return time.monotonic()

    def iso(self) -> str:
        """Now, as RFC 3339 in UTC with milliseconds."""
        return rfc3339(self.now())

    def new_id(self, kind: str) -> str:
        """A fresh identity that sorts by time, e.g. `evt_01J…` (a ULID behind a word)."""
        return f"{kind}_{ULID()}"
