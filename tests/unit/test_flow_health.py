"""The pulses of the parts: what a dead or stuck one looks like from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from packd.attending import ClockStep
from packd.flow.clock import Clock
from packd.flow.settling import Settling
from packd.flow.workers import Lanes
from packd.watch.settle import Settler


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    lanes = Lanes(2)
    yield lanes
    lanes.stop(5)


def test_idle_lanes_are_well(lanes: Lanes) -> None:
    """Nothing to do is no reason to worry, however long."""
    lanes.submit("a", lambda: None)
    assert lanes.wait_idle(10)
    assert lanes.pulse().waiting_s == 0.0


def test_a_job_that_hangs_is_seen(lanes: Lanes) -> None:
    """While a job runs and nothing else moves, time counts; a run of tests, which has its own deadline, does not."""
    begun, go = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go.wait(30)

    lanes.submit("a", hang)
    assert begun.wait(10)
    assert lanes.pulse().waiting_s > 0.0
    assert lanes.pulse(resting=1).waiting_s == 0.0
    go.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_settle_thread_is_seen() -> None:
    """A callback that ends the thread leaves drops unsettled for ever: the pulse says so."""
    settling = Settling(Settler(0.0, 1.0), remove_grace_s=0, clock=Clock())
    ended = threading.Event()

    def die(*_: object) -> None:
        ended.set()
        raise SystemExit  # ends a thread without a word

    settling.start(take=die, remove=die)
    assert settling.pulse().alive
    settling.touched("x")
    assert ended.wait(10)
    settling._thread.join(10)
    assert not settling.pulse().alive


def test_a_clock_that_is_set_is_noticed() -> None:
    """A step is told until it was followed; adjustments of less than five seconds are not steps."""
    now = {"wall": 1000.0, "monotonic": 10.0}
    step = ClockStep(wall=lambda: now["wall"], monotonic=lambda: now["monotonic"])
    now |= {"wall": 1064.0, "monotonic": 70.0}
    assert step.step_s() == 0.0
    now["wall"] -= 3600
    assert step.step_s() == -3596.0
    assert step.step_s() == -3596.0
    step.followed()
    assert step.step_s() == 0.0
