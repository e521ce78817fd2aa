"""Events and deliveries: who is told what, in which order, and what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from packd.domain.deliveries import Decision, Outcome
from packd.domain.event_data import WebhookTest
from packd.domain.events import EVENT_TYPES
from packd.domain.events import parse as parse_event
from packd.registry import outbox, queries
from packd.registry.registry import Registry
from tests.unit.registry_ground import KINDS, Ground, an_endpoint, discovered, made_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.domain.deliveries import DeliveryState
    from packd.domain.event_data import EventData
    from packd.registry.rows import Delivery, Endpoint, StoredEvent


@pytest.fixture(params=KINDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """A registry on an empty, prepared database."""
    with made_ground(request.param, tmp_path) as ground:
        yield ground


def save(ground: Ground, *endpoints: Endpoint) -> None:
    with ground.registry.write() as tx:
        for endpoint in endpoints:
            outbox.save_endpoint(tx.connection, endpoint)


def say(ground: Ground, *said: EventData | str) -> list[StoredEvent]:
    """Each in a transaction of its own; a ref stands for something about that pack."""
    events = []
    for one in said:
        with ground.registry.write() as tx:
            events.append(tx.emit(discovered(one) if isinstance(one, str) else one, correlation_id="chg_1"))
    return events


def heads(ground: Ground) -> list[tuple[str, int]]:
    """(endpoint, endpoint_seq) of what may leave next."""
    with ground.registry.read() as connection:
        names = [one.name for one in queries.all_endpoints(connection) if one.state == "enabled"]
        found = [one for name in names for one in queries.lane_heads(connection, name)]
        return [(one.endpoint, one.endpoint_seq) for one in sorted(found, key=lambda one: one.id)]


def told(ground: Ground, name: str = "ops") -> list[Delivery]:
    """Oldest first."""
    with ground.registry.read() as connection:
        return queries.deliveries_to(connection, name, limit=100)[::-1]


def attempt(
    ground: Ground,
    delivery: Delivery,
    *,
    state: DeliveryState = "pending",
    due_s: float | None = None,
    error: str | None = None,
) -> Delivery:
    outcome = Outcome(status=None if error else 200, error=error, duration_ms=12.5, response_head="HTTP/1.1 200 OK")
    decision = Decision(state=state, reason=error or "answered 200 OK", next_attempt_at=due_s)
    with ground.registry.write() as tx:
        outbox.record_attempt(tx.connection, delivery, outcome, decision, at=tx.now)
        found = queries.delivery(tx.connection, delivery.id)
    assert found is not None
    return found


# --- events ----------------------------------------------------------------------------------------------------------


def test_an_event_is_stored_as_everybody_gets_it(ground: Ground) -> None:
    """The row repeats a few members of the text; the text is the event."""
    with ground.registry.write() as tx:
        event = tx.emit(discovered("core"), correlation_id="chg_1", causation_id="evt_0")
    envelope = parse_event(event.body)
    assert (event.seq, event.type, event.subject) == (1, "pack.discovered", "packs/core")
    assert (envelope.id, envelope.seq, envelope.timestamp) == (event.id, 1, tx.now)
    assert (envelope.correlation_id, envelope.causation_id, envelope.source) == ("chg_1", "evt_0", "packd://here")
    assert outbox.parse(event) == json.loads(event.body)
    with ground.registry.read() as connection:
        assert queries.events_after(connection, 0, limit=10) == [event]


def test_every_type_of_event_can_be_said(ground: Ground) -> None:
    """The closed list goes through the outbox and comes back equal."""
    said = [model.model_validate(model.example()) for model in EVENT_TYPES.values()]
    assert [parse_event(event.body).data for event in say(ground, *said)] == said


def test_events_are_read_from_a_cursor(ground: Ground) -> None:
    """In order, starting behind it, no more than asked for."""
    say(ground, *"abcde")
    with ground.registry.read() as connection:
        assert [event.seq for event in queries.events_after(connection, 2, limit=2)] == [3, 4]
        assert queries.events_after(connection, 5, limit=2) == []
        assert (queries.oldest_seq(connection), queries.last_seq(connection)) == (1, 5)


def test_before_the_first_event_there_is_none(ground: Ground) -> None:
    """No oldest one, and the newest has number 0."""
    with ground.registry.read() as connection:
        assert (queries.oldest_seq(connection), queries.last_seq(connection)) == (None, 0)


def test_an_identity_is_used_once(ground: Ground) -> None:
    """Consumers drop what they have had by its id: a second event under it would never be heard."""
    with ground.registry.write() as tx:
        event = tx.emit(discovered("core"), correlation_id="chg_1")
    repeating = replace(ground.registry._outbox, new_id=lambda: event.id)
    again = Registry(ground.database, outbox_of=repeating, now=lambda: ground.now_s)
    with pytest.raises(IntegrityError), again.write() as tx:
        tx.emit(discovered("core"), correlation_id="chg_1")
    assert [event.seq for event in say(ground, "core")] == [2]


# --- who is told -----------------------------------------------------------------------------------------------------


def test_only_subscribed_endpoints_are_told(ground: Ground) -> None:
    """By type and by pack; removed endpoints are not told, disabled ones later."""
    save(
        ground,
        an_endpoint("all"),
        an_endpoint("slack", packs=("sl*",)),
        an_endpoint("tests", types=("pack.test_*",)),
        an_endpoint("asleep", state="disabled"),
        an_endpoint("gone", state="removed"),
    )
    say(ground, "core", "slack")
    counts = {name: len(told(ground, name)) for name in ("all", "slack", "tests", "asleep", "gone")}
    assert counts == {"all": 2, "slack": 1, "tests": 0, "asleep": 2, "gone": 0}


def test_an_endpoint_hears_of_itself_only_when_tried(ground: Ground) -> None:
    """Otherwise telling of a failure would make the next one."""
    save(ground, an_endpoint("ops", types=("*",)), an_endpoint("other", types=("*",)))
    say(ground, WebhookTest.model_validate(WebhookTest.example() | {"endpoint": "ops"}))
    assert (len(told(ground, "ops")), len(told(ground, "other"))) == (1, 0)


def test_the_places_of_an_endpoint_have_no_gap(ground: Ground) -> None:
    """Each endpoint counts what it is told, from 1, and the body says so."""
    save(ground, an_endpoint("all"), an_endpoint("slack", packs=("slack",)))
    events = say(ground, "core", "slack", "core", "slack")
    for name, heard in (("all", events), ("slack", [events[1], events[3]])):
        deliveries = told(ground, name)
        assert [one.endpoint_seq for one in deliveries] == list(range(1, len(heard) + 1))
        assert [one.event_id for one in deliveries] == [event.id for event in heard]
        for delivery, event in zip(deliveries, heard, strict=True):
            assert json.loads(delivery.body) == json.loads(event.body) | {"endpoint_seq": delivery.endpoint_seq}


def test_deliveries_share_the_fate_of_their_event(ground: Ground) -> None:
    """In one transaction: rolled back with it, and the endpoint's count too."""
    save(ground, an_endpoint())

    class Abandoned(Exception):
        pass

    with pytest.raises(Abandoned), ground.registry.write() as tx:
        tx.emit(discovered("core"), correlation_id="chg_1")
        raise Abandoned
    assert told(ground) == []
    say(ground, "core")
    assert [one.endpoint_seq for one in told(ground)] == [1]


