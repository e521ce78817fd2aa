"""Emptying the outbox: decides which delivery may leave now, hands it to the sender, writes down what came of it.

The rows say what is still to be told; what is on its way right now is only known here, in memory, so that a daemon
that dies leaves nothing to be unlocked: the next one finds the delivery waiting and sends the same bytes again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from packd.domain.breaker import WELL, room, state
from packd.domain.deliveries import Outcome, Rules
from packd.domain.health import Pulse
from packd.domain.subscriptions import subscribes
from packd.flow.ledger import Attempted, Ledger
from packd.registry import housekeeping, queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.flow.clock import Clock
    from packd.registry.registry import Registry
    from packd.registry.rows import Delivery, Endpoint, Head, StoredEvent

log = structlog.get_logger(__name__)

_IN_FLIGHT_LIMIT: Final = 256  # POSTs under way at once, over all endpoints: a few that hang leave room for the rest
_IN_FLIGHT_PER_ENDPOINT: Final = 16  # so that one slow endpoint leaves room for the others


class Courier(Protocol):
    """Makes one attempt without blocking; `done` is called with what came of it, from any thread."""

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Callable[[Delivery, Outcome], None]) -> None: ...


class Dispatcher:
    """The dispatch thread: in order per lane, lanes side by side, one transaction for all that came back together.

    `on_attempt` is told of every attempt once it is written down; it must be quick and must not raise.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        courier: Courier,
        clock: Clock,
        rules: Rules | None = None,
        on_attempt: Attempted = lambda *_: None,
    ) -> None:
        self._registry = registry
        self._courier = courier
        self._clock = clock
        self._ledger = Ledger(registry=registry, clock=clock, rules=rules or Rules(), on_attempt=on_attempt)
        self._wake = threading.Condition()
        self._look = True  # something may be ready to leave
        self._next_due_s: float | None = None  # Unix seconds at which the next delivery becomes ready by itself
        self._in_flight: dict[tuple[str, str], int] = {}  # (endpoint, lane) → delivery id
        self._under_way: Counter[str] = Counter()  # endpoint → how many of these are its
        self._endpoints: dict[str, Endpoint] = {}  # as they were last looked at
        self._not_before: dict[str, float] = {}  # endpoint → Unix seconds, where a rate was asked for
        self._settled = 0  # how often something that came back was written down
        self._back: list[tuple[Delivery, Outcome]] = []
        self._busy = False  # looking for what may leave, or writing down what came back
        self._moved_at = clock.monotonic()  # when that last began
        self._is_crowded = False  # more could have left than there was room for
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def follow(self, rules: Rules) -> None:
        """What is decided from now on follows these; what is planned stays planned."""
        self._ledger.follow(rules)

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events: there may be something to send."""
        with self._wake:
            # Endpoints are only known as they were last looked at: while they are looked at, every event counts.
            if self._look or self._busy or any(self._is_wanted(event) for event in events):
                self._look = True
                self._wake.notify()

    def wake(self) -> None:
        """An endpoint was changed, or a delivery by somebody's wish: look at both again."""
        with self._wake:
            self._look = True
            self._wake.notify()

    def stop(self, timeout_s: float) -> None:
        """Send nothing more; what is on its way gets `timeout_s` to come back and is written down."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
            self._wake.wait_for(lambda: not self._in_flight and not self._back, timeout_s)
            self._in_flight.clear()
            self._under_way.clear()
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=timeout_s)

    def wait_settled(self, seen: int, timeout_s: float) -> int:
        """Until more than `seen` attempts were written down, or time is up; returns how many there were."""
        with self._wake:
            self._wake.wait_for(lambda: self._settled > seen, timeout_s)
            return self._settled

    def wait_empty(self, timeout_s: float) -> bool:
        """Until nothing is ready to leave or on its way; False on time-out. For `run --once`."""
        with self._wake:
            return self._wake.wait_for(
                lambda: not (self._look or self._busy or self._in_flight or self._back), timeout_s
            )

    def clock_was_set(self, step_s: float) -> None:
        """Back: what was to wait for so-and-so-long waits for that long, and not until a moment that moved away.

        Forwards: what is due by now leaves now.
        """
        if step_s < 0:
            with self._registry.write() as tx:
                housekeeping.bring_forward(tx.connection, by_s=-step_s)
        self.wake()

    def pulse(self) -> Pulse:
        """It has something to do while it looks for what may leave and writes down what came back."""
        with self._wake:
            waiting_s = self._clock.monotonic() - self._moved_at if self._busy else 0.0
        return Pulse(part="dispatch", alive=self._thread.is_alive(), waiting_s=waiting_s)

    def turn(self) -> None:
        """Write down what came back and send what may leave: what the thread does whenever there is a reason to."""
        with self._wake:
            back, self._back = self._back, []
            asked, sending = self._look, not self._stopping
            self._look, self._busy, self._moved_at = False, True, self._clock.monotonic()
        try:
            goes_on = sending and self._send_following(back)
            self._settle(back)
            if sending and (asked or self._is_crowded or not goes_on):
                self._send_ready()
        finally:
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._look or self._back, self._until_due())
                if self._stopping and not self._in_flight and not self._back:
                    return
            try:
                self.turn()
            except Exception:
                log.exception("dispatch.failed")  # the rows still say what is to be sent
                self._next_due_s = self._clock.now() + 1.0

    def _until_due(self) -> float | None:
        return None if self._next_due_s is None else max(0.0, self._next_due_s - self._clock.now())

    # --- leaving -----------------------------------------------------------------------------------------------------

    def _send_ready(self) -> None:
        self._is_crowded = self._all_busy()
        if self._is_crowded:
            return  # whatever waits, none of it could leave; what comes back makes us look again
        now = self._clock.now()
        self._next_due_s = None
        with self._registry.read() as connection:
            self._endpoints = {one.name: one for one in queries.all_endpoints(connection)}
            rooms = {name: self._room(one, now) for name, one in self._endpoints.items()}
            self._is_crowded = any(most == 0 and self._under_way[name] for name, most in rooms.items())
            waiting = self._waiting(connection, {name: most for name, most in rooms.items() if most > 0}, now)
            chosen = self._choose(waiting, rooms, now)
            leaving = [queries.delivery(connection, head.id) for head in chosen]
        for delivery in leaving:
            if delivery is not None:
                self._leave(self._endpoints[delivery.endpoint], delivery, now)

    def _choose(self, waiting: list[Head], rooms: dict[str, int], now: float) -> list[Head]:
        """Those that leave now; their places are taken."""
        chosen = []
        for head in waiting:
            if (head.next_attempt_at_s or 0.0) > now:
                self._look_again_at(head.next_attempt_at_s)
            elif rooms[head.endpoint] > 0 and self._reserve(head):
                rooms[head.endpoint] -= 1
                chosen.append(head)
            elif not self._is_on_its_way(head):
                self._is_crowded = True
        return chosen

    def _send_following(self, back: list[tuple[Delivery, Outcome]]) -> bool:
        """What stands behind a delivery that arrived leaves at once: that one is written down meanwhile.

        Only for endpoints that are well and set no pace. A daemon that dies in between sends the first once more, and
        then what stood behind it: nobody hears of anything out of order for the first time. False: there may be more
        to send, or to wait for.
        """
        asking = {delivery.endpoint for delivery, outcome in back if not outcome.arrived or outcome.directive}
        arrived = [delivery for delivery, _ in back if delivery.endpoint not in asking]
        if not arrived:
            return False
        now = self._clock.now()
        with self._registry.read() as connection:
            endpoints = {one.name: one for one in queries.all_endpoints(connection) if _is_free(one, now)}
            ahead = [delivery for delivery in arrived if delivery.endpoint in endpoints]
            behind = [queries.delivery_behind(connection, delivery) for delivery in ahead]
        following = [delivery for delivery in behind if delivery is not None]
        ready = [delivery for delivery in following if (delivery.next_attempt_at_s or 0.0) <= now]
        for delivery in ready:
            with self._wake:
                self._in_flight[delivery.endpoint, delivery.lane] = delivery.id
            self._courier.carry(endpoints[delivery.endpoint], delivery, self._came_back)
        return len(ahead) == len(back) and len(ready) == len(following)

    def _is_wanted(self, event: StoredEvent) -> bool:
        """May somebody be told of it? What is not about a pack can be about a new endpoint, or a changed one."""
        return not event.subject.startswith("packs/") or any(
            subscribes(one.types, one.packs, event.type, event.subject, endpoint=one.name)
            for one in self._endpoints.values()
        )

    def _is_on_its_way(self, delivery: Head) -> bool:
        with self._wake:
            return (delivery.endpoint, delivery.lane) in self._in_flight

    def _room(self, endpoint: Endpoint, now: float) -> int:
        """How many deliveries may leave for it now; if none for a while, we look again then."""
        if endpoint.state != "enabled":
            return 0
        resting_s = endpoint.resting_until_s if state(endpoint.health, now) == "open" else None
        until_s = max(endpoint.paused_until_s or 0.0, resting_s or 0.0, self._not_before.get(endpoint.name, 0.0))
        if until_s > now:
            self._look_again_at(until_s)
            return 0
        most = 1 if endpoint.rate is not None else _IN_FLIGHT_PER_ENDPOINT
        return min(
            most,
            room(endpoint.health, now, in_flight=self._under_way[endpoint.name], most=_IN_FLIGHT_PER_ENDPOINT),
        )

    def _waiting(self, connection: Connection, rooms: dict[str, int], now: float) -> list[Head]:
        """What could leave, the most often tried first where only a few may; never a whole backlog without order."""
        probing = [name for name in rooms if state(self._endpoints[name].health, now) == "half_open"]
        lanes = {name for name in rooms if self._endpoints[name].ordering != "none"}
        waiting = queries.lane_heads(connection, [name for name in probing if name in lanes])
        for name in [name for name in rooms if name not in lanes or name not in probing]:
            most = rooms[name] + self._under_way[name]
            due = (queries.due_heads if name in lanes else queries.due_deliveries)(connection, name, now=now, most=most)
            if len(due) < most:
                soonest = queries.soonest_head if name in lanes else queries.soonest_attempt
                self._look_again_at(soonest(connection, name, now=now))
            else:
                self._is_crowded = True
            waiting += due
        return sorted(waiting, key=lambda one: (-one.attempts if one.endpoint in probing else 0, one.id))

    def _leave(self, endpoint: Endpoint, delivery: Delivery, now: float) -> None:
        if endpoint.rate is not None:
            following_s = max(self._not_before.get(endpoint.name, 0.0), now) + 1 / endpoint.rate
            self._not_before[endpoint.name] = following_s
            self._look_again_at(following_s)
        self._courier.carry(endpoint, delivery, self._came_back)

    def _look_again_at(self, moment_s: float | None) -> None:
        if moment_s is not None:
            self._next_due_s = min(moment_s, self._next_due_s or moment_s)

    def _all_busy(self) -> bool:
        with self._wake:
            full = len(self._in_flight) >= _IN_FLIGHT_LIMIT
            return full or all(self._under_way[name] >= _IN_FLIGHT_PER_ENDPOINT for name in self._endpoints or ("",))

    def _reserve(self, delivery: Head) -> bool:
        """At most one delivery of a lane is on its way."""
        with self._wake:
            mine = self._under_way[delivery.endpoint]
            full = len(self._in_flight) >= _IN_FLIGHT_LIMIT or mine >= _IN_FLIGHT_PER_ENDPOINT
            key = (delivery.endpoint, delivery.lane)
            if full or key in self._in_flight:
                return False
            self._in_flight[key] = delivery.id
            self._under_way[delivery.endpoint] += 1
            return True

    def _came_back(self, delivery: Delivery, outcome: Outcome) -> None:
        with self._wake:
            self._back.append((delivery, outcome))
            self._wake.notify()

    # --- coming back -------------------------------------------------------------------------------------------------

    def _settle(self, back: list[tuple[Delivery, Outcome]]) -> None:
        """What came back is written down, then the next of its lane may leave; if that fails, the same one again."""
        try:
            self._ledger.write_down(back, self._endpoints)
        finally:
            with self._wake:
                for delivery, _ in back:
                    key = (delivery.endpoint, delivery.lane)
                    if self._in_flight.get(key) == delivery.id:  # otherwise the one behind it is under way already
                        del self._in_flight[key]
                        self._under_way[delivery.endpoint] -= 1
                self._settled += len(back)
                self._wake.notify_all()


def _is_free(endpoint: Endpoint, now: float) -> bool:
    """May a delivery leave for it without any further thought?"""
    is_calm = endpoint.health == WELL and (endpoint.paused_until_s or 0.0) <= now
    return endpoint.state == "enabled" and endpoint.ordering != "none" and endpoint.rate is None and is_calm
