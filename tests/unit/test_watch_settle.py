"""When a drop has gone quiet."""

from __future__ import annotations

import pytest

from packd.watch.settle import Settled, Settler


def names(settled: list[Settled]) -> list[str]:
    return [one.name for one in settled]


def test_a_change_is_due_after_the_quiet_period() -> None:
    """Not before, then exactly once."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 10.0)
    assert settler.next_deadline() == 11.0
    assert settler.due(10.99) == []
    assert settler.due(11.0) == [Settled(name="p", first_change=10.0, forced=False, touches=1)]
    assert settler.due(99.0) == []
    assert settler.next_deadline() is None


def test_each_change_restarts_the_quiet_period() -> None:
    """Changes that follow each other are one burst, counted from its first change."""
    settler = Settler(1.0, 60.0)
    for moment in (0.0, 0.25, 0.5):
        settler.touched("p", moment)
    assert settler.due(1.4) == []
    assert settler.due(1.5) == [Settled(name="p", first_change=0.0, forced=False, touches=3, gap_s=0.25)]


def test_a_drop_that_never_goes_quiet_is_forced() -> None:
    """After the longest wait it is due although it still changes, and says so."""
    settler = Settler(1.0, 5.0)
    moment = 0.0
    while not (settled := settler.due(moment)):
        settler.touched("p", moment)
        moment += 0.5
    assert (moment, settled[0].forced, settled[0].first_change) == (5.0, True, 0.0)


def test_an_old_tree_found_by_a_scan_is_due_at_once() -> None:
    """The quiet period counts from the last write; an age above it, or in the future, counts as the nearest limit."""
    settler = Settler(1.0, 60.0)
    settler.touched("old", 100.0, age_s=86400.0)
    settler.touched("fresh", 100.0, age_s=0.25)
    settler.touched("future", 100.0, age_s=-5.0)
    assert names(settler.due(100.0)) == ["old"]
    assert names(settler.due(100.75)) == ["fresh"]
    assert names(settler.due(101.0)) == ["future"]


def test_a_scan_does_not_delay_what_is_waiting() -> None:
    """Being told of a change that is older than the last known one changes only since when it is on its way."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 10.0)
    settler.touched("p", 10.5, age_s=0.75)
    assert settler.next_deadline() == 11.0
    assert [one.first_change for one in settler.due(11.0)] == [9.75]


def test_what_arrived_whole_is_due_at_once() -> None:
    """One rename needs no quiet period."""
    settler = Settler(1.0, 60.0)
    settler.arrived_whole("p", 10.0)
    assert settler.due(10.0) == [Settled(name="p", first_change=10.0, forced=False, touches=1)]


def test_a_whole_arrival_ends_the_wait_of_what_was_there_before() -> None:
    """`rm -rf` and then one rename: due at the rename, with the first change that of the removal."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 10.0)
    settler.arrived_whole("p", 10.25)
    assert settler.due(10.25) == [Settled(name="p", first_change=10.0, forced=False, touches=2, gap_s=0.0)]


def test_a_change_after_a_whole_arrival_waits_for_quiet() -> None:
    """If it goes on being written it was not whole; an older change that only a scan found does not count."""
    settler = Settler(1.0, 60.0)
    settler.arrived_whole("p", 10.0)
    settler.touched("p", 10.5, age_s=0.75)
    assert settler.next_deadline() == 10.0
    settler.touched("p", 10.5)
    assert settler.next_deadline() == 11.5


def test_for_how_long_nothing_may_change() -> None:
    """The quiet period, or more where the copy is slow; nobody waits for it where nothing changed or all came at once."""
    settler = Settler(1.0, 60.0)
    for moment in (0.0, 0.75):
        settler.touched("slow", moment)
    settler.touched("p", 1.0)
    settler.arrived_whole("whole", 1.0)
    asked = {name: settler.quiet_s(name) for name in ("slow", "p", "whole", "nobody")}
    assert asked == {"slow": 1.5, "p": 1.0, "whole": None, "nobody": None}


def test_a_steady_slow_copy_is_one_burst() -> None:
    """A pause near the quiet period lengthens the wait to twice that pause."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 0.0)
    settler.touched("p", 0.75)
    assert settler.next_deadline() == 2.25
    settler.touched("p", 2.0)
    assert settler.next_deadline() == 4.5


