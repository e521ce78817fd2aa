"""Emptying the outbox: decides which delivery may leave now, hands it to the courier, writes down what came of it.

The rows say what is still to be told; what is on its way right now is only known here, in memory, so that a daemon
that dies leaves nothing to be unlocked: the next one finds the delivery waiting and sends the same bytes again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from packd.domain.breaker import room, state
from packd.domain.deliveries import Outcome, Rules
from packd.domain.failures import Code, Failure, for_log
from packd.domain.health import Pulse
from packd.domain.subscriptions import subscribes
from packd.flow.departures import AT_ONCE_EACH, Departures
from packd.flow.endpoint_health import overlook_absence
from packd.flow.ledger import Attempted, Ledger
from packd.registry import housekeeping, queries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from packd.flow.clock import Clock
    from packd.flow.departures import Gate
    from packd.registry.registry import Registry
    from packd.registry.rows import Delivery, Endpoint, StoredEvent

log = structlog.get_logger(__name__)

_TOGETHER_S: Final = 0.05  # arrivals of so long are written down together
_CLOCK_ROUND_S: Final = 30.0  # between two looks for what waits for a moment that the clock moved away
_AGAIN_S: Final = 1.0  # after a failure of our own
_LONGEST_S: Final = 86_400.0  # of one sleep: a rate may put the next delivery off for longer than a thread can wait


class Courier(Protocol):
    """Makes one attempt without blocking; `done` is called with what came of it, from any thread."""

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Callable[[Delivery, Outcome], None]) -> None: ...


class Dispatcher:
    """The dispatch thread: reads ahead what may leave, and writes down together what came back together.

    What stands behind an arrival leaves at once, from the courier's thread; the arrival is written down meanwhile. A
    daemon that dies in between sends the first once more, and then what stood behind it: nobody hears of anything out
    of order for the first time. Anything else than an arrival is written down before its endpoint hears more.

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
        self._anew = True  # endpoints, or what waits for them, may be other than they were read
        self._said: list[StoredEvent] = []  # committed since the last look
        self._departures = Departures()
        self._back: list[tuple[Delivery, Outcome]] = []
        self._back_since_s = 0.0  # monotonic; when the first of these came
        self._is_urgent = False  # something waits until they are written down
        self._next_due_s: float | None = None  # Unix seconds at which the next delivery becomes ready by itself
        self._settled = 0  # how often something that came back was written down
        self._busy = False  # looking for what may leave, or writing down what came back
        self._moved_at = clock.monotonic()  # when that last began
        self._clock_looked_at = clock.monotonic() - _CLOCK_ROUND_S
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)

    def start(self) -> None:
        overlook_absence(self._registry, now=self._clock.now())
        self._thread.start()

    def follow(self, rules: Rules) -> None:
        """What is decided from now on follows these; what is planned stays planned."""
        self._ledger.follow(rules)

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events: there may be something to send."""
        with self._wake:
            # Endpoints are only known as they were last looked at: while they are looked at, every event counts.
            if self._busy or (not self._anew and any(self._is_wanted(event) for event in events)):
                self._said += events
                self._wake.notify()

    def wake(self) -> None:
        """An endpoint was changed, or a delivery by somebody's wish: look at both again."""
        with self._wake:
            self._anew = True
            self._wake.notify()

    def stop(self, timeout_s: float) -> None:
        """Send nothing more; what is on its way gets `timeout_s` to come back and is written down."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
            self._wake.wait_for(lambda: not self._departures.under_way and not self._back, timeout_s)
            self._departures = Departures()
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
                lambda: not (self._anew or self._said or self._busy or self._back or self._departures), timeout_s
            )

    def clock_was_set(self, step_s: float) -> None:
        """Back: what was to wait for so-and-so-long waits for that long, and not until a moment that moved away.

        Forwards: what is due by now leaves now. Either way no endpoint has failed for any longer, or shorter.
        """
        with self._registry.write() as tx:
            housekeeping.overlook(tx.connection, for_s=step_s, now=self._clock.now())
            if step_s < 0:
                housekeeping.bring_forward(tx.connection, by_s=-step_s)
        self.wake()

    def mind_the_clock(self) -> None:
        """To be called now and then: a clock that was set forth and back unseen leaves nothing but waits too long."""
        if self._clock.monotonic() - self._clock_looked_at < _CLOCK_ROUND_S:
            return
        self._clock_looked_at = self._clock.monotonic()
        if self._ledger.pull_in() or self._next_due_s is not None:
            self.wake()

    def pulse(self) -> Pulse:
        """It has something to do while it looks for what may leave and writes down what came back."""
        with self._wake:
            waiting_s = self._clock.monotonic() - self._moved_at if self._busy else 0.0
        return Pulse(part="dispatch", alive=self._thread.is_alive(), waiting_s=waiting_s)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._has_reason() and (left_s := self._left_s()) != 0.0:
                    self._wake.wait(left_s)
                if self._stopping and not self._departures.under_way and not self._back:
                    return
                is_due = self._next_due_s is not None and self._next_due_s <= self._clock.now()
            try:
                self.turn(is_due=is_due)
            except Exception as failure:
                log.error("dispatch.failed", **for_log(failure))  # the rows still say what is to be sent
                with self._wake:
                    self._wake.wait_for(lambda: self._stopping, _AGAIN_S)

    def _has_reason(self) -> bool:
        if self._stopping:
            return not self._departures.under_way or self._is_urgent
        return self._is_urgent or self._anew or bool(self._said)

    def _left_s(self) -> float | None:
        """Until it is time to do something without any other reason; None: it never is."""
        left_s = None if self._next_due_s is None else min(max(0.0, self._next_due_s - self._clock.now()), _LONGEST_S)
        if not self._back:
            return None if self._stopping else left_s
        together_s = max(0.0, self._back_since_s + _TOGETHER_S - self._clock.monotonic())
        return together_s if left_s is None else min(left_s, together_s)

    def turn(self, *, is_due: bool = False) -> None:
        """Write down what came back and send what may leave: what the thread does whenever there is a reason to.

        `is_due`: it is time for something that had to wait. Without any reason everything is looked at anew.
        """
        with self._wake:
            back: list[tuple[Delivery, Outcome]] = []
            if not self._arrivals_can_wait(is_due):
                back, self._back = self._back, []
            urgent, self._is_urgent = self._is_urgent, False
            said, self._said = self._said, []
            anew = self._anew or not (back or said or is_due)
            self._anew, self._busy, self._moved_at = False, True, self._clock.monotonic()
        try:
            now = self._clock.now()
            # What leaves does not wait until plain arrivals are written down, unless it is looked for from the beginning.
            first = urgent or anew or (self._next_due_s is not None and self._next_due_s <= now)
            troubled = self._settle(back) if first else set()
            if not self._stopping:
                self._look(anew, said, troubled, now)
            if not first:
                self._settle(back)
        except BaseException:
            self.wake()
            raise
        finally:
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _arrivals_can_wait(self, is_due: bool) -> bool:
        """Only something new is to leave: it needs the processor first, and their time together is not over."""
        is_only_new = bool(self._said) and not (self._is_urgent or self._anew or self._stopping or is_due)
        return is_only_new and self._clock.monotonic() < self._back_since_s + _TOGETHER_S

    # --- coming back -------------------------------------------------------------------------------------------------

    def _came_back(self, delivery: Delivery, outcome: Outcome) -> None:
        """In the courier's thread."""
        with self._wake:
            if not self._back:
                self._back_since_s = self._clock.monotonic()
            self._back.append((delivery, outcome))
            goes_on = self._departures.came_back(delivery, arrived=outcome.arrived and outcome.directive is None)
            leaving = self._leaving()
            if not goes_on or self._departures.is_dry(delivery.endpoint):
                self._is_urgent = True
            if self._has_reason() or len(self._back) == 1:  # the first one begins the time for the others
                self._wake.notify_all()
        self._carry(leaving)

    def _settle(self, back: list[tuple[Delivery, Outcome]]) -> set[str]:
        """What came back is written down; the endpoints of which something had to be before anything else leaves.

        If there is no room for it, it waits here: a receiver need not hear of that. If it fails otherwise, the same
        ones leave again.
        """
        troubled: set[str] = set()
        endpoints = {name: gate.endpoint for name, gate in self._departures.gates.items()}
        ended = back
        try:
            self._ledger.write_down(back, endpoints)
        except Failure as failure:
            with self._wake:
                if failure.code == Code.UNAVAILABLE and not self._stopping:
                    self._back, ended = [*back, *self._back], []
            raise
        finally:
            with self._wake:
                for name, gate in self._departures.gates.items():
                    gate.endpoint = endpoints[name]
                for delivery, _ in ended:
                    if self._departures.written(delivery):
                        troubled.add(delivery.endpoint)
                self._settled += len(ended)
                self._wake.notify_all()
        return troubled

    # --- leaving -----------------------------------------------------------------------------------------------------

    def _leaving(self) -> list[tuple[Endpoint, Delivery]]:
        """All that may leave now; their places are taken."""
        if self._stopping or self._anew:
            return []
        leaving, now = [], self._clock.now()
        for gate, delivery in self._departures.leaving():
            if gate.endpoint.rate is not None:
                gate.not_before_s = max(_paced_until(gate, now), now) + 1 / gate.endpoint.rate
            leaving.append((gate.endpoint, delivery))
        return leaving

    def _carry(self, leaving: Iterable[tuple[Endpoint, Delivery]]) -> None:
        for endpoint, delivery in leaving:
            self._courier.carry(endpoint, delivery, self._came_back)

    def _look(self, anew: bool, said: list[StoredEvent], troubled: set[str], now: float) -> None:
        """Read what may leave next, and let it leave."""
        gates = self._departures.gates
        for gate in gates.values():
            gate.has_more = gate.has_more or any(_is_for(gate.endpoint, event) for event in said)
        changed = {
            name for name, gate in gates.items() if name in troubled or (gate.due_s is not None and gate.due_s <= now)
        }
        if anew or changed or any(self._room(gate) for gate in gates.values()):
            self._read(anew, changed, now)
        with self._wake:
            self._next_due_s = min((gate.due_s for gate in self._departures.gates.values() if gate.due_s), default=None)
            leaving = self._leaving()
        self._carry(leaving)

    def _read(self, anew: bool, changed: set[str], now: float) -> None:
        found: list[tuple[Gate, list[Delivery]]] = []
        with self._registry.read(durable=True) as connection:
            if anew:
                endpoints = queries.all_endpoints(connection)
                with self._wake:
                    self._departures.follow(endpoints)
            for name, gate in self._departures.gates.items():
                if anew or name in changed:
                    self._open(connection, gate, now)
                found.append((gate, self._read_ahead(connection, gate, now)))
        with self._wake:
            for gate, deliveries in found:
                self._departures.stand(gate, deliveries)

    def _room(self, gate: Gate) -> int:
        """How many should be read for it now."""
        return gate.takes(self._departures.most_standing if gate.endpoint.rate is None else 1)

    def _open(self, connection: Connection, gate: Gate, now: float) -> None:
        """Say how many may leave there now; if none for a while, we look again then."""
        endpoint = gate.endpoint
        resting_s = endpoint.resting_until_s if state(endpoint.health, now) == "open" else None
        until_s = max(endpoint.paused_until_s or 0.0, resting_s or 0.0, _paced_until(gate, now))
        with self._wake:
            gate.begin_anew()
            if endpoint.state != "enabled" or until_s > now:
                gate.most, gate.due_s = 0, until_s if endpoint.state == "enabled" else None
                return
            most = 1 if endpoint.rate is not None else AT_ONCE_EACH
            gate.most = room(endpoint.health, now, in_flight=0, most=most)
            gate.is_calm = endpoint.is_well and endpoint.rate is None
        gate.due_s = queries.soonest_attempt(connection, endpoint.name, now=now)

    def _read_ahead(self, connection: Connection, gate: Gate, now: float) -> list[Delivery]:
        most = self._room(gate)
        if not most:
            return []
        if state(gate.endpoint.health, now) == "half_open":
            if gate.away or gate.standing:
                return []
            gate.has_more = False
            return _most_tried(connection, gate.endpoint, now)
        found = queries.waiting_deliveries(connection, gate.endpoint.name, after=gate.read_up_to, now=now, most=most)
        gate.has_more = len(found) == most
        gate.read_up_to = found[-1].event_seq if found else gate.read_up_to
        return found

    def _is_wanted(self, event: StoredEvent) -> bool:
        """May somebody be told of it? What is not about a pack can be about a new endpoint, or a changed one."""
        return not event.subject.startswith("packs/") or any(
            _is_for(gate.endpoint, event) for gate in self._departures.gates.values()
        )


def _is_for(endpoint: Endpoint, event: StoredEvent) -> bool:
    return subscribes(endpoint.types, endpoint.packs, event.type, event.subject, endpoint=endpoint.name)


def _most_tried(connection: Connection, endpoint: Endpoint, now: float) -> list[Delivery]:
    """The one that goes ahead: what a person waits for, else so that trouble is told when its schedule says so."""
    if trial := queries.untried_trial(connection, endpoint.name):
        return [trial]
    if endpoint.ordering == "none":
        first = queries.waiting_deliveries(connection, endpoint.name, after=0, now=now, most=AT_ONCE_EACH)
        return sorted(first, key=lambda one: -one.attempts)[:1]
    due = [one for one in queries.lane_heads(connection, endpoint.name) if (one.next_attempt_at_s or 0.0) <= now]
    chosen = min(due, key=lambda one: (-one.attempts, one.id), default=None)
    found = chosen and queries.delivery(connection, chosen.id)
    return [found] if found else []


def _paced_until(gate: Gate, now: float) -> float:
    """When its pace lets the next one leave; a moment much further off was set by a clock that was ahead."""
    rate = gate.endpoint.rate
    return gate.not_before_s if rate is not None and gate.not_before_s - now < 1 / rate + 1.0 else 0.0
