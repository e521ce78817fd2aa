"""Emptying the outbox, turn by turn, with a clock and a courier that do what the test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from packd.domain.deliveries import Outcome, Rules
from packd.flow.announce import announce
from packd.flow.dispatch import Dispatcher
from packd.flow.endpoint_health import disabled as disabled_endpoints
from packd.flow.endpoints import ROTATION_S, follow_configuration
from packd.flow.webhooks import Webhooks
from packd.registry import outbox, queries
from packd.registry.full_disk import DiskFull
from packd.registry.registry import Registry
from packd.registry.rows import Delivery, Endpoint
from tests.unit.registry_ground import Ground, Time, an_endpoint, discovered, made_ground

BAD = Outcome(error="connection refused by x:1")
GOOD = Outcome(status=204)
DAY_S = 86_400.0


@dataclass
class Postman:
    """Keeps what leaves; `answers` says what comes back, by endpoint."""

    carried: list[tuple[Delivery, Any]] = field(default_factory=list)
    left: list[Delivery] = field(default_factory=list)

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Any) -> None:
        self.left.append(delivery)
        self.carried.append((delivery, done))


@dataclass
class Bench:
    """A dispatcher that moves when it is told to."""

    ground: Ground
    rules: Rules = field(default_factory=lambda: Rules(jitter=0.0))
    told: list[tuple[str, str]] = field(default_factory=list)  # (endpoint, outcome) of what was counted

    def __post_init__(self) -> None:
        self.postman = Postman()
        self.time = Time(self.ground)
        time: Any = self.time
        self.dispatcher = Dispatcher(registry=self.ground.registry, courier=self.postman, clock=time, rules=self.rules)
        self.webhooks = Webhooks(registry=self.ground.registry, dispatcher=self.dispatcher, clock=time)

    def save(self, *endpoints: Endpoint) -> None:
        with self.ground.registry.write() as tx:
            for endpoint in endpoints:
                outbox.save_endpoint(tx.connection, endpoint)

    def configure(self, *endpoints: Endpoint) -> None:
        clock: Any = self.time
        follow_configuration(self.ground.registry, endpoints, clock=clock)
        self.dispatcher.wake()

    def say(self, *refs: str) -> None:
        for ref in refs:
            with self.ground.registry.write() as tx:
                tx.emit(discovered(ref), correlation_id="chg_1")

    def go(self, answer: Outcome = GOOD, *, turns: int = 1, wait_s: float = 0.0) -> int:
        """What may leave leaves and comes back with this answer; returns how many attempts that were."""
        made = 0
        for _ in range(turns):
            self.ground.now_s += wait_s
            self.dispatcher.mind_the_clock()
            self.dispatcher.turn()
            carried, self.postman.carried = self.postman.carried, []
            for delivery, done in carried:
                done(delivery, answer)
            made += len(carried)
            self.dispatcher.turn()
        return made

    def endpoint(self, name: str = "ops") -> Endpoint:
        with self.ground.registry.read() as connection:
            found = queries.endpoint(connection, name)
        assert found is not None
        return found

    def deliveries(self, name: str = "ops") -> list[Delivery]:
        with self.ground.registry.read() as connection:
            return queries.deliveries_to(connection, name, limit=1000)[::-1]

    def events(self, beginning: str = "webhook.") -> list[dict[str, Any]]:
        with self.ground.registry.read() as connection:
            found = queries.events_after(connection, 0, limit=10_000)
        return [json.loads(one.body) for one in found if one.type.startswith(beginning)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with made_ground("sqlite", tmp_path) as ground:
        yield Bench(ground)


# --- a breaker that spends no attempts ---------------------------------------------------------------------------------


def test_a_dead_endpoint_costs_few_attempts_however_much_waits(bench: Bench) -> None:
    """A hundred packs, an hour: without the breaker three attempts each, with it about one every five minutes."""
    bench.save(an_endpoint())
    bench.say(*(f"p{number}" for number in range(100)))
    made = bench.go(BAD, turns=720, wait_s=5.0)
    assert made < 16 + 7 + 3600 / 300 + 1
    assert sum(one.attempts for one in bench.deliveries()) == made


def test_while_it_rests_no_delivery_loses_an_attempt(bench: Bench) -> None:
    """They wait where they were, and leave when one has gone ahead and arrived."""
    bench.save(an_endpoint())
    bench.say(*(f"p{number}" for number in range(8)))
    bench.go(BAD)
    tries = [one.attempts for one in bench.deliveries()]
    assert bench.go(BAD, turns=4, wait_s=1.0) == 0
    assert [one.attempts for one in bench.deliveries()] == tries
    assert bench.go(GOOD, wait_s=1.0) == 1
    bench.go(GOOD, turns=3, wait_s=5.0)
    assert {one.state for one in bench.deliveries()} == {"delivered"}
    assert bench.endpoint().failures == 0


def test_the_first_to_be_tried_again_is_the_most_often_tried(bench: Bench) -> None:
    """So that somebody is told of trouble after half an hour, as the schedule has it, and not after a day."""
    bench.save(an_endpoint())
    bench.say(*(f"p{number}" for number in range(50)))
    bench.go(BAD, turns=12 * 45, wait_s=5.0)
    assert {one["type"] for one in bench.events()} == {"webhook.delivery_failing"}


@pytest.mark.parametrize("ordering", ["pack", "none"])
def test_a_test_of_an_endpoint_that_fails_is_attempted_at_once(bench: Bench, ordering: str) -> None:
    """It rests, others wait for it, and so does a test before: who asks hears how the endpoint is now."""
    bench.save(an_endpoint(ordering=ordering))
    bench.say(*(f"p{number}" for number in range(40)))
    bench.go(BAD, turns=60, wait_s=5.0)
    bench.webhooks.test("ops", wait_s=0.0)  # and whoever asked first was not patient
    for answer in (BAD, BAD, GOOD):
        left = len(bench.postman.left)
        trial = bench.webhooks.test("ops", wait_s=0.0)
        assert bench.go(answer) == 1
        assert bench.postman.left[left].id == trial.id


def test_one_dead_endpoint_leaves_the_others_alone(bench: Bench) -> None:
    """They get theirs at once, in the same turn."""
    bench.save(an_endpoint("dead"), an_endpoint("well"))
    bench.say("a", "b")
    for _ in range(40):
        bench.dispatcher.turn()
        carried, bench.postman.carried = bench.postman.carried, []
        for delivery, done in carried:
            done(delivery, BAD if delivery.endpoint == "dead" else GOOD)
        bench.ground.now_s += 1
    assert {one.state for one in bench.deliveries("well")} == {"delivered"}
    assert {one.state for one in bench.deliveries("dead")} == {"pending"}


def test_an_endpoint_without_order_is_never_read_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand wait; a look reads a few ahead."""
    bench.save(an_endpoint(ordering="none"))
    bench.say(*(["a"] * 1000))
    asked = counted(monkeypatch)
    monkeypatch.setattr(queries, "lane_heads", lambda *_: pytest.fail("read by lanes"))
    assert bench.go(BAD) == 16
    assert bench.go(BAD, turns=30, wait_s=1.0) <= 3
    assert max(asked) <= 128


