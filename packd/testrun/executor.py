"""The seam: whoever wants a pack tested submits a request and gets a report later, from this machine or from another."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packd.domain.failures import Code, Failure
from packd.domain.reports import Report
from packd.testrun.basic import BasicSandbox
from packd.testrun.bench import Bench, Errand, Tools
from packd.testrun.cancel import CancelToken
from packd.testrun.crew import Crew
from packd.testrun.environments.origins import Origins
from packd.testrun.interpreters import Interpreters
from packd.testrun.leftovers import kill_leftovers
from packd.testrun.limits import Limits
from packd.testrun.progress import nobody
from packd.testrun.request import RunRequest
from packd.testrun.run import cancelled_report
from packd.testrun.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packd.domain.reports import Case
    from packd.testrun.bench import Station
    from packd.testrun.environments.cache import Environments
    from packd.testrun.progress import OnSuite, Tell
    from packd.testrun.sandbox import Sandbox

__all__ = ["CancelToken", "Executor", "Limits", "LocalExecutor", "RunRequest", "kill_leftovers"]

_STOPPING_TAKES_S = 30.0  # at most, once runs were told to stop


class Executor(Protocol):
    """Carries out requests. Every future that it gives out gets a report; a cancelled run has one too."""

    def submit(
        self,
        request: RunRequest,
        *,
        cancel: CancelToken,
        on_case: Callable[[str, Case], None] | None = None,
        on_suite: OnSuite = nobody,
        on_progress: Tell = nobody,
    ) -> Future[Report]:
        """Queue a request. `on_case` gets (suite, case) from another thread, as cases end; `on_suite` each suite that has
        ended, bare; `on_progress` a few words whenever something else takes its time, such as the installing of packages.

        Raises Failure(UNAVAILABLE) once the executor was closed.
        """
        ...

    def close(self, grace_s: float) -> None:
        """Take no more requests, cancel those that wait, give the running ones `grace_s` seconds, then cancel them."""
        ...


@dataclass(eq=False)
class _Job:
    """A request on its way. Whoever claims it, a worker or the stop button, answers it."""

    request: RunRequest
    cancel: CancelToken
    on_case: Callable[[str, Case], None] | None
    on_suite: OnSuite
    on_progress: Tell
    future: Future[Report] = field(default_factory=Future)
    _claimed: threading.Lock = field(default_factory=threading.Lock)

    def claim(self) -> bool:
        """True for the first who asks, unless nobody waits for the answer any more."""
        return self._claimed.acquire(blocking=False) and self.future.set_running_or_notify_cancel()

    def errand(self) -> Errand:
        return Errand(
            request=self.request,
            cancel=self.cancel,
            on_case=self.on_case,
            on_suite=self.on_suite,
            on_progress=self.on_progress,
            answer=self.future.set_result,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Worker:
    """A thread that carries out runs at its station."""

    station: Station
    given: queue.SimpleQueue[tuple[_Job, Errand] | None] = field(default_factory=queue.SimpleQueue)  # None: end


class LocalExecutor:
    """Runs on this machine, on a fixed number of threads that live as long as it does.

    They have to: a suite's process is tied to the thread that started it, so that it dies with a killed daemon.
    A run's folder is removed by its worker right after the report was given out, before the next run.
    """

    def __init__(
        self,
        work_dir: Path,
        workers: int,
        copy_tree: Callable[[Path, Path], None],
        *,
        sandbox: Sandbox | None = None,
        python: Path | None = None,
        interpreters: Interpreters | None = None,
        environments: Environments | None = None,
        origins: Origins | None = None,
        grace_s: float = 2.0,
        on_trouble: Callable[[str], None] | None = None,
        apart: bool = False,
    ) -> None:
        """`copy_tree(snapshot, folder)` makes the private copy; `python` runs Python tests (default: packd's own)
        unless `interpreters` says more; `environments` keeps what packs declare, fetched from `origins` (None: it is
        not installed);
        `grace_s` is the time between asking a suite to end and killing it; `on_trouble` gets a sentence when a run's
        folder can't be removed, which is tried again at the next start; `apart`: each worker has its runs carried out
        by a process of its own, which asks that this process has no other thread yet."""
        work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._on_trouble = on_trouble
        self._sandbox: Sandbox = sandbox or BasicSandbox()
        self._slots = Slots(max(workers, 1))
        tools = Tools(
            work_dir=work_dir.resolve(),
            copy_tree=copy_tree,
            sandbox=self._sandbox,
            interpreters=interpreters or Interpreters(python or Path(sys.executable)),
            environments=environments,
            origins=origins or Origins(),
            grace_s=grace_s,
            slots=self._slots,
        )
        self._crew = Crew(tools) if apart else None
        made = [_Worker(station=station) for station in self._stations(tools, max(workers, 1))]
        self._lock = threading.Lock()
        self._closed = False
        self._open: set[_Job] = set()  # submitted and not answered
        self._waiting: deque[_Job] = deque()
        self._idle = deque(made)  # the one that is idle longest first: it has made itself ready again
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), name=f"testrun-{number}", daemon=True)
            for number, worker in enumerate(made)
        ]
        for thread in self._threads:
            thread.start()

    def _stations(self, tools: Tools, workers: int) -> Sequence[Station]:
        """One for each worker. A bench takes any number of threads."""
        if self._crew is not None:
            return [self._crew.member() for _ in range(workers)]
        return [Bench(tools)] * workers

    @property
    def isolation(self) -> str:
        """The rung that suites run on, as reports say it."""
        return self._sandbox.isolation

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """What that rung can't do on this machine, as sentences."""
        return self._sandbox.shortcomings

    @property
    def as_root(self) -> str | None:
        """Why suites run as root; None where they do not."""
        return self._sandbox.as_root

    def alive(self) -> bool:
        """Do all its workers run? Each run ends by its own time limit."""
        return all(thread.is_alive() for thread in self._threads) and (self._crew is None or self._crew.alive())

    def submit(
        self,
        request: RunRequest,
        *,
        cancel: CancelToken,
        on_case: Callable[[str, Case], None] | None = None,
        on_suite: OnSuite = nobody,
        on_progress: Tell = nobody,
    ) -> Future[Report]:
        """See Executor."""
        job = _Job(request=request, cancel=cancel, on_case=on_case, on_suite=on_suite, on_progress=on_progress)
        with self._lock:
            if self._closed:
                raise Failure(Code.UNAVAILABLE, "packd is stopping and starts no more tests; try again when it is back")
            self._open.add(job)
        job.future.add_done_callback(lambda _: self._forget(job))
        cancel.on_cancel(lambda: self._answer_waiting(job))
        with self._lock:
            worker = self._idle.popleft() if self._idle else None
            if worker is None:
                self._waiting.append(job)
        if worker is not None:
            self._give(worker, job)
        return job.future

    def close(self, grace_s: float) -> None:
        """See Executor. Returns when nothing of any run is left."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            unanswered = tuple(self._open)
            idle = tuple(self._idle)
            self._idle.clear()
        for job in unanswered:
            if job.claim():
                job.future.set_result(self._cancelled(job, "packd is stopping"))
        deadline = time.monotonic() + grace_s
        for worker in idle:
            worker.given.put(None)
        self._join(deadline)
        for job in unanswered:
            job.cancel.cancel("packd is stopping")
        self._join(time.monotonic() + _STOPPING_TAKES_S)
        if self._crew is not None:
            self._crew.close()
        if not any(thread.is_alive() for thread in self._threads):
            self._slots.close()

    def _join(self, deadline: float) -> None:
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _give(self, worker: _Worker, job: _Job | None) -> None:
        """To an idle one. What it takes is begun here: whoever has the processor need not wait for its thread."""
        while job is not None and not job.claim():
            job = self._next(worker)
        if job is None:
            return
        errand = job.errand()
        worker.station.begin(errand)
        worker.given.put((job, errand))

    def _next(self, worker: _Worker) -> _Job | None:
        """What waits longest; without that the worker is idle, or ends."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                worker.given.put(None)
            else:
                self._idle.append(worker)
            return None

    def _work(self, worker: _Worker) -> None:
        while (given := worker.given.get()) is not None:
            self._carry_out(*given, worker.station)
            self._give(worker, self._next(worker))
        worker.station.close()

    def _carry_out(self, job: _Job, errand: Errand, station: Station) -> None:
        try:
            trouble = station.carry_out(errand)
        except BaseException as error:  # no such run id, or a bug of ours: for whoever waits, not for the worker
            if job.future.done():
                trouble = f"{type(error).__name__} after the run: {error}"
            else:
                job.future.set_exception(error)
                return
        if trouble is not None and self._on_trouble is not None:
            self._on_trouble(trouble)

    def _answer_waiting(self, job: _Job) -> None:
        """The stop button of a run that has not begun."""
        if job.claim():
            job.future.set_result(self._cancelled(job, job.cancel.reason or "the run was cancelled"))

    def _cancelled(self, job: _Job, why: str) -> Report:
        return cancelled_report(job.request, self._sandbox.isolation, why)

    def _forget(self, job: _Job) -> None:
        with self._lock:
            self._open.discard(job)
