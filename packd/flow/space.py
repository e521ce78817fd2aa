"""Room on the disk: below the floor nothing new is taken, and it is said; above it again, everything is looked at."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.health import Ailment
from packd.snapshot.space import disk_fails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.flow.watchkeeping import Watchkeeper

log = structlog.get_logger(__name__)

_MIB: Final = 1024 * 1024
_ENOUGH: Final = 1.1  # of the floor: so that it does not go to and fro at the edge


class Space:
    """Asked before each snapshot and now and then; a look costs one system call."""

    def __init__(
        self,
        folder: Path,
        *,
        floor_mb: int,
        keeper: Watchkeeper,
        free: Callable[[Path], int] | None = None,
    ) -> None:
        """`floor_mb`: MiB that stay free on the file system of `folder`; 0 asks for nothing."""
        self._folder = folder
        self._floor = floor_mb * _MIB
        self._keeper = keeper
        self._free = free or (lambda path: shutil.disk_usage(path).free)
        self._low = False

    def follow(self, floor_mb: int) -> None:
        """Another floor from now on."""
        self._floor = floor_mb * _MIB

    def enough(self) -> bool:
        """Is there room for something new? Says so when that changes.

        Where that can't be asked nothing changes: a disk that fails is told of by who writes to it.
        """
        try:
            free = self._free(self._folder)
        except OSError:
            return not self._low
        low = self._is_low(free)
        if low and not self._low:
            self._low = True
            log.error("space.low", folder=str(self._folder), free_mb=free // _MIB, floor_mb=self._floor // _MIB)
            self._keeper.low_space(self._folder, self._sentence(free))
        elif self._low and not low:
            self._low = False
            log.info("space.enough", folder=str(self._folder), free_mb=free // _MIB)
            self._keeper.enough_space(self._folder)
        return not self._low

    def check(self) -> None:
        """For the schedule."""
        self.enough()

    def ailments(self) -> Iterator[Ailment]:
        """Without room it can't do its work, nor on a disk that fails."""
        try:
            free = self.free_bytes()
        except OSError as failure:
            yield Ailment(part="disk", grade="unready", sentence=disk_fails(self._folder, failure))
            return
        if not self.enough():
            yield Ailment(part="disk", grade="unready", sentence=self._sentence(free))

    def shortage(self) -> str | None:
        """What is missing and the way out; None when there is enough. Tells nobody, so it may be asked anywhere."""
        try:
            free = self.free_bytes()
        except OSError:
            return None
        return self._sentence(free) if self._is_low(free) else None

    def free_bytes(self) -> int:
        """On the file system of the folder."""
        return self._free(self._folder)

    @property
    def floor_bytes(self) -> int:
        """What stays free of it."""
        return self._floor

    def _is_low(self, free: int) -> bool:
        return free < self._floor * (_ENOUGH if self._low else 1)

    def _sentence(self, free: int) -> str:
        return (
            f"only {free // _MIB} MiB are free in {self._folder} and retention.min_free_mb asks for "
            f"{self._floor // _MIB}: nothing new is taken until there is room; see `packd sweep`"
        )
