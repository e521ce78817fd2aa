"""What every fetch keeps to: how long, how much, where to, and who is told meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MIB: Final = 1024 * 1024


def _silent(_: str) -> None:
    return None


def _never() -> bool:
    return False


class SourceFailure(Failure):
    """It could not be fetched. `elsewhere`: another source of the same thing may still be tried."""

    def __init__(self, code: Code, sentence: str, *, elsewhere: bool = False, members: Mapping[str, Any] | None = None):
        super().__init__(code, sentence, members=members)
        self.elsewhere = elsewhere


def refused(sentence: str) -> SourceFailure:
    """It is not allowed, whoever answers there."""
    return SourceFailure(Code.FORBIDDEN, sentence)


def wrong(sentence: str, *, elsewhere: bool = False) -> SourceFailure:
    """What was fetched, or asked for, is not what it should be."""
    return SourceFailure(Code.BAD_REQUEST, sentence, elsewhere=elsewhere)


def unavailable(sentence: str) -> SourceFailure:
    """Not now."""
    return SourceFailure(Code.UNAVAILABLE, sentence, elsewhere=True)


@dataclass(kw_only=True)
class Errand:
    """One fetch, from its beginning to its end."""

    timeout_s: float = 300.0  # for all of it
    max_bytes: int = 512 * _MIB  # of what comes over the wire, and of what lies on the disk
    max_files: int = 20_000
    allow_private: bool = False  # loopback and private networks may be asked
    allow: tuple[str, ...] = ()  # URL beginnings that may be asked without encryption
    on_progress: Callable[[str], None] = _silent  # gets a short text, often; from the fetching thread
    cancelled: Callable[[], bool] = _never
    _began: float = field(default_factory=time.monotonic, init=False)

    def remaining_s(self, what: str) -> float:
        """Seconds that are left, more than 0. Raises SourceFailure when there are none, or nobody waits any more."""
        if self.cancelled():
            raise unavailable(f"{what}: stopped, because it was cancelled or the daemon is stopping")
        left = self.timeout_s - (time.monotonic() - self._began)
        if left <= 0:
            raise unavailable(
                f"{what}: not finished within {self.timeout_s:g} s; the other side is too slow, "
                "or raise sources.timeout_s"
            )
        return left

    def too_large(self, what: str) -> SourceFailure:
        return wrong(
            f"{what} is larger than {self.max_bytes // _MIB:,} MiB: stopped; raise limits.bytes_mb to allow it"
        )