# --- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [("pack", [1, 2]), ("strict", [1]), ("none", [1, 2, 3, 4])],
    ids=["pack", "strict", "none"],
)
def test_only_the_head_of_a_lane_may_leave(ground: Ground, ordering: str, expected: list[int]) -> None:
    """In order per pack, in order for all, or in no order."""
    save(ground, an_endpoint(ordering=ordering))
    say(ground, "a", "b", "a", "b")
    assert heads(ground) == [("ops", seq) for seq in expected]


def test_a_delayed_head_holds_up_its_lane_only(ground: Ground) -> None:
    """What waits for its next attempt stays the head; other packs go on."""
    save(ground, an_endpoint())
    say(ground, "a", "b", "a", "b")
    delayed = attempt(ground, told(ground)[0], due_s=ground.now_s + 300, error="refused")
    attempt(ground, told(ground)[1], state="delivered")
    assert heads(ground) == [("ops", 1), ("ops", 4)]
    attempt(ground, delayed, state="exhausted", error="refused")
    assert heads(ground) == [("ops", 3), ("ops", 4)]


def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(ground: Ground) -> None:
    """What was to be told waits, in order."""
    save(ground, an_endpoint("ops"), an_endpoint("other"))
    say(ground, "a", "a")
    with ground.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ops"], state="disabled", reason="410 Gone")
    say(ground, "a")
    assert heads(ground) == [("other", 1)]
    with ground.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ops"], state="enabled", reason=None)
    assert heads(ground) == [("ops", 1), ("other", 1)]