def test_many_lanes_are_read_a_few_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many packs wait, a look reads a few ahead, and in the end all have left."""
    bench.save(an_endpoint(), an_endpoint("other"))
    bench.say(*(f"p{number}" for number in range(200)))
    asked = counted(monkeypatch)
    assert bench.go(turns=14) == 400
    assert max(asked) <= 128


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many deliveries were read each time."""
    asked: list[int] = []
    real = queries.waiting_deliveries

    def counting(*arguments: Any, **more: Any) -> list[Delivery]:
        found = real(*arguments, **more)
        asked.append(len(found))
        return found

    monkeypatch.setattr(queries, "waiting_deliveries", counting)
    return asked


def test_a_full_endpoint_goes_on_while_another_waits_for_answers(bench: Bench) -> None:
    """Each arrival makes room for the next pack, however few there are."""
    bench.save(an_endpoint(), an_endpoint("slow"))
    bench.say(*(f"p{number}" for number in range(20)))
    bench.dispatcher.turn()
    for _ in range(20):
        for delivery, done in bench.postman.carried:
            if delivery.endpoint == "ops":
                done(delivery, GOOD)
        bench.postman.carried = [one for one in bench.postman.carried if one[0].endpoint == "slow"]
        bench.dispatcher.turn()
    assert {one.state for one in bench.deliveries("ops")} == {"delivered"}
    assert len(bench.postman.carried) == 16


