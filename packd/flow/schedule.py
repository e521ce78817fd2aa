"""What happens by the clock. The only door to APScheduler; its jobs only ask for work, they never do it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from packd.domain.health import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from packd.domain.cron import Cron


_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class Schedule:
    """Periodic jobs. One that is late runs once, not as often as it was missed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[str, Any]] = {}  # name → job, until `start`
        self._scheduler: Any = None
        self._started = False
        self._stopped = False

    def every(self, seconds: float, ask: Callable[[], None], *, name: str) -> None:
        """Call `ask` each `seconds`, for the first time after that long; in place of what had this name before."""
        self._add(name, {"func": ask, "trigger": "interval", "seconds": seconds})

    def at(self, moment: Cron | None, ask: Callable[[], None], *, name: str) -> None:
        """Call `ask` whenever that moment comes, in UTC; None: never, nor what had this name before."""
        if moment is None:
            self._remove(name)
            return
        self._add(name, {"func": ask, "trigger": _whenever(moment)})

    def pulse(self) -> Pulse:
        """Its jobs only ask, so all there is to know is whether its thread runs, from its start until it is stopped."""
        thread = getattr(self._scheduler, "_thread", None)
        runs = thread is not None and thread.is_alive()
        return Pulse(part="schedule", alive=runs or not self._started or self._stopped)

    def start(self) -> None:
        """Does nothing when it was stopped before."""
        try:
            self._start()
        finally:
            self._started = True  # or should have been: that is for `pulse` to tell

    def _start(self) -> None:
        from apscheduler.schedulers.background import BackgroundScheduler  # not needed until the daemon is ready

        with self._lock:
            if self._stopped:
                return
            self._scheduler = BackgroundScheduler(
                timezone="UTC",
                jobstores={"default": _steady_jobs()},
                job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            )
            self._scheduler.start()
            for name, job in self._waiting.items():
                self._scheduler.add_job(id=name, **job)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._scheduler is not None and self._scheduler.running:
                self._scheduler.shutdown(wait=False)

    def _add(self, name: str, job: dict[str, Any]) -> None:
        with self._lock:
            if self._scheduler is None:
                self._waiting[name] = job
            else:
                self._scheduler.add_job(id=name, replace_existing=True, **job)

    def _remove(self, name: str) -> None:
        with self._lock:
            self._waiting.pop(name, None)
            if self._scheduler is not None and self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)


def _whenever(moment: Cron) -> Any:
    """A trigger of APScheduler's, of which each asks for all of its fields."""
    from apscheduler.triggers.combining import OrTrigger
    from apscheduler.triggers.cron import CronTrigger

    triggers = []
    for way in moment.ways():
        fields = {field: ",".join(map(str, values)) for field, values in way.items()}
        fields["day_of_week"] = ",".join(_WEEKDAYS[day] for day in way["day_of_week"])  # APScheduler counts from Monday
        triggers.append(CronTrigger(**fields, timezone="UTC"))
    return OrTrigger(triggers)


def _steady_jobs() -> Any:
    """Jobs that go on when somebody sets the clock, which APScheduler goes by.

    Set back, it would have each wait until the clock shows its time again; set on, it lists every single time that was
    missed, which for a clock that began in 1970 takes all memory.
    """
    from apscheduler.jobstores.memory import MemoryJobStore

    class SteadyJobs(MemoryJobStore):  # type: ignore[misc]
        def get_due_jobs(self, now: datetime) -> list[Any]:
            for job in self.get_all_jobs():
                if job.next_run_time is not None and (steady := _next_run(job, now)) != job.next_run_time:
                    job.modify(next_run_time=steady)
            due: list[Any] = super().get_due_jobs(now)
            return due

    return SteadyJobs()


def _next_run(job: Any, now: datetime) -> datetime:
    """Not further ahead than it can be, and not longer ago than matters."""
    planned: datetime = job.next_run_time
    every: timedelta | None = getattr(job.trigger, "interval", None)  # of those that come each so many seconds
    if every is not None:
        return min(max(planned, now - every), now + every)
    latest: datetime | None = job.trigger.get_next_fire_time(None, now)
    return planned if latest is None else min(planned, latest)
