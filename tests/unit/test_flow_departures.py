"""What stands ready to leave: in order per lane, endpoints in turns, and nothing behind what has to be written down."""

from __future__ import annotations

import pytest

from packd.flow import departures
from packd.flow.departures import AT_ONCE, AT_ONCE_EACH, Departures
from packd.registry.rows import Delivery
from tests.unit.registry_ground import an_endpoint


def a_delivery(number: int, lane: str, endpoint: str = "ops") -> Delivery:
    """Number `number` of this endpoint."""
    return Delivery(
        id=number + 1000 * len(endpoint),
        endpoint=endpoint,
        event_seq=number,
        event_id=f"evt_{number}",
        event_type="pack.updated",
        subject=lane,
        endpoint_seq=number,
        lane=lane,
        body=b"{}",
        state="pending",
        attempts=0,
        earlier_attempts=0,
        next_attempt_at_s=None,
        last_error=None,
        created_at="2026-01-31T08:05:09.120Z",
        finished_at=None,
    )


def opened(*names: str, most: int = AT_ONCE_EACH) -> Departures:
    """These endpoints are well and take as many at once."""
    made = Departures()
    made.follow([an_endpoint(name) for name in names])
    for gate in made.gates.values():
        gate.most, gate.is_calm = most, True
    return made


def stand(made: Departures, *found: Delivery) -> None:
    for delivery in found:
        made.stand(made.gates[delivery.endpoint], [delivery])


def left(made: Departures) -> list[tuple[str, int]]:
    return [(gate.endpoint.name, delivery.endpoint_seq) for gate, delivery in made.leaving()]


def test_one_of_a_lane_at_a_time() -> None:
    """An arrival lets the next one leave; other lanes do not wait for it."""
    made = opened("ops")
    first, second, other = a_delivery(1, "a"), a_delivery(2, "a"), a_delivery(3, "b")
    stand(made, first, second, other)
    assert left(made) == [("ops", 1), ("ops", 3)]
    assert made.came_back(other, arrived=True)
    assert left(made) == []
    assert made.came_back(first, arrived=True)
    assert left(made) == [("ops", 2)]


def test_nothing_leaves_behind_a_failure_until_it_is_written_down() -> None:
    """Not of other lanes either: the endpoint may be paused, resting or disabled by it."""
    made = opened("ops")
    first, second, other = a_delivery(1, "a"), a_delivery(2, "b"), a_delivery(3, "b")
    stand(made, first, second, other)
    assert left(made) == [("ops", 1), ("ops", 2)]
    assert not made.came_back(first, arrived=False)
    stand(made, a_delivery(4, "c"))
    assert made.came_back(second, arrived=True)
    assert left(made) == []
    assert made.written(first)
    assert not made.written(second)
    stand(made, other)
    assert left(made) == [("ops", 3)]


def test_what_left_is_not_read_once_more_until_it_is_written_down() -> None:
    """The registry still says that it waits."""
    made = opened("ops")
    first = a_delivery(1, "a")
    stand(made, first)
    assert left(made) == [("ops", 1)]
    stand(made, first)
    assert made.came_back(first, arrived=True)
    stand(made, first)
    assert left(made) == []
    made.written(first)
    assert not made


def test_endpoints_leave_in_turns_and_share_the_room() -> None:
    """One with a long backlog leaves room for the others."""
    names = [f"e{number:02}" for number in range(AT_ONCE // AT_ONCE_EACH + 1)]
    made = opened(*names)
    for name in names:
        stand(made, *(a_delivery(number, f"lane{number}", name) for number in range(1, 31)))
    leaving = list(made.leaving())
    assert [gate.endpoint.name for gate, _ in leaving[: len(names)]] == names
    assert len(leaving) == made.under_way == AT_ONCE
    counts = [len(gate.away) for gate in made.gates.values()]
    assert max(counts) - min(counts) <= 1
    gate, delivery = leaving[0]
    assert made.came_back(delivery, arrived=True)
    assert [other.endpoint.name for other, _ in made.leaving()] != [gate.endpoint.name]


def test_little_is_kept_in_memory_however_many_endpoints_there_are() -> None:
    """What is read ahead is bounded over all of them."""
    for count in (1, 50, 5000):
        made = opened(*(f"e{number}" for number in range(count)))
        assert 1 <= made.most_standing <= departures._STANDING_EACH
        assert made.most_standing * count <= max(departures._STANDING, count)


def test_what_comes_back_after_it_was_given_up_changes_nothing() -> None:
    """A daemon that stops does not wait for ever."""
    made = opened("ops")
    assert not made.came_back(a_delivery(1, "a"), arrived=True)
    assert not made.written(a_delivery(1, "a"))
    assert made.under_way == 0


def test_nothing_leaves_for_an_endpoint_that_is_gone() -> None:
    """Though it stood ready when the endpoint was removed, and waited for its turn; one that is added anew reads anew."""
    made = opened("old", "ops")
    stand(made, a_delivery(1, "a", "old"), a_delivery(2, "b", "old"), a_delivery(1, "a"))
    made.follow([])
    assert left(made) == []
    assert not made
    made = opened("old")
    stand(made, a_delivery(1, "a", "old"))
    made.follow([])
    made.follow([an_endpoint("old")])
    made.gates["old"].most = 1
    stand(made, a_delivery(3, "c", "old"))
    assert left(made) == [("old", 3)]


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("back", ["before", "after"])
def test_an_endpoint_that_goes_gives_back_its_places(arrived: bool, back: str) -> None:
    """Whether what was under way to it came back before or after it was gone, and however it ended: once each."""
    made = opened("old", "ops")
    first, second = a_delivery(1, "a", "old"), a_delivery(2, "a", "old")
    stand(made, first, second)
    assert left(made) == [("old", 1)]
    if back == "before":
        made.came_back(first, arrived=arrived)
    made.follow([an_endpoint("ops")])
    if back == "after":
        made.came_back(first, arrived=arrived)
    assert left(made) == []
    made.written(first)
    made.follow([an_endpoint("ops")])
    assert made.under_way == 0
    assert not made
    assert made.gates.keys() == {"ops"}