@pytest.mark.parametrize("answer", [GOOD, BAD])
def test_an_endpoint_that_was_removed_hears_nothing_more(bench: Bench, answer: Outcome) -> None:
    """Also when something was on its way to it, whatever comes of that."""
    bench.save(an_endpoint(origin="api"))
    bench.say("a", "a", "b")
    bench.dispatcher.turn()
    bench.webhooks.remove("ops")
    bench.dispatcher.turn()
    assert bench.go(answer) == 2
    assert bench.go(answer, turns=5, wait_s=DAY_S) == 0
    assert len(bench.postman.left) == 2


@pytest.mark.parametrize("ordering", ["pack", "strict", "none"])
def test_a_backlog_drains_by_itself(bench: Bench, ordering: str) -> None:
    """What comes back makes room for what waits, whatever the order; nobody has to say anything new."""
    bench.save(an_endpoint(ordering=ordering), an_endpoint("other", ordering=ordering))
    bench.say(*(f"p{number % 40}" for number in range(120)))
    bench.dispatcher.turn()
    for _ in range(500):
        if not bench.postman.carried:
            break
        delivery, done = bench.postman.carried.pop(0)
        done(delivery, GOOD)
        bench.dispatcher.turn()
    assert {one.state for name in ("ops", "other") for one in bench.deliveries(name)} == {"delivered"}


# --- what is told ------------------------------------------------------------------------------------------------------


def test_failing_recovered_and_exhausted_are_told_once(bench: Bench) -> None:
    """On the fourth failure, when it arrives after that, and when there is nothing left to try."""
    bench.save(an_endpoint())
    bench.say("a")
    for wait_s in (0, 5, 300, 1800):
        bench.go(BAD, wait_s=wait_s + 300)
    bench.go(GOOD, wait_s=7200 + 300)
    bench.say("b")
    for wait_s in Rules().schedule:
        bench.go(BAD, wait_s=wait_s + 300)
    told = [(one["type"].removeprefix("webhook.delivery_"), one["data"]["attempts"]) for one in bench.events()]
    assert told == [("failing", 4), ("recovered", 5), ("failing", 4), ("exhausted", 10)]
    assert bench.events()[0]["data"]["next_attempt_at"] is not None
    assert bench.events()[0]["data"]["last_error"].startswith("connection refused")


