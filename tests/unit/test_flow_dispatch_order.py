"""Which delivery leaves when, with couriers that answer at once, and out of order from several threads."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from packd.domain.deliveries import Outcome, Rules
from packd.flow.clock import Clock
from packd.flow.dispatch import Dispatcher
from packd.registry import outbox, queries
from packd.registry.rows import Delivery, Endpoint
from tests.unit.registry_ground import Ground, Time, an_endpoint, discovered, made_ground
from tests.waiting import wait_until


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with made_ground("sqlite", tmp_path) as ground:
        yield ground


class Answering:
    """Everything arrives but what `fails` says, which fails the first time; notes what was still waiting then."""

    def __init__(self, ground: Ground, fails: int = 0) -> None:
        self._ground = ground
        self._fails = fails
        self.carried: list[int] = []
        self.pending: list[int] = []  # how many were not written down as delivered when each left

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Callable[[Delivery, Outcome], None]) -> None:
        with self._ground.registry.read() as connection:
            self.pending.append(queries.delivery_counts(connection)[endpoint.name].get("pending", 0))
        self.carried.append(delivery.endpoint_seq)
        first = self.carried.count(delivery.endpoint_seq) == 1
        done(delivery, Outcome(status=500 if first and delivery.endpoint_seq == self._fails else 204))


def told(ground: Ground, courier: Answering, refs: list[str], ordering: str = "pack") -> Dispatcher:
    """After everything that could leave has left."""
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint(ordering=ordering))
        for ref in refs:
            tx.emit(discovered(ref), correlation_id="chg_1")
    dispatcher = Dispatcher(registry=ground.registry, courier=courier, clock=Clock())
    dispatcher.start()
    assert dispatcher.wait_empty(30.0)
    dispatcher.stop(5.0)
    return dispatcher


def test_the_next_of_a_lane_leaves_before_the_first_is_written_down(ground: Ground) -> None:
    """An arrival makes room for what stands behind it; a transaction for it need not be waited for."""
    courier = Answering(ground)
    told(ground, courier, ["a", "a"])
    assert courier.carried == [1, 2]
    assert courier.pending == [2, 2]
    with ground.registry.read() as connection:
        assert queries.delivery_counts(connection) == {"ops": {"delivered": 2}}


def test_every_delivery_of_a_lane_leaves_once_and_in_order(ground: Ground) -> None:
    """However many there are."""
    courier = Answering(ground)
    told(ground, courier, ["a", "b"] * 10)
    assert sorted(courier.carried) == list(range(1, 21))
    assert [number for number in courier.carried if number % 2] == list(range(1, 20, 2))


def test_nothing_leaves_behind_what_failed(ground: Ground) -> None:
    """It is tried again later, and its lane waits for it."""
    courier = Answering(ground, fails=1)
    told(ground, courier, ["a", "a", "b"])
    assert sorted(courier.carried) == [1, 3]


@pytest.mark.parametrize("ordering", ["pack", "strict"])
def test_what_an_endpoint_was_not_there_for_leaves_before_what_came_later(ground: Ground, ordering: str) -> None:
    """Told again, an endpoint hears of a pack as it happened: what it is told last is how things are."""
    for subscribed in (False, True):
        with ground.registry.write() as tx:
            if subscribed:
                outbox.save_endpoint(tx.connection, an_endpoint(ordering=ordering))
            for _ in range(2):
                tx.emit(discovered("a"), correlation_id="chg_1")
    with ground.registry.write() as tx:
        assert tx.tell_again("ops", since="2020-01-01T00:00:00.000Z") == 4
    courier = Answering(ground)
    told(ground, courier, [], ordering=ordering)
    assert courier.carried == [3, 4, 1, 2]


def test_a_rate_of_one_in_centuries_holds_up_nobody_else(ground: Ground) -> None:
    """That is longer than a thread can wait at once: others still hear of what happens meanwhile."""
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint("slow", rate=1e-11))
        outbox.save_endpoint(tx.connection, an_endpoint("other"))
        tx.emit(discovered("a"), correlation_id="chg_1")
        tx.emit(discovered("a"), correlation_id="chg_1")
    dispatcher = Dispatcher(registry=ground.registry, courier=Answering(ground), clock=Clock())
    dispatcher.start()
    assert dispatcher.wait_empty(30.0)
    with ground.registry.write() as tx:
        tx.emit(discovered("a"), correlation_id="chg_1")
    dispatcher.wake()
    wait_until(lambda: delivered(ground, "other") == 3, "the third to arrive")
    assert delivered(ground, "slow") == 1
    dispatcher.stop(5.0)


def delivered(ground: Ground, name: str) -> int:
    with ground.registry.read() as connection:
        return queries.delivery_counts(connection)[name].get("delivered", 0)


def test_an_arrival_is_not_written_down_in_the_moment_in_which_something_new_leaves(ground: Ground) -> None:
    """But a little later, once, together with what arrived meanwhile."""
    courier = Answering(ground)
    clock: Any = Time(ground)
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint())
    dispatcher = Dispatcher(registry=ground.registry, courier=courier, clock=clock)
    dispatcher.turn()

    def say(ref: str) -> None:
        with ground.registry.write() as tx:
            tx.emit(discovered(ref), correlation_id="chg_1")
        with ground.registry.read() as connection:
            dispatcher.committed(tuple(queries.events_after(connection, 0, limit=10)[-1:]))
        dispatcher.turn()

    for ref in ("a", "b", "a"):
        say(ref)
    assert courier.carried == [1, 2, 3]
    assert attempts(ground) == []
    ground.now_s += 1.0
    dispatcher.turn()
    assert attempts(ground) == [1, 1, 1]


def attempts(ground: Ground) -> list[int]:
    """How many were written down for each delivery that was tried."""
    with ground.registry.read() as connection:
        return [one.attempts for one in queries.deliveries_to(connection, "ops", limit=100) if one.attempts]


class Chaotic:
    """Answers in whatever order, a tenth of it with a failure; notes in which order they left first."""

    def __init__(self) -> None:
        self._chance = random.Random(4711)
        self._pool = ThreadPoolExecutor(8)
        self._on_the_way: set[tuple[str, str]] = set()
        self.first_left: dict[tuple[str, str], list[int]] = defaultdict(list)  # (endpoint, lane) → places
        self.faults: list[str] = []

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Callable[[Delivery, Outcome], None]) -> None:
        key = (endpoint.name, delivery.lane)
        if key in self._on_the_way:
            self.faults.append(f"two of {key} at once")
        self._on_the_way.add(key)
        if delivery.endpoint_seq not in self.first_left[key]:
            self.first_left[key].append(delivery.endpoint_seq)
        self._pool.submit(self._answer, key, delivery, done)

    def _answer(self, key: tuple[str, str], delivery: Delivery, done: Callable[[Delivery, Outcome], None]) -> None:
        self._on_the_way.discard(key)
        done(delivery, Outcome(status=500 if self._chance.random() < 0.1 else 204))

    def close(self) -> None:
        self._pool.shutdown()


@pytest.mark.parametrize("ordering", ["pack", "strict"])
def test_order_holds_while_answers_come_from_several_threads(ground: Ground, ordering: str) -> None:
    """One of a lane at a time, and each for the first time behind those before it, whatever fails and is tried again."""
    courier = Chaotic()
    dispatcher = Dispatcher(
        registry=ground.registry, courier=courier, clock=Clock(), rules=Rules(schedule=(0.0, *[0.001] * 50), jitter=0.0)
    )
    ground.registry.on_commit(dispatcher.committed)
    with ground.registry.write() as tx:
        for name in ("ops", "other"):
            outbox.save_endpoint(tx.connection, an_endpoint(name, ordering=ordering))
    dispatcher.start()
    try:
        for number in range(300):
            with ground.registry.write() as tx:
                tx.emit(discovered(f"p{number % 7}"), correlation_id="chg_1")
        seen = 0
        while (counts := counted(ground)) != {"delivered": 600}:
            assert set(counts) <= {"pending", "delivered"}, counts
            seen = dispatcher.wait_settled(seen, 30.0)
    finally:
        dispatcher.stop(5.0)
        courier.close()
    assert courier.faults == []
    assert all(places == sorted(places) for places in courier.first_left.values())
    assert sum(len(places) for places in courier.first_left.values()) == 600


def counted(ground: Ground) -> dict[str, int]:
    """Both endpoints together, by state."""
    with ground.registry.read() as connection:
        found = queries.delivery_counts(connection).values()
    return {state: sum(one.get(state, 0) for one in found) for one in found for state in one}


class Waiting:
    """Answers when it is told to; notes what left."""

    def __init__(self) -> None:
        self.left: list[int] = []
        self.under_way: list[tuple[Delivery, Callable[[Delivery, Outcome], None]]] = []

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Callable[[Delivery, Outcome], None]) -> None:
        self.left.append(delivery.endpoint_seq)
        self.under_way.append((delivery, done))

    def answer(self, status: int) -> None:
        under_way, self.under_way = self.under_way, []
        for delivery, done in under_way:
            done(delivery, Outcome(status=status))


@pytest.mark.parametrize("before", ["pack", "strict", "none"])
@pytest.mark.parametrize("after", ["pack", "strict"])
def test_order_holds_when_another_one_is_asked_for(ground: Ground, before: str, after: str) -> None:
    """What comes then leaves behind what failed under the former one, and behind what is just on its way."""
    postman = Waiting()
    clock: Any = Time(ground)
    dispatcher = Dispatcher(registry=ground.registry, courier=postman, clock=clock, rules=Rules(jitter=0.0))

    def say(ordering: str) -> None:
        with ground.registry.write() as tx:
            outbox.save_endpoint(tx.connection, an_endpoint(ordering=ordering))
            tx.emit(discovered("a"), correlation_id="chg_1")
        dispatcher.wake()
        dispatcher.turn()

    say(before)
    say(after)
    assert postman.left == [1]
    postman.answer(500)
    dispatcher.turn()
    say(after)
    assert postman.left == [1]
    ground.now_s += 5.0
    dispatcher.turn()
    while postman.under_way:
        postman.answer(204)
        dispatcher.turn()
    assert postman.left == [1, 1, 2, 3]
