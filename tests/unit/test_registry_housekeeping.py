"""What is forgotten by age, what never is, and the room that is given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from packd.registry import audit, housekeeping, outbox, queries
from tests.unit.registry_ground import KINDS, Ground, a_revision, a_run, an_endpoint, discovered, made_ground

EARLY, LATE = "2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"


@pytest.fixture(params=KINDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    with made_ground(request.param, tmp_path) as ground:
        yield ground


def said(ground: Ground, *refs: str) -> None:
    with ground.registry.write() as tx:
        for ref in refs:
            tx.emit(discovered(ref), correlation_id="chg_1")


def test_old_events_are_forgotten_but_the_newest(ground: Ground) -> None:
    """The feed goes on counting from the newest one; younger ones stay, and it goes in portions."""
    said(ground, "one", "two", "three", "four")
    with ground.registry.write() as tx:
        assert housekeeping.forget_events(tx.connection, before=EARLY, most=100) == 0
        assert housekeeping.forget_events(tx.connection, before=LATE, most=2) == 2
        assert housekeeping.forget_events(tx.connection, before=LATE, most=100) == 1
        assert [event.seq for event in queries.events_after(tx.connection, 0, limit=10)] == [4]


def test_what_is_still_to_be_told_is_never_forgotten(ground: Ground) -> None:
    """However old: a delivery holds what is to be told by itself, so that its event may go."""
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint())
    said(ground, "waits", "arrives")
    with ground.registry.write() as tx:
        tx.connection.execute(
            text("UPDATE deliveries SET state = 'delivered', finished_at = :at WHERE subject = 'packs/arrives'"),
            {"at": "2021-01-01T00:00:00.000Z"},
        )
        assert housekeeping.forget_events(tx.connection, before=LATE, most=100) == 1
        assert housekeeping.forget_deliveries(tx.connection, before=EARLY, most=100) == 0
        assert housekeeping.forget_deliveries(tx.connection, before=LATE, most=100) == 1
        (left,) = queries.deliveries_to(tx.connection, "ops", limit=10)
    assert (left.subject, left.state) == ("packs/waits", "pending")
    assert left.body


def test_what_an_endpoint_that_was_removed_was_not_told_goes_with_the_events(ground: Ground) -> None:
    """It may come back, and goes on where it stopped, until then."""
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint())
        outbox.save_endpoint(tx.connection, an_endpoint("silenced", state="disabled"))
    said(ground, "waits")
    with ground.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ops"], state="removed", reason=None)
        assert housekeeping.forget_deliveries(tx.connection, before=EARLY, most=100) == 0
        assert housekeeping.forget_deliveries(tx.connection, before=LATE, most=100) == 1
        assert queries.deliveries_to(tx.connection, "ops", limit=10) == []
        assert len(queries.deliveries_to(tx.connection, "silenced", limit=10)) == 1


def test_the_audit_trail_is_forgotten_by_age_alone(ground: Ground) -> None:
    """In portions; a request of the very moment up to which all is forgotten stays."""
    moments = [f"2021-01-0{day}T00:00:00.000Z" for day in range(1, 6)]
    with ground.registry.write() as tx:
        for at in moments:
            audit.note(
                tx.connection, at=at, actor="me", method="POST", path="/x", status=200, request_id=at, packs=None
            )
        assert housekeeping.forget_audit(tx.connection, before=EARLY, most=100) == 0
        assert housekeeping.forget_audit(tx.connection, before=moments[3], most=2) == 2
        assert housekeeping.forget_audit(tx.connection, before=moments[3], most=100) == 1
        left = audit.newest(tx.connection, limit=10, pack=None, actor=None)
    assert [one["at"] for one in left] == [moments[4], moments[3]]


@pytest.mark.parametrize(("for_s", "since_s"), [(600.0, 700.0), (-50.0, 50.0), (9000.0, 1000.0)])
def test_time_in_which_nothing_was_tried_is_overlooked(ground: Ground, for_s: float, since_s: float) -> None:
    """An endpoint has failed since later, at most since now; one that is well goes on being so."""
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint(failures=1, failing_since_s=100.0))
        outbox.save_endpoint(tx.connection, an_endpoint("well"))
        housekeeping.overlook(tx.connection, for_s=for_s, now=1000.0)
        assert [one.failing_since_s for one in queries.all_endpoints(tx.connection)] == [since_s, None]


def test_reports_go_by_age_and_each_packs_last_stays(ground: Ground) -> None:
    """That a run was, and how it ended, stays as well."""
    ground.add(a_revision("core"))
    ground.add(a_revision("other"))
    for number, ref in enumerate(("core", "core", "core", "other")):
        with ground.registry.write() as tx:
            tx.start_run(a_run(f"run_{number}", ref=ref, at=f"2021-01-0{number + 1}T00:00:00.000Z"))
            tx.finish_run(f"run_{number}", status="passed", accepted=True, verdict="good", report={"total_tests": 1})
    with ground.registry.write() as tx:
        assert housekeeping.forget_reports(tx.connection, before=EARLY, most=100) == 0
        assert housekeeping.forget_reports(tx.connection, before=LATE, most=100) == 2
        history = queries.run_history(tx.connection, "core")
        assert [(run.id, run.status) for run in history] == [(f"run_{number}", "passed") for number in (2, 1, 0)]
        kept = tx.connection.execute(text("SELECT id FROM runs WHERE report IS NOT NULL ORDER BY id")).scalars().all()
    assert kept == ["run_2", "run_3"]


def test_room_is_given_back(tmp_path: Path) -> None:
    """A file of which much is empty gets smaller, beside readers and at the latest once they are gone."""
    with made_ground("sqlite", tmp_path, fresh=True) as ground:
        file = Path(ground.url.removeprefix("sqlite:///"))
        with ground.database.write() as connection:
            connection.execute(text("INSERT INTO facts VALUES ('large', :value)"), {"value": "x" * 12_000_000})
        with ground.database.write() as connection:
            connection.execute(text("DELETE FROM facts WHERE name = 'large'"))
        with ground.database.read() as connection:  # whoever reads meanwhile keeps what was true, and the room with it
            assert connection.execute(text("SELECT count(*) FROM facts")).scalar() == 0
            ground.database.optimise()
        ground.database.optimise()
        assert file.stat().st_size < 2_000_000
