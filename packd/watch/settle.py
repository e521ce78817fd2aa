"""When has a drop gone quiet? Pure: time is an argument, in seconds of any clock that never goes back.

The changes of one drop that follow each other without a quiet period are one *burst*. A burst is due when nothing
changed for the quiet period, at once when the drop arrived whole, and at the latest `longest_wait_s` after its first
change. A copy that is slow but steady stays one burst: the quiet period grows to twice the largest pause seen in it.
What is one file, and open in the program that writes it, is not quiet however long nothing is written.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settled:
    """One burst that is over: look at the drop now."""

    name: str
    first_change: float  # when the burst began, on the caller's clock
    forced: bool  # `longest_wait_s` passed since the first change and it still was not quiet
    touches: int  # how many changes the burst had
    gap_s: float = 0.0  # the longest pause inside the burst


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One burst that is not over yet, for those who ask what is going on."""

    name: str
    first_change: float
    due_at: float  # when it will be due if nothing more happens
    touches: int


@dataclass(kw_only=True)
class _Burst:
    first: float
    last: float
    gap: float = 0.0
    touches: int = 0
    whole_at: float | None = None  # set while nothing changed since it arrived whole
    is_open: bool = False  # the last that is known is that it was written to, and not closed
    not_before: float = -math.inf  # set by `again`
    queued: float = math.inf  # the earliest moment at which the queue will look at it


class Settler:
    """Collects changes by drop name and hands out what has settled.

    Every operation costs O(log n) for n waiting names (amortised). Not safe for several threads: the caller locks.
    """

    def __init__(self, quiet_s: float, longest_wait_s: float) -> None:
        """Raises ValueError unless 0 <= quiet_s <= longest_wait_s."""
        self.follow(quiet_s, longest_wait_s)
        self._bursts: dict[str, _Burst] = {}
        # Pairs (moment, name) that are never later than the burst's true deadline. A touch only moves the deadline
        # back, so it need not reorder anything: the pair is put right when its moment comes.
        self._queue: list[tuple[float, str]] = []

    def follow(self, quiet_s: float, longest_wait_s: float) -> None:
        """Other times, for what changes from now on. Raises as the constructor does."""
        if not 0 <= quiet_s <= longest_wait_s:
            raise ValueError(
                f"the quiet period ({quiet_s} s) must be between 0 and the longest wait ({longest_wait_s} s)"
            )
        self._quiet = quiet_s
        self._longest = longest_wait_s

    def touched(self, name: str, now: float, *, age_s: float = 0.0) -> None:
        """Something in the drop changed, `age_s` seconds ago (a scan that finds an old tree need not wait for it)."""
        moment = now - min(max(age_s, 0.0), self._quiet)
        burst = self._burst(name, moment)
        if moment > burst.last:
            pause = moment - burst.last
            # A longer pause than was waited for says only that nobody asked in between.
            burst.gap = max(burst.gap, pause) if pause < self._wait(burst) else burst.gap
            burst.last = moment
        if burst.whole_at is not None and moment >= burst.whole_at:
            burst.whole_at = None
        burst.is_open = False
        burst.first = min(burst.first, moment)
        burst.touches += 1
        self._enqueue(name, burst)

    def written(self, name: str, now: float) -> None:
        """Something was written to a drop that is one file, and whoever did will close it: quiet is not enough.

        That ends with the next word about it: it was closed, or moved, or removed, or a scan that found it changed may
        know of what nobody told.
        """
        self.touched(name, now)
        self._bursts[name].is_open = True

    def arrived_whole(self, name: str, now: float) -> None:
        """The drop is complete by the way it came (one rename, or an archive closed after writing): due at once."""
        burst = self._burst(name, now)
        burst.last = max(burst.last, now)
        burst.whole_at = now
        burst.is_open = False
        burst.touches += 1
        self._enqueue(name, burst)

    def again(self, settled: Settled, now: float) -> None:
        """What was settled turned out to be unfinished (torn, or an archive without its end): wait one more period.

        The first change stays what it was, so that `forced` tells when this has gone on for too long.
        """
        burst = self._burst(settled.name, now)
        burst.first = min(burst.first, settled.first_change)
        burst.gap = max(burst.gap, settled.gap_s)
        burst.touches += settled.touches
        burst.not_before = now + self._wait(burst)
        self._enqueue(settled.name, burst)

    def due(self, now: float) -> list[Settled]:
        """What has settled by now, longest due first; it is no longer waiting, and a later change opens a new burst."""
        ready: list[Settled] = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, name = heapq.heappop(self._queue)
            ready.append(self._settle(name, self._bursts.pop(name)))
        return ready

    def next_deadline(self) -> float | None:
        """When `due` will have something if nothing more happens; None when nothing waits."""
        while self._queue:
            moment, name = self._queue[0]
            burst = self._bursts.get(name)
            if burst is None or moment != burst.queued:
                heapq.heappop(self._queue)
            elif (deadline := self._deadline(burst)) > moment:
                heapq.heapreplace(self._queue, (deadline, name))
                burst.queued = deadline
            else:
                return moment
        return None

    def quiet_s(self, name: str) -> float | None:
        """For how long nothing may change before this drop is due; None when it does not wait for that."""
        burst = self._bursts.get(name)
        return None if burst is None or burst.whole_at is not None or burst.is_open else self._wait(burst)

    def is_open(self, name: str) -> bool:
        """Does it wait for whoever writes it to close it?"""
        burst = self._bursts.get(name)
        return burst is not None and burst.is_open

    def waiting(self) -> list[Waiting]:
        """Every burst that is not over, the one due first in front."""
        bursts = (
            Waiting(name=name, first_change=burst.first, due_at=self._deadline(burst), touches=burst.touches)
            for name, burst in self._bursts.items()
        )
        return sorted(bursts, key=lambda waiting: (waiting.due_at, waiting.name))

    def is_waiting(self, name: str) -> bool:
        """Has the drop changed, and not gone quiet yet?"""
        return name in self._bursts

    def _burst(self, name: str, moment: float) -> _Burst:
        return self._bursts.setdefault(name, _Burst(first=moment, last=moment))

    def _wait(self, burst: _Burst) -> float:
        return max(self._quiet, 2 * burst.gap)

    def _deadline(self, burst: _Burst) -> float:
        if burst.whole_at is not None:
            return burst.whole_at
        return max(min(self._quiet_at(burst), burst.first + self._longest), burst.not_before)

    def _quiet_at(self, burst: _Burst) -> float:
        return math.inf if burst.is_open else burst.last + self._wait(burst)

    def _enqueue(self, name: str, burst: _Burst) -> None:
        deadline = self._deadline(burst)
        if deadline < burst.queued:
            heapq.heappush(self._queue, (deadline, name))
            burst.queued = deadline

    def _settle(self, name: str, burst: _Burst) -> Settled:
        wanted = max(self._quiet_at(burst), burst.not_before)
        forced = burst.whole_at is None and burst.first + self._longest < wanted
        return Settled(name=name, first_change=burst.first, forced=forced, touches=burst.touches, gap_s=burst.gap)
