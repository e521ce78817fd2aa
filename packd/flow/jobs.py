"""Work that goes on behind the answer to a request: who follows it hears of every case, and how it ended."""

from __future__ import annotations

import contextvars
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog

from packd.domain.failures import HTTP_STATUS, Code, Failure, for_log
from packd.domain.moments import rfc3339
from packd.flow.told import Told
from packd.registry import queries, requests
from packd.registry.rows import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.flow.clock import Clock
    from packd.registry.registry import Registry
    from packd.registry.rows import JobState, Revision

    Answer = tuple[int, dict[str, Any]]  # HTTP status and body, as waiting would have given them
    Work = Callable[["Progress"], Answer]

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 64
_REMEMBERED: Final = 100  # ended jobs whose messages are still there to be followed
_KEPT_S: Final = 7 * 86_400.0


@dataclass(eq=False)
class Progress:
    """What is known of a job while it runs. Every method may be called from any thread."""

    job_id: str = ""
    told: Told = field(default_factory=Told)  # "revision", "case", "progress", "fetch"
    packs: list[str] = field(default_factory=list)  # that it turned out to be about
    cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _on_cancel: list[Callable[[], object]] = field(default_factory=list)
    ended: Job | None = None

    def revision(self, revision: Revision) -> None:
        """The content has got its number."""
        self.about(revision.ref)
        self.say("revision", {"ref": revision.ref, "number": revision.number, "version": revision.version})

    def about(self, *refs: str) -> None:
        """It is about these packs as well, whatever becomes of it."""
        self.packs += [ref for ref in refs if ref not in self.packs]

    def say(self, name: str, said: dict[str, Any]) -> None:
        """Anything else that those who follow should hear, JSON-able."""
        self.told.say(name, said)

    def on_cancel(self, stop: Callable[[], object]) -> None:
        """`stop` is called when somebody cancels the job, at once if somebody has."""
        with self._lock:
            self._on_cancel.append(stop)
            cancelled = self.cancelled
        if cancelled:
            stop()

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            stops = list(self._on_cancel)
        for stop in stops:
            stop()

    def end(self, job: Job) -> None:
        self.ended = job
        self.told.finish()


class Jobs:
    """Starts them, remembers them, cancels them."""

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, Progress] = {}
        self._ended: OrderedDict[str, Progress] = OrderedDict()

    def start(self, kind: str, subject: str, actor: str, work: Work) -> Job:
        """Begin `work` in a thread of its own. Raises Failure UNAVAILABLE when too much is under way, DiskFull."""
        job = Job(
            id=self._clock.new_id("job"),
            kind=kind,
            subject=subject,
            actor=actor,
            state="running",
            created_at=self._clock.iso(),
        )
        progress = Progress(job_id=job.id)
        with self._lock:
            if len(self._running) >= _AT_ONCE:
                raise Failure(Code.UNAVAILABLE, f"{_AT_ONCE} jobs are under way already: try again when one has ended")
            self._running[job.id] = progress
        try:
            with self._registry.write() as tx:
                requests.forget_jobs(tx.connection, before=rfc3339(self._clock.now() - _KEPT_S))
                requests.add_job(tx.connection, job)
        except BaseException:  # there is no such job, so it keeps no place
            with self._lock:
                del self._running[job.id]
            raise
        run = contextvars.copy_context().run
        try:
            threading.Thread(target=run, args=(self._run, job, progress, work), name=job.id, daemon=True).start()
        except RuntimeError as failure:
            said = f"{job.id} could not begin: {failure}; try again when less is under way"
            answer = {"code": Code.UNAVAILABLE, "detail": said, "error": said}
            self._end(job, progress, "failed", HTTP_STATUS[Code.UNAVAILABLE], answer)
            raise Failure(Code.UNAVAILABLE, said) from failure
        return job

    def find(self, job_id: str) -> Job:
        """Raises Failure NOT_FOUND."""
        with self._registry.read() as connection:
            job = queries.job(connection, job_id)
        if job is None:
            raise Failure(Code.NOT_FOUND, f"there is no job {job_id}; those that have ended are kept for a week")
        return job

    def progress(self, job_id: str) -> Progress | None:
        """What can be followed; None: it has ended, and only its result is known."""
        with self._lock:
            return self._running.get(job_id) or self._ended.get(job_id)

    def cancel(self, job_id: str) -> Job:
        """Stop it soon. Raises Failure: NOT_FOUND, CONFLICT when it has ended."""
        with self._lock:
            progress = self._running.get(job_id)
        job = self.find(job_id)
        if progress is None:
            raise Failure(Code.CONFLICT, f"{job_id} has ended already ({job.state})")
        progress.cancel()
        return job

    def close_open(self) -> None:
        """At start: what was under way when the daemon ended came to nothing that anybody can wait for."""
        with self._registry.write() as tx:
            requests.forget_unanswered(tx.connection)
            for job in queries.running_jobs(tx.connection):
                said = "packd was stopped while this was under way; what had become a revision goes on by itself"
                requests.end_job(
                    tx.connection,
                    job.id,
                    state="failed",
                    finished_at=tx.now,
                    status=HTTP_STATUS[Code.UNAVAILABLE],
                    answer={"code": Code.UNAVAILABLE, "detail": said, "error": said},
                )

    def _run(self, job: Job, progress: Progress, work: Work) -> None:
        try:
            status, answer = work(progress)
        except Exception:
            log.exception("job.broke", job=job.id, kind=job.kind, subject=job.subject)
            said = f"packd broke while working on {job.id}; its log has the details"
            status, answer = 500, {"code": Code.INTERNAL, "detail": said, "error": said}
        state: JobState = "succeeded" if status < 400 else "cancelled" if progress.cancelled else "failed"
        self._end(job, progress, state, status, answer)

    def _end(self, job: Job, progress: Progress, state: JobState, status: int, answer: dict[str, Any]) -> None:
        try:
            with self._registry.write() as tx:
                requests.end_job(tx.connection, job.id, state=state, finished_at=tx.now, status=status, answer=answer)
                ended = queries.job(tx.connection, job.id) or job
        except (
            Exception
        ) as failure:  # the database is closed, or its disk is full: whoever follows must not wait for ever
            log.error("job.end_not_written", job=job.id, **for_log(failure))
            ended = job
        progress.end(ended)
        with self._lock:
            del self._running[job.id]
            self._ended[job.id] = progress
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        log.info("job.ended", job=job.id, kind=job.kind, subject=job.subject, state=state, status=status)