def test_five_days_of_nothing_but_failure_disable_an_endpoint(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """With an event, a log line and a warning for whoever asks for readiness; what comes is held, and nothing is lost."""
    bench.ground.registry.on_commit(announce)
    bench.save(an_endpoint(), an_endpoint("watcher", types=("webhook.*",)))
    for day in range(6):
        assert bench.endpoint().state == "enabled", day
        bench.say(f"p{day}")
        bench.dispatcher.turn()
        carried, bench.postman.carried = bench.postman.carried, []
        for delivery, done in carried:
            done(delivery, GOOD if delivery.endpoint == "watcher" else BAD)
        bench.dispatcher.turn()
        bench.ground.now_s += DAY_S
    disabled = bench.endpoint()
    assert disabled.state == "disabled"
    assert "nothing but failure for 120 h" in str(disabled.state_reason)
    (told,) = [one for one in bench.events() if one["type"] == "webhook.endpoint_disabled"]
    assert "nothing but failure" in told["data"]["last_error"]
    assert "webhook.endpoint_disabled" in capsys.readouterr().out
    (warned,) = disabled_endpoints([disabled])
    assert "'ops' is told nothing, as it is disabled (nothing but failure" in warned.sentence
    bench.say("later")
    assert not [one for one in bench.postman.carried if one[0].endpoint == "ops"]
    assert len([one for one in bench.deliveries() if one.state == "pending"]) == 7
    bench.webhooks.enable("ops", actor="a test")
    bench.go(GOOD, turns=3)
    assert {one.state for one in bench.deliveries()} == {"delivered"}


def test_one_arrival_in_five_days_is_enough_to_stay(bench: Bench) -> None:
    """Nothing but failure means just that."""
    bench.save(an_endpoint())
    for day in range(12):
        bench.say(f"p{day}")
        bench.go(GOOD if day % 4 == 3 else BAD, wait_s=DAY_S)
    assert bench.endpoint().state == "enabled"


def test_time_that_the_clock_made_is_no_failure(bench: Bench) -> None:
    """A clock that is set a year ahead, or a machine that slept, disables nobody; five days of failure still do."""
    bench.save(an_endpoint())
    bench.say("a")
    bench.go(BAD)
    bench.time.ahead_s = 365 * DAY_S
    bench.dispatcher.clock_was_set(365 * DAY_S)
    bench.go(BAD, turns=2, wait_s=2 * DAY_S)
    assert bench.endpoint().state == "enabled"
    bench.go(BAD, turns=3, wait_s=DAY_S)
    assert bench.endpoint().state == "disabled"


@pytest.mark.parametrize(
    ("answer", "waits_s"), [(BAD, 5.0), (Outcome(status=503, retry_after_s=120.0), 120.0)], ids=["failed", "asked for"]
)
def test_a_clock_that_was_set_back_makes_nothing_wait_for_longer(bench: Bench, answer: Outcome, waits_s: float) -> None:
    """Nor for less: neither the next attempt, nor an endpoint that asked to be left alone."""
    bench.save(an_endpoint())
    bench.say("a")
    bench.go(answer)
    bench.time.ahead_s = -3600.0
    bench.dispatcher.clock_was_set(-3600.0)
    assert bench.go(wait_s=waits_s - 1) == 0
    assert bench.go(wait_s=1) == 1


def test_time_without_a_daemon_is_no_failure(bench: Bench) -> None:
    """It was stopped for a month with an endpoint that had failed once, and that is away once more when it starts."""
    bench.save(an_endpoint())
    bench.say("a")
    bench.go(BAD)
    bench.ground.now_s += 30 * DAY_S
    bench.dispatcher.start()
    bench.dispatcher.stop(5.0)
    anew = Bench(bench.ground)
    anew.go(BAD)
    assert anew.endpoint().state == "enabled"
    anew.say("b")
    anew.go(BAD, turns=5, wait_s=DAY_S)
    assert anew.endpoint().state == "disabled"


# --- what endpoints ask for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Outcome(status=410), Outcome(status=500, directive="disable")])
def test_an_endpoint_that_says_so_is_disabled_and_its_delivery_held(bench: Bench, answer: Outcome) -> None:
    """410 Gone, or `webhook-delivery: disable`."""
    bench.save(an_endpoint())
    bench.say("a", "b")
    bench.go(answer)
    assert bench.endpoint().state == "disabled"
    assert [one.state for one in bench.deliveries()] == ["pending", "pending"]
    assert [one["type"] for one in bench.events()] == ["webhook.endpoint_disabled"]


def test_abort_message_ends_one_delivery_and_lets_the_next_go(bench: Bench) -> None:
    """And says nothing against the endpoint, however often."""
    bench.save(an_endpoint())
    bench.say(*(["a"] * 8))
    bench.go(Outcome(status=422, directive="abort-message"), turns=8)
    assert {one.state for one in bench.deliveries()} == {"aborted"}
    assert bench.endpoint().failures == 0


@pytest.mark.parametrize(("asked_s", "waits_s"), [(120.0, 120.0), (10.0**9, DAY_S)])
def test_retry_after_pauses_the_whole_endpoint(bench: Bench, asked_s: float, waits_s: float) -> None:
    """At most for a day, and other packs' events wait as well."""
    bench.save(an_endpoint())
    bench.say("a")
    bench.go(Outcome(status=503, retry_after_s=asked_s))
    bench.say("b")
    assert bench.go(wait_s=waits_s - 1) == 0
    assert bench.go(wait_s=1) == 2


def test_the_longest_pause_that_was_asked_for_counts(bench: Bench) -> None:
    """What was on its way beside it and is answered with a shorter one does not end it; a person does."""
    bench.save(an_endpoint(ordering="none"))
    bench.say("a", "b")
    bench.dispatcher.turn()
    for (delivery, done), asked_s in zip(bench.postman.carried, (3600.0, 1.0), strict=True):
        done(delivery, Outcome(status=429, retry_after_s=asked_s))
    bench.postman.carried = []
    assert bench.go(wait_s=3599.0) == 0
    bench.webhooks.disable("ops", actor="a test")
    bench.webhooks.enable("ops", actor="a test")
    assert bench.go() == 2


@pytest.mark.parametrize("answer", [GOOD, BAD])
def test_what_there_is_no_room_to_write_down_is_sent_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, answer: Outcome
) -> None:
    """However long the disk is full: what came of it is written down when there is room."""
    bench.save(an_endpoint())
    bench.say("core", "core")
    bench.dispatcher.turn()
    ((delivery, done),) = bench.postman.carried
    with monkeypatch.context() as full:
        full.setattr(Registry, "write", no_room)
        done(delivery, answer)
        for _ in range(3):
            with pytest.raises(DiskFull):
                bench.dispatcher.turn()
    bench.dispatcher.turn()
    assert [one.event_id for one in bench.postman.left].count(delivery.event_id) == 1
    assert bench.deliveries()[0].attempts == 1
    assert len(bench.postman.left) == (2 if answer is GOOD else 1)


