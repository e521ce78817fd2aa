"""What counts as dead, stuck, unready and merely degraded."""

from __future__ import annotations

from packd.domain.health import Ailment, Pulse, is_dying, is_ready, judge


def test_well() -> None:
    """Parts that move or rest are well, however long the daemon runs."""
    assert judge([Pulse(part="settle", alive=True), Pulse(part="lanes", alive=True, waiting_s=299)]) == ()


def test_dead_and_stuck() -> None:
    """A dead thread and one that gets nowhere are both cured by a restart only, and are named."""
    dead, stuck = judge([Pulse(part="watch", alive=False), Pulse(part="dispatch", alive=True, waiting_s=301)])
    assert "'watch' has died" in dead.sentence
    assert "'dispatch' has not moved for 301 s" in stuck.sentence
    assert is_dying([dead])
    assert not is_ready([stuck])


def test_degraded_is_ready() -> None:
    """A trouble that packd works around keeps it ready and alive; one that it can't work with does not kill it."""
    degraded = Ailment(part="watch", grade="degraded", sentence="polling")
    unready = Ailment(part="disk", grade="unready", sentence="full")
    assert is_ready([degraded])
    assert not is_ready([degraded, unready])
    assert not is_dying([degraded, unready])
