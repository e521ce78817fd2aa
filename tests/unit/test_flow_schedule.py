"""Is the clock's thread well? From its start until it is stopped, and at no other time is there anything to be said."""

from __future__ import annotations

import pytest

from packd.flow.schedule import Schedule


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
