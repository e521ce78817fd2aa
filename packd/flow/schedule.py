"""What happens by the clock. The only door to APScheduler; its jobs only ask for work, they never do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from packd.domain.health import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable


class Schedule:
    """Periodic jobs. One that is late runs once, not as often as it was missed."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(self, seconds: float, ask: Callable[[], None], *, name: str) -> None:
        """Call `ask` each `seconds`, for the first time after that long; in place of what had this name before."""
        self._scheduler.add_job(ask, "interval", seconds=seconds, id=name, replace_existing=True)

    def pulse(self) -> Pulse:
        """Its jobs only ask, so all there is to know is whether its thread runs."""
        thread = getattr(self._scheduler, "_thread", None)
        return Pulse(part="schedule", alive=thread is not None and thread.is_alive())

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