def test_a_full_disk_holds_up_no_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came back and can't be written down is given up then: the next daemon sends it once more."""
    bench.save(an_endpoint())
    bench.say("core")
    bench.dispatcher.turn()
    monkeypatch.setattr(Registry, "write", no_room)
    for delivery, done in bench.postman.carried:
        done(delivery, GOOD)
    with pytest.raises(DiskFull):
        bench.dispatcher.turn()
    bench.dispatcher.stop(0.0)
    with pytest.raises(DiskFull):
        bench.dispatcher.turn()
    bench.dispatcher.turn()


def no_room(*_: object, **__: object) -> NoReturn:
    raise DiskFull("packd.db")


def test_a_rate_is_kept(bench: Bench) -> None:
    """Two a second, one after the other; an endpoint without one gets what it takes."""
    bench.save(an_endpoint("slow", rate=2.0), an_endpoint("fast"))
    bench.say(*(f"p{number}" for number in range(20)))
    bench.go(turns=21, wait_s=0.25)
    left = [one.endpoint for one in bench.postman.left]
    assert left.count("fast") == 20
    assert left.count("slow") in (10, 11)


# --- what the configuration says -----------------------------------------------------------------------------------------


def test_a_secret_that_is_replaced_in_the_file_signs_for_another_day(bench: Bench) -> None:
    """As with `packd webhook rotate`; reading the same file again changes nothing."""
    old, new = an_endpoint(secret="whsec_" + "A" * 32), an_endpoint(secret="whsec_" + "B" * 32)
    for wanted in (old, new, new):
        bench.configure(wanted)
        bench.ground.now_s += 60
    secrets = bench.endpoint().secrets
    assert secrets(bench.ground.now_s) == (new.secret, old.secret)
    assert secrets(bench.ground.now_s + ROTATION_S) == (new.secret,)


