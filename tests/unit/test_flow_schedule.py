"""Is the clock's thread well? From its start until it is stopped, and at no other time is there anything to be said.

And do its jobs go on when the clock is set?
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from apscheduler.schedulers import base
from apscheduler.triggers.interval import IntervalTrigger

from packd.domain.cron import parse
from packd.flow.schedule import Schedule
from tests.unit.testrun_ground import wait_until

SLOW_MACHINE_S = 20.0


def test_it_is_well_from_the_beginning_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it is being started, which takes an import, and while the daemon stops."""
    schedule = Schedule()
    seen = [schedule.pulse().alive]
    start = schedule._start

    def look_and_start() -> None:
        seen.append(schedule.pulse().alive)
        start()

    monkeypatch.setattr(schedule, "_start", look_and_start)
    schedule.start()
    seen.append(schedule.pulse().alive)
    schedule.stop()
    seen.append(schedule.pulse().alive)
    assert seen == [True] * 4


def test_a_thread_that_ended_is_told() -> None:
    """Its pulse says that it does not live."""
    schedule = Schedule()
    schedule.start()
    schedule._scheduler.shutdown()
    assert not schedule.pulse().alive
    schedule.stop()


def test_a_start_that_failed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor then starts the daemon anew."""
    schedule = Schedule()

    def fail() -> None:
        raise ImportError("no apscheduler")

    monkeypatch.setattr(schedule, "_start", fail)
    with pytest.raises(ImportError):
        schedule.start()
    assert not schedule.pulse().alive


@pytest.mark.parametrize(
    ("moment", "days"),
    [
        ("0 3 1,15 * mon", [1, 5, 12, 15, 19, 26]),
        ("0 3 1,15 * *", [1, 15]),
        ("0 3 * * mon", [5, 12, 19, 26]),
        ("0 3 */3 * mon", [19]),
    ],
)
def test_a_day_is_meant_by_either_of_its_fields(moment: str, days: list[int]) -> None:
    """As crontab(5) has it, where both are restricted; one with a star in it is not, and then both have to agree."""
    schedule = Schedule()
    schedule.at(parse(moment), lambda: None, name="job")
    schedule.start()
    try:
        trigger = schedule._scheduler.get_job("job").trigger
    finally:
        schedule.stop()
    last, found = None, []
    now = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday
    while (last := trigger.get_next_fire_time(last, now)).month == 1:
        found.append(last.day)
        now = last
    assert found == days


# --- when the clock is set -------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """How far APScheduler's clock is off, in its only item."""
    off = [timedelta(0)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + off[0]

    monkeypatch.setattr(base, "datetime", Clock)
    return off


@pytest.mark.parametrize("off", [timedelta(hours=-5), timedelta(hours=5)], ids=["back", "on"])
def test_jobs_go_on_when_the_clock_is_set(
    clock: list[timedelta], monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    """As often as before: nothing waits for the clock to come back, and nobody counts how often it was missed."""
    counted: list[datetime] = []
    following = IntervalTrigger.get_next_fire_time

    def counting(self: IntervalTrigger, previous: datetime | None, now: datetime) -> datetime:
        counted.append(now)
        return following(self, previous, now)

    monkeypatch.setattr(IntervalTrigger, "get_next_fire_time", counting)
    ran = threading.Event()
    schedule = Schedule()
    schedule.every(0.05, ran.set, name="job")
    schedule.start()
    try:
        assert ran.wait(SLOW_MACHINE_S)
        clock[0] = off
        schedule._scheduler.wakeup()  # it may just have looked at the one clock, and count from the other
        counted.clear()
        for _ in range(3):
            ran.clear()
            assert ran.wait(SLOW_MACHINE_S)
        assert len(counted) < 5 * 3600
    finally:
        schedule.stop()


def test_a_moment_of_the_day_does_not_wait_for_a_clock_that_was_ahead(clock: list[timedelta]) -> None:
    """As a clock is that somebody set by a mistake, and put right."""
    ran = threading.Event()
    schedule = Schedule()
    clock[0] = timedelta(days=4000)
    schedule.at(parse("* * * * *"), ran.set, name="job")
    schedule.every(0.05, lambda: None, name="other")
    schedule.start()
    try:
        clock[0] = timedelta(0)
        schedule._scheduler.wakeup()
        soon = datetime.now(UTC) + timedelta(minutes=2)
        wait_until(lambda: schedule._scheduler.get_job("job").next_run_time < soon)
    finally:
        schedule.stop()
