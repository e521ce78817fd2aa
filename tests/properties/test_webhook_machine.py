"""Whatever receivers answer and people do, in whatever order, with crashes between: nothing is lost, changed or hurried.

A machine of random steps over the real dispatcher, the real commands and the real registry. Only time and the network
are the machine's own: it decides what comes back, when, and whether the daemon is still there to hear it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from packd.domain.breaker import OPENS_AFTER, state
from packd.domain.deliveries import Outcome, Rules
from packd.domain.failures import Failure
from packd.domain.subscriptions import TRIAL, subscribes
from packd.flow.dispatch import Dispatcher
from packd.flow.endpoints import follow_configuration
from packd.flow.webhooks import Webhooks
from packd.registry import outbox, queries
from packd.registry.database import Database, sqlite_url
from tests.unit.registry_ground import Ground, Time, an_endpoint, discovered

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.registry.rows import Delivery, Endpoint

pytestmark = pytest.mark.timeout(300)  # ten seconds of work; on a busy machine much more

REFS = ("a", "b")
NAMES = ("lanes", "strict", "loose", "file")
RULES = Rules(schedule=(0.0, 5.0, 60.0, 600.0, 3600.0), disable_after_s=86_400.0)
GOOD = Outcome(status=204)
BAD = Outcome(error="connection refused by x:1")

NAME = st.sampled_from(NAMES)
ANSWERS = st.sampled_from((
    GOOD, GOOD, BAD, BAD, BAD, Outcome(status=500), Outcome(status=200, content_type="text/html"), Outcome(status=302),
    Outcome(status=429, retry_after_s=120.0), Outcome(status=503, retry_after_s=10**9), Outcome(status=410),
    Outcome(status=200, directive="disable"), Outcome(status=422, directive="abort-message"),
))  # fmt: skip


@dataclass
class Postman:
    """Takes what leaves and keeps it until the machine answers; looks at each, as it leaves, with `inspect`."""

    inspect: Callable[[Endpoint, Delivery], None]
    under_way: list[tuple[Delivery, Any]] = field(default_factory=list)

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Any) -> None:
        self.inspect(endpoint, delivery)
        self.under_way.append((delivery, done))


class WebhookMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="webhooks-"))
        database = Database(sqlite_url(self.folder))
        database.prepare()
        self.ground = Ground(sqlite_url(self.folder), database)
        self.time = Time(self.ground)
        self.bytes: dict[tuple[str, str], bytes] = {}  # (endpoint, event) → what was sent first
        self.was_away: set[str] = set()  # endpoints that were not there for a while, and are not told of that time
        self.arriving: set[int] = set()  # deliveries that arrived and may not be written down yet
        self.arrived: set[tuple[str, str]] = set()  # what a receiver has answered with 2xx
        with self.ground.registry.write() as tx:
            for name, ordering in zip(NAMES, ("pack", "strict", "none", "pack"), strict=True):
                origin = "config" if name == "file" else "api"
                outbox.save_endpoint(
                    tx.connection, an_endpoint(name, ordering=ordering, origin=origin, types=("*",), headers=())
                )
        self.begin()

    def begin(self) -> None:
        """As a daemon begins: what was under way is known to nobody any more."""
        self.postman = Postman(self.leaves)
        self.dispatcher = Dispatcher(
            registry=self.ground.registry,
            courier=self.postman,
            clock=self.time,
            rules=RULES,  # type: ignore[arg-type]
        )
        self.webhooks = Webhooks(registry=self.ground.registry, dispatcher=self.dispatcher, clock=self.time)  # type: ignore[arg-type]
        self.dispatcher.turn()

    def teardown(self) -> None:
        if hasattr(self, "webhooks"):
            self.everything_arrives_in_the_end()
            self.ground.database.close()
            shutil.rmtree(self.folder)

    # --- what must hold whenever something leaves ----------------------------------------------------------------------

    def leaves(self, endpoint: Endpoint, delivery: Delivery) -> None:
        now = self.ground.now_s
        current = self.endpoint(endpoint.name)
        assert current.state == "enabled"
        assert state(current.health, now) != "open", "an attempt is spent while the breaker is open"
        assert (current.paused_until_s or 0.0) <= now, "it asked to be left alone"
        assert (delivery.next_attempt_at_s or 0.0) <= now, "too early"
        mine = [one for one, _ in self.postman.under_way if one.endpoint == endpoint.name]
        assert delivery.lane not in {one.lane for one in mine}, "two of one lane are on their way"
        if current.ordering == "pack" and delivery.event_type != TRIAL:  # which waits for no other one
            assert delivery.subject not in {one.subject for one in mine}, "two about one pack are on their way"
        if state(current.health, now) == "half_open":
            assert not mine, "one is enough to find out"
        first = self.bytes.setdefault((endpoint.name, delivery.event_id), delivery.body)
        assert first == delivery.body, "other bytes under the same id"
        before = [
            one
            for one in self.deliveries()
            if (one.endpoint, one.lane, one.state) == (delivery.endpoint, delivery.lane, "pending")
            and one.event_seq < delivery.event_seq
        ]
        assert {one.id for one in before} <= self.arriving, "not the first of its lane"

    # --- steps ---------------------------------------------------------------------------------------------------------

    @rule(ref=st.sampled_from(REFS), times=st.integers(1, 3))
    def something_happens(self, ref: str, times: int) -> None:
        for _ in range(times):
            with self.ground.registry.write() as tx:
                tx.emit(discovered(ref), correlation_id="chg_1")
        self.dispatcher.turn()

    @precondition(lambda self: self.postman.under_way)
    @rule(which=st.integers(0, 30), answer=ANSWERS)
    def one_comes_back(self, which: int, answer: Outcome) -> None:
        delivery, done = self.postman.under_way.pop(which % len(self.postman.under_way))
        self.note(delivery, answer)
        done(delivery, answer)
        self.turn()

    def turn(self) -> None:
        self.dispatcher.turn()
        self.arriving.clear()

    @precondition(lambda self: self.postman.under_way)
    @rule(answer=ANSWERS)
    def all_come_back(self, answer: Outcome) -> None:
        under_way, self.postman.under_way = self.postman.under_way, []
        for delivery, done in under_way:
            self.note(delivery, answer)
            done(delivery, answer)
        self.turn()

    @rule(name=NAME)
    def one_is_down_for_a_while(self, name: str) -> None:
        """What leaves for it comes back failed, over and over, as it becomes due."""
        for _ in range(OPENS_AFTER + 3):
            mine = [one for one in self.postman.under_way if one[0].endpoint == name]
            self.postman.under_way = [one for one in self.postman.under_way if one[0].endpoint != name]
            for delivery, done in mine:
                done(delivery, BAD)
            self.dispatcher.turn()
            self.ground.now_s += 70.0
            self.dispatcher.turn()

    @rule(seconds=st.sampled_from((0.0, 5.0, 61.0, 300.0, 4000.0, 90_000.0)))
    def time_goes_by(self, seconds: float) -> None:
        self.ground.now_s += seconds
        self.dispatcher.turn()

    @rule()
    def the_daemon_is_killed(self) -> None:
        """An answer that nobody heard is as good as none."""
        self.begin()

    @rule(
        name=NAME, step=st.sampled_from(("enable", "disable", "rotate", "remove", "recover", "replay", "again", "test"))
    )
    def somebody_does_something(self, name: str, step: str) -> None:
        since = "2020-01-01T00:00:00.000Z"
        steps: dict[str, Callable[[], object]] = {
            "enable": lambda: self.webhooks.enable(name, actor="a test"),
            "disable": lambda: self.webhooks.disable(name, actor="a test"),
            "rotate": lambda: self.webhooks.rotate(name),
            "remove": lambda: self.webhooks.remove(name),
            "recover": lambda: self.webhooks.recover(name, since=since),
            "replay": lambda: self.webhooks.replay(name, since=since),
            "again": lambda: self.webhooks.create(replace(an_endpoint(name, types=("*",), origin="api"), secret="")),
            "test": lambda: self.webhooks.test(name, wait_s=0),
        }
        if step == "remove":
            self.was_away.add(name)
        try:
            steps[step]()
        except Failure as refused:
            assert refused.sentence
        self.dispatcher.turn()

    @rule(
        listed=st.booleans(),
        url=st.sampled_from(("https://file.example/in", "https://new.example/in")),
        ordering=st.sampled_from(("pack", "strict", "none")),
    )
    def the_configuration_is_read_again(self, listed: bool, url: str, ordering: str) -> None:
        if not listed:
            self.was_away.add("file")
        wanted = [an_endpoint("file", types=("*",), headers=(), url=url, ordering=ordering)] if listed else []
        follow_configuration(self.ground.registry, wanted, clock=self.time)  # type: ignore[arg-type]
        self.dispatcher.turn()

    @precondition(lambda self: self.deliveries())
    @rule(which=st.integers(0, 1000))
    def one_is_sent_again(self, which: int) -> None:
        found = self.deliveries()
        try:
            self.webhooks.resend(found[which % len(found)].id)
        except Failure as refused:
            assert "there is no endpoint" in refused.sentence
        self.dispatcher.turn()

    # --- what must hold always -------------------------------------------------------------------------------------------

    @invariant()
    def places_have_no_gap(self) -> None:
        if not hasattr(self, "ground"):
            return
        with self.ground.registry.read() as connection:
            endpoints = {one.name: one for one in queries.every_endpoint_ever(connection)}
        places: dict[str, list[int]] = {name: [] for name in endpoints}
        for one in self.deliveries():
            places[one.endpoint].append(one.endpoint_seq)
            assert json.loads(one.body)["endpoint_seq"] == one.endpoint_seq
        for name, found in places.items():
            assert sorted(found) == list(range(1, endpoints[name].last_endpoint_seq + 1))

    @invariant()
    def what_was_told_is_known(self) -> None:
        if not hasattr(self, "ground"):
            return
        for one in self.deliveries():
            assert one.attempts <= len(RULES.schedule)
            assert (one.state == "delivered") <= ((one.endpoint, one.event_id) in self.arrived)
            assert (one.finished_at is None) == (one.state == "pending")
            with self.ground.registry.read() as connection:
                log = queries.attempts_of(connection, one.id)
            assert [row["number"] for row in log] == list(range(1, one.attempts + one.earlier_attempts + 1))
            assert all(row["reason"] for row in log)

    def everything_arrives_in_the_end(self) -> None:
        """Once receivers are well, everything that the endpoints that are there asked for arrives."""
        with self.ground.registry.read() as connection:
            there = [one.name for one in queries.all_endpoints(connection)]
        for name in there:
            self.webhooks.enable(name, actor="a test")
            self.webhooks.recover(name, since="2020-01-01T00:00:00.000Z")
        for _ in range(2000):
            under_way, self.postman.under_way = self.postman.under_way, []
            for delivery, done in under_way:
                self.note(delivery, GOOD)
                done(delivery, GOOD)
            self.dispatcher.turn()
            if not self.postman.under_way:
                self.ground.now_s += 86_400.0
                self.dispatcher.turn()
            if not self.postman.under_way:
                break
        left = [one for one in self.deliveries() if one.endpoint in there and one.state != "delivered"]
        assert not left, left
        with self.ground.registry.read() as connection:
            events = queries.events_after(connection, 0, limit=100_000)
        counts = Counter((one.endpoint, one.event_id) for one in self.deliveries())
        assert not counts or max(counts.values()) == 1
        for name in set(there) - self.was_away:
            one = self.endpoint(name)
            for event in events:
                if subscribes(one.types, one.packs, event.type, event.subject, endpoint=name):
                    assert counts[name, event.id] == 1, (name, event.type)

    # --- looking ---------------------------------------------------------------------------------------------------------

    def note(self, delivery: Delivery, answer: Outcome) -> None:
        if answer.arrived:
            self.arrived.add((delivery.endpoint, delivery.event_id))
            self.arriving.add(delivery.id)

    def endpoint(self, name: str) -> Endpoint:
        with self.ground.registry.read() as connection:
            found = queries.endpoint(connection, name)
        assert found is not None
        return found

    def deliveries(self) -> list[Delivery]:
        with self.ground.registry.read() as connection:
            return queries.delivery_page(connection, queries.DeliveryChoice(), offset=0, limit=100_000)


TestWebhooks = WebhookMachine.TestCase
TestWebhooks.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