# --- attempts --------------------------------------------------------------------------------------------------------


def test_an_attempt_is_written_down(ground: Ground) -> None:
    """What was tried, what came of it, what follows; the bytes stay the same."""
    save(ground, an_endpoint())
    say(ground, "core")
    first = told(ground)[0]
    assert (first.state, first.attempts, first.next_attempt_at_s) == ("pending", 0, None)
    second = attempt(ground, first, due_s=1769850905.125, error="no answer\0 caf\udce9")
    assert (second.state, second.attempts, second.next_attempt_at_s) == ("pending", 1, 1769850905.125)
    assert (second.last_error, second.finished_at, second.body) == ("no answer\0 caf\udce9", None, first.body)
    third = attempt(ground, second, state="delivered")
    assert (third.state, third.attempts, third.next_attempt_at_s, third.last_error) == ("delivered", 2, None, None)
    assert third.finished_at is not None
    with ground.registry.read() as connection:
        tried = queries.attempts_of(connection, first.id)
        assert queries.delivery_counts(connection) == {"ops": {"delivered": 1}}
    assert [(row["number"], row["status"], row["duration_ms"]) for row in tried] == [(1, None, 12.5), (2, 200, 12.5)]
    assert heads(ground) == []


@pytest.mark.parametrize("count", [1, 64, 201])
def test_arrivals_are_written_down_together(ground: Ground, count: int) -> None:
    """As one by one, however many came, and nobody else's delivery is touched."""
    save(ground, an_endpoint())
    with ground.registry.write() as tx:
        for _ in range(count + 1):
            tx.emit(discovered("core"), correlation_id="chg_1")
        found = queries.deliveries_to(tx.connection, "ops", limit=1000)[::-1]
    found[0] = attempt(ground, found[0], due_s=1769850905.125, error="refused")
    arrived = [
        (
            one,
            Outcome(status=200 + one.endpoint_seq % 2, response_head="\0"),
            Decision(state="delivered", reason="fine"),
        )
        for one in found[:-1]
    ]
    with ground.registry.write() as tx:
        outbox.record_arrivals(tx.connection, arrived, at="2026-01-31T09:00:00.000Z")
    with ground.registry.read() as connection:
        after = queries.deliveries_to(connection, "ops", limit=1000)[::-1]
        log = [queries.attempts_of(connection, one.id) for one in after]
    assert {(one.state, one.last_error, one.next_attempt_at_s, one.finished_at) for one in after[:-1]} == {
        ("delivered", None, None, "2026-01-31T09:00:00.000Z")
    }
    assert after[-1] == found[-1]
    assert [one.attempts for one in after] == [2, *[1] * (count - 1), 0]
    assert [rows[-1]["status"] for rows in log[:-1]] == [200 + one.endpoint_seq % 2 for one in after[:-1]]
    assert all((rows[-1]["response_head"], rows[-1]["error"]) == ("\0", None) for rows in log[:-1])
    assert [[row["number"] for row in rows] for rows in log] == [[1, 2], *[[1]] * (count - 1), []]


def test_what_waits_is_read_in_order_and_nothing_behind_what_is_not_due(ground: Ground) -> None:
    """A lane that is held up holds up nobody else; the others go on behind the place that was reached."""
    save(ground, an_endpoint(), an_endpoint("other"))
    say(ground, "a", "b", "a", "b", "c")
    first, _, second, *_ = told(ground)
    due_s = ground.now_s + 300

    def waiting(*, after: int = 0, now: float = ground.now_s, most: int = 10) -> list[int]:
        with ground.registry.read() as connection:
            found = queries.waiting_deliveries(connection, "ops", after=after, now=now, most=most)
            return [one.endpoint_seq for one in found]

    assert waiting() == [1, 2, 3, 4, 5]
    attempt(ground, first, due_s=due_s, error="refused")
    assert waiting() == [2, 4, 5]
    assert waiting(most=2) == [2, 4]
    assert waiting(after=2) == [4, 5]
    assert waiting(now=due_s) == [1, 2, 3, 4, 5]
    attempt(ground, replace(first, attempts=1), state="aborted")
    attempt(ground, second, due_s=due_s, error="refused")
    assert waiting() == [2, 4, 5]
    with ground.registry.read() as connection:
        assert queries.soonest_attempt(connection, "ops", now=ground.now_s) == due_s
        assert queries.soonest_attempt(connection, "ops", now=due_s) is None
        assert queries.soonest_attempt(connection, "other", now=ground.now_s) is None


