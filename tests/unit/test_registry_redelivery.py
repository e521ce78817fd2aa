"""Telling once more: what begins anew, what only leaves sooner, and what an endpoint is told that it was not there for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from packd.domain.breaker import WELL, Health
from packd.domain.deliveries import Decision, DeliveryState, Outcome
from packd.registry import outbox, queries, redelivery
from tests.unit.registry_ground import KINDS, Ground, an_endpoint, discovered, made_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.registry.rows import Delivery, Endpoint

LONG_AGO = "2020-01-01T00:00:00.000Z"
ENDS: tuple[DeliveryState, ...] = ("delivered", "exhausted", "aborted", "pending")


@pytest.fixture(params=KINDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    with made_ground(request.param, tmp_path) as ground:
        with ground.registry.write() as tx:
            outbox.save_endpoint(tx.connection, an_endpoint())
        yield ground


def say(ground: Ground, *refs: str) -> None:
    for ref in refs:
        with ground.registry.write() as tx:
            tx.emit(discovered(ref), correlation_id="chg_1")


def told(ground: Ground) -> list[Delivery]:
    with ground.registry.read() as connection:
        return queries.deliveries_to(connection, "ops", limit=100)[::-1]


def end(ground: Ground, delivery: Delivery, state: DeliveryState) -> None:
    with ground.registry.write() as tx:
        decision = Decision(state=state, reason=f"it is {state}", next_attempt_at=9e9 if state == "pending" else None)
        outbox.record_attempt(tx.connection, delivery, Outcome(status=500), decision, at=tx.now)


def now(ground: Ground) -> Endpoint:
    with ground.registry.read() as connection:
        found = queries.endpoint(connection, "ops")
    assert found is not None
    return found


def test_what_did_not_arrive_begins_anew_and_what_waits_leaves_sooner(ground: Ground) -> None:
    """The attempts before are still counted; what arrived is left alone, and so is what is older."""
    say(ground, "a", "b", "c", "d", "old")
    for delivery, state in zip(told(ground), ENDS, strict=False):
        end(ground, delivery, state)
    with ground.registry.write() as tx:
        assert redelivery.send_undelivered(tx.connection, "ops", since="2099-01-01T00:00:00.000Z") == 0
        assert redelivery.send_undelivered(tx.connection, "ops", since=LONG_AGO) == 4
    found = [(one.state, one.attempts, one.earlier_attempts, one.next_attempt_at_s) for one in told(ground)]
    assert found == [
        ("delivered", 1, 0, None),
        ("pending", 0, 1, None),
        ("pending", 0, 1, None),
        ("pending", 1, 0, None),
        ("pending", 0, 0, None),
    ]
    assert all(one.finished_at is None for one in told(ground)[1:])


def test_everything_is_told_again_also_from_before_it_was_there(ground: Ground) -> None:
    """In the order of the events, with new places behind those that there are; never what it did not ask for."""
    with ground.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ops"], state="removed", reason=None)
    say(ground, "a", "b")
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint(packs=("a", "c")))
    say(ground, "c")
    end(ground, told(ground)[0], "delivered")
    with ground.registry.write() as tx:
        assert tx.tell_again("ops", since=LONG_AGO) == 2
    with ground.registry.write() as tx:
        assert tx.tell_again("ops", since=LONG_AGO) == 2
    assert [(one.subject, one.endpoint_seq, one.state) for one in told(ground)] == [
        ("packs/c", 1, "pending"),
        ("packs/a", 2, "pending"),
    ]
    assert [json.loads(one.body)["endpoint_seq"] for one in told(ground)] == [1, 2]


def test_many_that_it_was_not_there_for_are_told_at_once(tmp_path: Path) -> None:
    """While that is written nobody else can write: it is done by a few statements, however many events there are."""
    statements: list[str] = []
    with made_ground("sqlite", tmp_path) as ground:
        with ground.registry.write() as tx:
            for _ in range(1000):
                tx.emit(discovered("a"), correlation_id="chg_1")
        with ground.registry.write() as tx:
            outbox.save_endpoint(tx.connection, an_endpoint())
            driver: Any = tx.connection.connection.driver_connection
            driver.set_trace_callback(statements.append)
            assert tx.tell_again("ops", since=LONG_AGO) == 1000
            driver.set_trace_callback(None)
        assert len(statements) < 50
        assert now(ground).last_endpoint_seq == 1000


@pytest.mark.parametrize("events", [3, 4, 5])
def test_however_much_there_is_to_tell_again_all_of_it_is_told(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    """It is read in portions; what happened at the moment itself that somebody names is part of it, what was before is not."""
    monkeypatch.setattr(redelivery, "_EVENTS_AT_ONCE", 2)
    with ground.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ops"], state="removed", reason=None)
    refs = [f"p{number}" for number in range(events)]
    say(ground, "older")
    ground.now_s += 60
    say(ground, *refs)
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint())
        since = queries.events_after(tx.connection, 1, limit=1)[0].timestamp
        assert tx.tell_again("ops", since=since) == events
        assert tx.tell_again("ops", since=since) == events
    assert [(one.subject, one.endpoint_seq) for one in told(ground)] == [
        (f"packs/{ref}", place) for place, ref in enumerate(refs, 1)
    ]


def test_what_is_told_again_keeps_the_order_that_is_asked_for_now(ground: Ground) -> None:
    """Not the one in which it was told first."""
    say(ground, "a", "b")
    end(ground, told(ground)[0], "delivered")
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint(ordering="strict"))
        tx.tell_again("ops", since=LONG_AGO)
    assert [one.lane for one in told(ground)] == ["", ""]


def test_one_delivery_is_sent_again(ground: Ground) -> None:
    """By its number, with the same bytes; what is not there is none."""
    say(ground, "a")
    (before,) = told(ground)
    end(ground, before, "delivered")
    with ground.registry.write() as tx:
        assert redelivery.send_again(tx.connection, [before.id]) == 1
        assert redelivery.send_again(tx.connection, [4711]) == 0
    (after,) = told(ground)
    assert (after.state, after.body, after.event_id) == ("pending", before.body, before.event_id)


def test_the_last_error_is_that_of_the_newest_attempt(ground: Ground) -> None:
    """Also where that was the first one after a delivery was told again."""
    say(ground, "a", "b")
    again, other = told(ground)
    end(ground, again, "exhausted")
    ground.now_s += 60
    with ground.registry.write() as tx:
        redelivery.send_again(tx.connection, [again.id])
    for delivery, said in ((other, "refused"), (told(ground)[0], "reset")):
        ground.now_s += 60
        with ground.registry.write() as tx:
            decision = Decision(state="pending", reason=said, next_attempt_at=9e9)
            outbox.record_attempt(tx.connection, delivery, Outcome(error=said), decision, at=tx.now)
            assert queries.last_errors(tx.connection) == {"ops": said}


def test_what_was_held_waits_no_longer(ground: Ground) -> None:
    """The time of the next attempt was of an endpoint that failed; it is enabled again."""
    say(ground, "a")
    end(ground, told(ground)[0], "pending")
    with ground.registry.write() as tx:
        redelivery.release(tx.connection, "ops")
    assert told(ground)[0].next_attempt_at_s is None


def test_health_and_secrets_come_back_as_they_were_saved(ground: Ground) -> None:
    """And saving the endpoint itself leaves them alone, until it has another address."""
    health = Health(failures=7, failing_since_s=1.5, rest_s=20.0, resting_until_s=99.5)
    fresh = "whsec_" + "B" * 32
    with ground.registry.write() as tx:
        redelivery.set_health(tx.connection, "ops", health)
        redelivery.set_secret(tx.connection, an_endpoint(), fresh, previous_until_s=50.0)
    assert now(ground).health == health
    assert now(ground).secrets(49.0) == (fresh, an_endpoint().secret)
    for changed, expected in (
        (an_endpoint(secret=fresh, rate=2.0), health),
        (an_endpoint(url="https://new.example/"), WELL),
    ):
        with ground.registry.write() as tx:
            outbox.save_endpoint(tx.connection, changed)
        assert now(ground).health == expected
    with ground.registry.write() as tx:
        redelivery.forget_previous_secret(tx.connection, "ops")
    assert len(now(ground).secrets(0.0)) == 1


def test_pages_of_deliveries_and_the_backlog(ground: Ground) -> None:
    """Chosen by what they are about; held is what waits for an endpoint that is not enabled."""
    say(ground, "a", "b", "b")
    end(ground, told(ground)[0], "pending")
    choose = queries.DeliveryChoice
    with ground.registry.read() as connection:
        assert queries.delivery_total(connection, choose(subject="packs/b")) == 2
        page = queries.delivery_page(connection, choose(endpoint="ops"), offset=1, limit=1)
        assert [one.endpoint_seq for one in page] == [2]
        assert queries.backlog(connection)["ops"][0] == 3
        assert queries.retrying(connection) == {"ops": 1}
        assert queries.delivery_total(connection, choose(state="held")) == 0
    with ground.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ops"], state="disabled", reason="x")
    with ground.registry.read() as connection:
        assert queries.delivery_total(connection, choose(state="held")) == 3
        assert queries.delivery_total(connection, choose(state="pending")) == 0
