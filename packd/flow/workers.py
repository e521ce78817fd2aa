"""Lanes: jobs of one lane run one after another, lanes run side by side.

A lane is one drop, or one pack. A job that already waits in its lane is not queued again: every job looks at what is
true when it starts, so one that is still waiting will see whatever the second asking was about.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from packd.domain.failures import Code, Failure, for_log
from packd.domain.health import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

    Job = tuple[Callable[..., None], tuple[object, ...]]  # what to call, with what

Value = TypeVar("Value")

log = structlog.get_logger(__name__)

_STUCK_AFTER_S: Final = 900.0  # reading a large pack from a slow disk takes long; nothing takes that long


class Lanes:
    """A fixed number of threads over any number of lanes, first come, first served."""

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._jobs: dict[str, deque[Job]] = {}  # lane → waiting jobs
        self._ready: deque[str] = deque()  # lanes with a job to start
        self._running: set[str] = set()
        self._waiting = 0  # jobs, over all lanes
        self._moved_at = time.monotonic()  # when a job last began or ended
        self._nested = 0  # jobs that wait for an answer from another lane
        self._awaited: set[Future[Any]] = set()  # answers that somebody waits for
        self._stopping = False
        self._put_off = False  # see `put_off`
        self._threads = [threading.Thread(target=self._work, name=f"lane-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, lane: str, call: Callable[..., None], *arguments: object, ahead: bool = False) -> bool:
        """Queue `call(*arguments)`; False when the lanes are stopping and it will never run.

        `ahead`: the lane comes before all others that have nothing under way, for what goes on with what was begun.
        """
        job = (call, arguments)
        with self._lock:
            if self._stopping:
                return False
            waiting = self._jobs.setdefault(lane, deque())
            if job not in waiting:
                waiting.append(job)
                self._waiting += 1
                if lane not in self._running and len(waiting) == 1:
                    if ahead:
                        self._ready.appendleft(lane)
                    else:
                        self._ready.append(lane)
                    self._wake.notify()
            return True

    def go_on(self) -> None:
        """For a job before it writes down something new. Raises Failure(UNAVAILABLE) when the lanes are stopping."""
        if self._stopping:
            raise _stopping()

    @property
    def are_stopping(self) -> bool:
        """Nothing begins any more."""
        return self._stopping

    def is_free(self, lane: str) -> bool:
        """Nothing waits or runs in it."""
        with self._lock:
            return lane not in self._running and lane not in self._jobs

    def call(self, lane: str, work: Callable[[], Value]) -> Value:
        """Run `work` in the lane, after what waits there, and return what it returns or raise what it raises.

        Raises Failure(UNAVAILABLE) when the lanes stop before it has begun.
        """
        answer: Future[Value] = Future()

        def answering() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(work())
            except BaseException as failure:
                answer.set_exception(failure)

        inside = threading.current_thread() in self._threads
        with self._lock:
            self._awaited.add(answer)
            self._nested += inside
        try:
            if not self.submit(lane, answering):
                raise _stopping()
            return answer.result()
        except CancelledError:
            raise _stopping() from None
        finally:
            with self._lock:
                self._awaited.discard(answer)
                self._nested -= inside

    def depth(self) -> int:
        """Jobs that wait or run."""
        with self._lock:
            return self._busy()

    def pulse(self, resting: int = 0) -> Pulse:
        """Lanes are stuck when there is work and none of it begins or ends.

        `resting`: how many jobs wait for something that has a deadline of its own, as a run of tests has.
        """
        with self._lock:
            at_work = len(self._running) > resting + self._nested or (
                self._ready and len(self._running) < len(self._threads)
            )
            waiting_s = time.monotonic() - self._moved_at if at_work else 0.0
        alive = all(thread.is_alive() for thread in self._threads)
        return Pulse(part="lanes", alive=alive, waiting_s=waiting_s, allowed_s=_STUCK_AFTER_S)

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Until nothing waits or runs; False on time-out."""
        with self._lock:
            return self._idle.wait_for(lambda: self._busy() == 0, timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Start nothing more and wait for what runs; False when something is still running after `timeout_s`."""
        with self._lock:
            self._stopping = True
            self._jobs.clear()
            self._waiting = 0
            self._ready.clear()
            self._wake.notify_all()
            ended = self._idle.wait_for(lambda: not self._running, timeout_s)
            for answer in self._awaited:
                answer.cancel()  # nobody will answer it any more
            return ended

    def put_off(self) -> bool:
        """Did a job come to nothing, since this was last asked, for want of what may be back by now, as the database?"""
        was, self._put_off = self._put_off, False
        return was

    def _busy(self) -> int:
        return len(self._running) + self._waiting

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            lane, (call, arguments) = taken
            try:
                call(*arguments)
            except Exception as surprise:
                if self._stopping and isinstance(surprise, Failure) and surprise.code == Code.UNAVAILABLE:
                    continue  # what it needed had stopped before; the next start does it
                # One pack's surprise must not end the thread that serves all others; reconcile comes back to it.
                self._put_off |= isinstance(surprise, Failure) and surprise.code == Code.UNAVAILABLE
                log.error("lane.job_failed", lane=lane, **for_log(surprise))
            finally:
                self._done(lane)

    def _next(self) -> tuple[str, Job] | None:
        with self._lock:
            self._wake.wait_for(lambda: self._ready or self._stopping)
            if self._stopping:
                return None
            lane = self._ready.popleft()
            self._running.add(lane)
            self._moved_at = time.monotonic()
            self._waiting -= 1
            return lane, self._jobs[lane].popleft()

    def _done(self, lane: str) -> None:
        with self._lock:
            self._running.discard(lane)
            self._moved_at = time.monotonic()
            if self._jobs.get(lane):
                self._ready.append(lane)
                self._wake.notify()
            else:
                self._jobs.pop(lane, None)
            if self._busy() == 0 or self._stopping:
                self._idle.notify_all()


def _stopping() -> Failure:
    return Failure(Code.UNAVAILABLE, "packd is stopping: try again when it is back")
