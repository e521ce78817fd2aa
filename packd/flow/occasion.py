"""Why packd looks at a drop now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packd.watch.settle import Settled


TriggerWord = Literal["fs", "scan", "api", "cli"]
Door = Literal["api", "cli"]  # by which a caller came in


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """What made packd look, and since when the drop has been changing."""

    trigger: TriggerWord = "fs"  # what made it look
    first_change_at_s: float  # Unix seconds
    settle_ms: float = 0.0  # how long it took to go quiet
    burst: Settled | None = None  # the changes that led here; None: nobody waited for them
    asked_by: str | None = None  # the caller who wants it looked at; None: nobody does

    @property
    def source(self) -> str:
        """Who asked."""
        return "watch" if self.trigger == "fs" else self.trigger

    @property
    def actor(self) -> str:
        """On whose behalf."""
        return self.asked_by or self.source

    @property
    def forced(self) -> bool:
        """It did not go quiet for too long: what cannot be read now is a problem."""
        return self.burst is not None and self.burst.forced
