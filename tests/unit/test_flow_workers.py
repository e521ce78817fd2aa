"""Lanes: one after another within a lane, side by side across them, and nobody left waiting at the end."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from packd.domain.failures import Code, Failure
from packd.flow.workers import Lanes
from tests.waiting import wait_until

PATIENCE_S = 20.0


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    lanes = Lanes(4)
    yield lanes
    lanes.stop(PATIENCE_S)


def test_jobs_of_a_lane_run_in_order(lanes: Lanes) -> None:
    """What was submitted first runs first, and never beside another of its lane."""
    ran: list[int] = []
    for number in range(50):
        lanes.submit("one", ran.append, number)
    assert lanes.wait_idle(PATIENCE_S)
    assert ran == list(range(50))


def test_lanes_run_side_by_side(lanes: Lanes) -> None:
    """Two lanes that wait for each other can only end together."""
    meeting = threading.Barrier(2, timeout=PATIENCE_S)
    lanes.submit("left", meeting.wait)
    lanes.submit("right", meeting.wait)
    assert lanes.wait_idle(PATIENCE_S)
    assert not meeting.broken


def test_what_goes_ahead_comes_before_what_has_not_begun() -> None:
    """Whoever has begun something goes on with it, however many others wait for their turn."""
    lanes, begun, gate, ran = Lanes(1), threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        gate.wait(PATIENCE_S)

    lanes.submit("first", first)
    assert begun.wait(PATIENCE_S)
    for name in ("second", "third"):
        lanes.submit(name, ran.append, name)
    lanes.submit("ahead", ran.append, "ahead", ahead=True)
    gate.set()
    assert lanes.wait_idle(PATIENCE_S)
    assert ran == ["ahead", "second", "third"]
    lanes.stop(PATIENCE_S)


def test_a_lane_is_free_when_nothing_waits_or_runs_in_it(lanes: Lanes) -> None:
    """Others do not count."""
    begun, gate = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        gate.wait(PATIENCE_S)

    assert lanes.is_free("one")
    lanes.submit("one", job)
    assert begun.wait(PATIENCE_S)
    assert (lanes.is_free("one"), lanes.is_free("other")) == (False, True)
    gate.set()
    assert lanes.wait_idle(PATIENCE_S)
    assert lanes.is_free("one")


def test_a_job_that_waits_is_not_queued_twice(lanes: Lanes) -> None:
    """The one that waits will see what the second asking was about; one that runs may not, so it is queued behind."""
    gate, ran = threading.Event(), []

    def job() -> None:
        ran.append(1)
        gate.wait(PATIENCE_S)

    for _ in range(10):
        lanes.submit("one", job)
    gate.set()
    assert lanes.wait_idle(PATIENCE_S)
    assert len(ran) <= 2


def test_a_job_that_breaks_does_not_end_its_lane(lanes: Lanes) -> None:
    """One pack's surprise is logged; the next job of the same lane runs."""
    ran: list[str] = []
    lanes.submit("one", int, "no number")
    lanes.submit("one", ran.append, "next")
    assert lanes.wait_idle(PATIENCE_S)
    assert ran == ["next"]


def test_what_a_job_met_is_a_sentence_where_that_says_it_all(lanes: Lanes) -> None:
    """A disk that is full, a database that is damaged, a machine without descriptors: where in the code that was found is
    of no use to anybody."""

    def refuse() -> None:
        raise Failure(Code.UNAVAILABLE, "the disk is full: make room on it")

    def lack() -> None:
        raise OSError(errno.ENFILE, "Too many open files in system")

    with capture_logs() as logged:
        lanes.submit("one", refuse)
        lanes.submit("one", lack)
        lanes.submit("one", int, "no number")
        assert lanes.wait_idle(PATIENCE_S)
    known, lacking, surprise = logged
    assert (known["event"], known["why"]) == ("lane.job_failed", "the disk is full: make room on it")
    assert "(Too many open files in system): try again" in lacking["why"]
    assert "exc_info" not in {**known, **lacking}
    assert isinstance(surprise["exc_info"], ValueError)


def test_a_call_returns_or_raises_what_its_work_does(lanes: Lanes) -> None:
    """Whoever asks from another thread gets the answer itself."""
    assert lanes.call("one", lambda: 42) == 42
    with pytest.raises(Failure, match="no such thing"):
        lanes.call("one", _refuse)


def _refuse() -> None:
    raise Failure(Code.NOT_FOUND, "no such thing")


def test_a_call_that_will_never_run_is_answered(lanes: Lanes) -> None:
    """When the lanes stop, whoever still waits is told so."""
    gate, refused = threading.Event(), []
    lanes.submit("one", gate.wait, PATIENCE_S)

    def ask() -> None:
        try:
            lanes.call("one", lambda: None)
        except Failure as failure:
            refused.append(failure.code)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: lanes.depth() == 2)
    stopping = threading.Thread(target=lanes.stop, args=(PATIENCE_S,))
    stopping.start()
    gate.set()
    asking.join(PATIENCE_S)
    stopping.join(PATIENCE_S)
    assert refused == [Code.UNAVAILABLE]
    assert not lanes.submit("one", print)