def test_an_attempt_counts_once(ground: Ground) -> None:
    """Written down twice it would shorten the way to giving up."""
    save(ground, an_endpoint())
    say(ground, "core")
    first = told(ground)[0]
    attempt(ground, first, error="refused")
    with pytest.raises(IntegrityError):
        attempt(ground, first, error="refused")


def test_the_last_error_is_of_the_newest_attempt(ground: Ground) -> None:
    """Among the deliveries that still wait, whichever of them that was for."""
    save(ground, an_endpoint("ops"), an_endpoint("other"))
    say(ground, "a", "b", "c")
    oldest, newer, newest = told(ground)
    attempt(ground, newer, error="first")
    ground.now_s += 1
    oldest = attempt(ground, oldest, error="second")
    ground.now_s += 1
    attempt(ground, newest, state="exhausted", error="given up")
    with ground.registry.read() as connection:
        assert queries.last_errors(connection) == {"ops": "second"}
    ground.now_s += 1
    attempt(ground, oldest, state="delivered")
    with ground.registry.read() as connection:
        assert queries.last_errors(connection) == {"ops": "first"}
        assert queries.delivery_counts(connection)["ops"] == {"delivered": 1, "exhausted": 1, "pending": 1}


# --- endpoints -------------------------------------------------------------------------------------------------------


def test_an_endpoint_comes_back_equal(ground: Ground) -> None:
    """Every field, tuples of tuples included, and its secret is never shown."""
    endpoint = an_endpoint(types=("pack.*", "daemon.*"), packs=("a*",), timeout_s=2.5)
    save(ground, endpoint)
    with ground.registry.read() as connection:
        assert queries.endpoint(connection, "ops") == endpoint
        assert queries.all_endpoints(connection) == [endpoint]
        assert queries.endpoint(connection, "nobody") is None
    assert endpoint.secret not in repr(endpoint)


def test_changing_an_endpoint_keeps_its_place(ground: Ground) -> None:
    """Its counter and what waits for it stay, also when it was removed and comes back."""
    save(ground, an_endpoint())
    say(ground, "a")
    with ground.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ops"], state="removed", reason="not configured")
    assert heads(ground) == []
    with ground.registry.read() as connection:
        assert queries.all_endpoints(connection) == []
        assert [one.state for one in queries.every_endpoint_ever(connection)] == ["removed"]
    save(ground, an_endpoint(url="https://new.example/in"))
    say(ground, "b")
    assert [one.endpoint_seq for one in told(ground)] == [1, 2]


def test_a_pause_outlives_a_restart_but_not_a_new_address(ground: Ground) -> None:
    """It was that receiver which asked to be left alone; reading the configuration again is no reason to forget it."""
    save(ground, an_endpoint())
    with ground.registry.write() as tx:
        outbox.pause_endpoint(tx.connection, "ops", until_s=1769854500.5)
    for changed, pause in ((an_endpoint(timeout_s=3.0), 1769854500.5), (an_endpoint(url="https://new.example/"), None)):
        save(ground, changed)
        with ground.registry.read() as connection:
            assert queries.endpoint(connection, "ops") == replace(changed, paused_until_s=pause)


def test_what_was_said_is_there_for_whoever_asks_in_the_same_transaction(ground: Ground) -> None:
    """And whoever is added in between hears of what is said after that."""
    save(ground, an_endpoint("first"))
    with ground.registry.write() as tx:
        tx.emit(discovered("a"), correlation_id="chg_1")
        tx.emit(discovered("b"), correlation_id="chg_1")
        assert [event.seq for event in queries.events_after(tx.connection, 0, limit=9)] == [1, 2]
        outbox.save_endpoint(tx.connection, an_endpoint("second"))
        tx.emit(discovered("c"), correlation_id="chg_1")
    with ground.registry.read() as connection:
        told = {
            name: [(one.event_seq, one.endpoint_seq) for one in queries.deliveries_to(connection, name, limit=9)]
            for name in ("first", "second")
        }
    assert told == {"first": [(3, 3), (2, 2), (1, 1)], "second": [(3, 1)]}