def test_what_waits_leaves_at_once_for_another_address(bench: Bench) -> None:
    """It was the former one that failed and asked to be left alone; by API as well."""
    bench.configure(an_endpoint())
    bench.save(an_endpoint("made", origin="api"))
    bench.say("a")
    bench.go(Outcome(status=503, retry_after_s=3600.0))
    bench.configure(an_endpoint(url="https://mended.example/in"))
    bench.webhooks.change("made", {"url": "https://mended.example/in"})
    assert bench.go(GOOD) == 2


def test_what_an_endpoint_that_is_in_the_file_no_more_was_not_told_is_said(bench: Bench) -> None:
    """Once: whoever only renamed it learns that the new one does not get it, and how somebody does."""
    bench.configure(an_endpoint())
    bench.say("a", "b")
    with capture_logs() as said:
        for _ in range(2):
            bench.configure(an_endpoint("renamed"))
        bench.configure()
    assert [(one["event"], one["endpoint"], one["deliveries"]) for one in said] == [("webhook.left_untold", "ops", 2)]
    bench.configure(an_endpoint(url="https://mended.example/in"))
    assert bench.go(GOOD) == 2


def test_an_endpoint_that_comes_back_with_another_address_is_told_to_be_enabled(bench: Bench) -> None:
    """Once, as when somebody enables it; the same address leaves it disabled."""
    bench.configure(an_endpoint())
    bench.say("a")
    bench.go(Outcome(status=410))
    for wanted in (an_endpoint(), *[an_endpoint(url="https://mended.example/in")] * 2):
        bench.configure(wanted)
    assert [one["type"] for one in bench.events()] == ["webhook.endpoint_disabled", "webhook.endpoint_enabled"]
    assert bench.events()[-1]["data"]["actor"] == "config"
    assert bench.go(GOOD) == 1


def test_what_is_delivered_in_the_end_was_one_text_all_along(bench: Bench) -> None:
    """Also where the endpoint asked for another format meanwhile: the bytes of a delivery never change."""
    bench.save(an_endpoint(origin="api"))
    bench.say("a")
    bench.go(BAD)
    bench.webhooks.change("ops", {"format": "cloudevents"})
    bench.say("a")
    bench.go(GOOD, turns=2, wait_s=10)
    first, again, second = bench.postman.left
    assert first.body == again.body
    assert json.loads(second.body)["specversion"] == "1.0"


# --- a clock that is set forth and back, and nobody saw it -------------------------------------------------------------


def test_what_a_clock_ahead_planned_is_pulled_in(bench: Bench) -> None:
    """It waits no longer than the schedule asks for, counted from the look that finds it; what is planned right stays."""
    bench.save(an_endpoint(), an_endpoint("well"))
    bench.go()
    bench.time.ahead_s = 3600.0
    bench.say("core")
    bench.go(BAD)
    bench.time.ahead_s = 0.0
    assert bench.go(GOOD, turns=6, wait_s=5.0) == 0
    assert bench.go(GOOD, turns=2, wait_s=5.0) == 2
    assert {one.state for one in bench.deliveries()} == {"delivered"}


def test_a_wait_that_was_asked_for_is_left_as_long(bench: Bench) -> None:
    """Retry-After may be longer than the schedule."""
    bench.save(an_endpoint())
    bench.say("core")
    bench.go(Outcome(status=503, retry_after_s=3000.0))
    assert bench.go(GOOD, turns=99, wait_s=30.0) == 0
    assert bench.go(GOOD, turns=2, wait_s=30.0) == 1


def test_a_pace_is_kept_and_not_stretched_by_the_clock(bench: Bench) -> None:
    """One a second, also after the clock was an hour ahead when the last one left."""
    bench.save(an_endpoint(rate=1.0, ordering="none"))
    bench.time.ahead_s = 3600.0
    bench.say("one", "two", "three")
    assert bench.go() == 1
    bench.time.ahead_s = 0.0
    assert bench.go(turns=4, wait_s=1.0) == 2