def test_a_pause_longer_than_the_wait_teaches_nothing() -> None:
    """When nobody asked for what was due, the next change does not stretch the wait to twice that time."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 0.0)
    settler.touched("p", 20.0)
    assert settler.next_deadline() == 21.0


def test_again_waits_one_more_quiet_period_and_keeps_the_first_change() -> None:
    """A torn snapshot or an archive without its end comes back later, as the same burst."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 0.0)
    (settled,) = settler.due(1.0)
    settler.again(settled, 1.5)
    assert settler.due(2.25) == []
    assert settler.due(2.5) == [Settled(name="p", first_change=0.0, forced=False, touches=1)]


def test_again_keeps_the_pauses_that_were_seen() -> None:
    """What was copied slowly before it turned out torn goes on being copied slowly."""
    settler = Settler(1.0, 60.0)
    for moment in (0.0, 0.75):
        settler.touched("p", moment)
    (settled,) = settler.due(2.25)
    settler.again(settled, 2.5)
    assert settler.next_deadline() == 4.0


def test_again_after_the_longest_wait_still_waits_and_is_forced() -> None:
    """An archive that never gets its end is looked at once per quiet period, not in a tight loop."""
    settler = Settler(1.0, 3.0)
    settler.touched("a.zip", 0.0)
    (settled,) = settler.due(1.0)
    settler.again(settled, 2.5)
    (settled,) = settler.due(3.5)
    assert settled.forced
    settler.again(settled, 4.0)
    assert settler.next_deadline() == 5.0


def test_changes_between_due_and_again_join_the_burst() -> None:
    """What was seen while the snapshot was being taken is not lost when the snapshot turns out torn."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 0.0)
    (settled,) = settler.due(1.0)
    settler.touched("p", 1.25)
    settler.again(settled, 1.5)
    assert settler.due(2.5) == [Settled(name="p", first_change=0.0, forced=False, touches=2)]


def test_what_waits_is_listed_in_the_order_in_which_it_is_due() -> None:
    """For the status: name, since when, until when, how many changes."""
    settler = Settler(1.0, 60.0)
    settler.touched("late", 5.0)
    settler.touched("early", 4.0)
    settler.touched("early", 4.25)
    shown = [(one.name, one.first_change, one.due_at, one.touches) for one in settler.waiting()]
    assert shown == [("early", 4.0, 5.25, 2), ("late", 5.0, 6.0, 1)]


def test_many_changes_of_one_drop_cost_no_memory() -> None:
    """A copy of many files keeps one entry, not one per file."""
    settler = Settler(1.0, 60.0)
    for step in range(10_000):
        settler.touched("p", step / 10_000)
    assert len(settler._queue) == 1


@pytest.mark.parametrize(("quiet", "longest"), [(-1.0, 5.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_periods_that_contradict_each_other_are_refused(quiet: float, longest: float) -> None:
    """The quiet period lies between 0 and the longest wait."""
    with pytest.raises(ValueError, match="quiet period"):
        Settler(quiet, longest)


def test_what_is_open_waits_for_its_writer() -> None:
    """Quiet is not enough until it is closed, and the longest wait is the end of that."""
    settler = Settler(0.5, 30.0)
    settler.written("a.zip", 0.0)
    settler.written("b.zip", 0.0)
    assert settler.is_open("a.zip")
    assert settler.quiet_s("a.zip") is None
    assert settler.due(29.0) == []
    settler.arrived_whole("a.zip", 29.0)
    (whole,) = settler.due(29.0)
    assert (whole.name, whole.forced) == ("a.zip", False)
    (open_still,) = settler.due(30.0)
    assert (open_still.name, open_still.forced) == ("b.zip", True)


def test_what_arrives_whole_at_the_end_of_the_longest_wait_is_not_forced() -> None:
    """It is all there: should it turn out to be changed while it is read, that is waited for as always."""
    settler = Settler(0.5, 30.0)
    settler.touched("p", 0.0)
    settler.written("p", 0.25)
    settler.arrived_whole("p", 29.75)
    assert [one.forced for one in settler.due(29.75)] == [False]


def test_what_waits_can_be_asked_for_by_name() -> None:
    """From its first change until it is due; of any name."""
    settler = Settler(1.0, 60.0)
    settler.touched("p", 0.0)
    assert [settler.is_waiting("p"), settler.is_waiting("nobody"), settler.is_open("nobody")] == [True, False, False]
    settler.due(1.0)
    assert not settler.is_waiting("p")


def test_what_is_told_after_a_write_ends_the_waiting_for_the_writer() -> None:
    """It was removed or moved, or a scan found it: who wrote it may have closed it unseen."""
    settler = Settler(0.5, 30.0)
    settler.written("a.zip", 0.0)
    settler.touched("a.zip", 1.0)
    assert not settler.is_open("a.zip")
    assert settler.due(1.25) == []
    assert names(settler.due(1.5)) == ["a.zip"]
