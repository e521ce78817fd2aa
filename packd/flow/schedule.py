"""What happens by the clock. The only door to APScheduler; its jobs only ask for work, they never do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from apscheduler.schedulers.background import BackgroundScheduler

from packd.domain.health import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.domain.cron import Cron


_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class Schedule:
    """Periodic jobs. One that is late runs once, not as often as it was missed."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(self, seconds: float, ask: Callable[[], None], *, name: str) -> None:
        """Call `ask` each `seconds`, for the first time after that long; in place of what had this name before."""
        self._scheduler.add_job(ask, "interval", seconds=seconds, id=name, replace_existing=True)

    def at(self, moment: Cron | None, ask: Callable[[], None], *, name: str) -> None:
        """Call `ask` whenever that moment comes, in UTC; None: never, nor what had this name before."""
        if moment is None:
            if self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)
            return
        fields = {field: ",".join(map(str, values)) for field, values in moment._asdict().items()}
        fields["day_of_week"] = ",".join(_WEEKDAYS[day] for day in moment.day_of_week)  # APScheduler counts from Monday
        self._scheduler.add_job(ask, "cron", id=name, replace_existing=True, **fields)

    def pulse(self) -> Pulse:
        """Its jobs only ask, so all there is to know is whether its thread runs."""
        thread = getattr(self._scheduler, "_thread", None)
        return Pulse(part="schedule", alive=thread is not None and thread.is_alive())

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
