"""What can become of a candidate: one step each, with the events that tell of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from packd.domain.lifecycle import Phase
from packd.flow import outcomes, standing
from packd.registry import queries
from tests.unit.registry_ground import START_S, Ground, a_revision, add, made_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.registry.registry import Writer
    from packd.registry.rows import Revision


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """A registry on an empty, prepared database."""
    with made_ground("sqlite", tmp_path) as ground:
        yield ground


def ready(tx: Writer, ref: str, number: int = 1, *, drop: str | None = None, **needs: str) -> Revision:
    """A candidate whose tests have passed."""
    listed = tuple({"ref": name, "range": wanted} for name, wanted in needs.items())
    path = f"/srv/packs/{drop or ref}"
    return add(tx, a_revision(ref, number, Phase.TESTED, needs=listed, path=path), drop=drop)


def go(tx: Writer, revision: Revision) -> bool:
    return outcomes.activate(tx, revision, now_s=START_S)


def said(ground: Ground) -> list[tuple[str, str]]:
    """(type, ref) of every event so far."""
    return [(event.type, event.subject.removeprefix("packs/")) for events in ground.told for event in events]


def last_said(ground: Ground) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(ground.told[-1][-1].body)["data"]
    return data


def active(ground: Ground) -> set[str]:
    with ground.registry.read() as connection:
        return {revision.name for revision in queries.active_revisions(connection)}


# --- going ahead -----------------------------------------------------------------------------------------------------


def test_the_first_activation_registers_and_the_next_ones_update(ground: Ground) -> None:
    """One event for each, with what was in use before and how long it took since the first change."""
    with ground.registry.write() as tx:
        go(tx, ready(tx, "core", 1))
    assert last_said(ground)["pack"]["previous"] is None
    with ground.registry.write() as tx:
        go(tx, ready(tx, "core", 2))
    assert said(ground) == [("pack.registered", "core"), ("pack.updated", "core")]
    assert last_said(ground)["pack"]["previous"]["revision"] == 1
    assert last_said(ground)["duration_ms"] == 1500
    assert active(ground) == {"core#2"}


def test_a_clock_that_was_set_back_makes_no_negative_duration(ground: Ground) -> None:
    """An event must not fail for that."""
    with ground.registry.write() as tx:
        outcomes.activate(tx, ready(tx, "core"), now_s=START_S - 3600)
    assert last_said(ground)["duration_ms"] == 0


def test_packs_that_need_each_other_go_in_one_step(ground: Ground) -> None:
    """The first one waits for the tests of the other; then both are in use at once."""
    with ground.registry.write() as tx:
        first = ready(tx, "a", b="*")
        other = add(tx, a_revision("b", phase=Phase.VALIDATED, needs=({"ref": "a", "range": "*"},)))
        assert not go(tx, first)
    assert active(ground) == set()
    with ground.registry.write() as tx:
        go(tx, tx.change(other, phase=Phase.TESTED))
    assert active(ground) == {"a#1", "b#1"}
    assert said(ground) == [("pack.registered", "a"), ("pack.registered", "b")]


def test_a_tested_candidate_waits_for_what_went_away_meanwhile(ground: Ground) -> None:
    """What it needs is looked at again in the last step."""
    with ground.registry.write() as tx:
        assert go(tx, ready(tx, "slack", core=">=1.2"))
    assert said(ground) == [("pack.waiting", "slack")]
    assert last_said(ground)["missing"] == [{"ref": "core", "version": ">=1.2"}]
    with ground.registry.read() as connection:
        waiting = queries.candidate(connection, "slack")
    assert waiting is not None
    assert (waiting.phase, waiting.waits_for) == (Phase.WAITING, ({"ref": "core", "version": ">=1.2"},))


def test_a_version_that_would_break_an_active_pack_is_refused_by_name(ground: Ground) -> None:
    """The old one stays in use, and the message says who is in the way and what to do."""
    with ground.registry.write() as tx:
        go(tx, ready(tx, "core", 1))
        go(tx, ready(tx, "slack", 1, core="^1.0"))
    with ground.registry.write() as tx:
        go(tx, ready(tx, "core", 2))
    assert said(ground)[2:] == [("pack.validation_failed", "core"), ("pack.rolled_back", "core")]
    assert (last_said(ground)["failed"]["revision"], last_said(ground)["restored"]["revision"]) == (2, 1)
    assert active(ground) == {"core#1", "slack#1"}
    with ground.registry.read() as connection:
        refused = queries.latest_revision(connection, "core")
    assert refused is not None
    assert "'slack', which needs core ^1.0" in refused.problems[0]["message"]


def test_what_going_back_would_break(ground: Ground) -> None:
    """Dependents whose range it would leave and what it needs itself; what is broken already is not held against it."""
    with ground.registry.write() as tx:
        go(tx, ready(tx, "tool"))
        go(tx, ready(tx, "core", 1, tool="*"))
        go(tx, ready(tx, "core", 2))
        go(tx, ready(tx, "slack", core="^2.0"))
        go(tx, ready(tx, "other", core=">=1.0"))
    with ground.registry.read() as connection:
        target = queries.rollback_target(connection, "core")
        assert target is not None
        outlook = standing.if_put_back(connection, target)
    assert [(ref, str(need)) for ref, need in outlook.breaks] == [("slack", "core ^2.0")]
    assert outlook.missing == ()
    with ground.registry.write() as tx:
        for ref in ("tool", "slack"):
            pack = queries.pack(tx.connection, ref)
            assert pack is not None
            outcomes.unregister(tx, pack, reason="removed", correlation_id="chg_1")
        outlook = standing.if_put_back(tx.connection, target)
        assert outlook.breaks == ()
        assert [need.ref for need in outlook.missing] == ["tool"]


# --- what lay there before -------------------------------------------------------------------------------------------


def test_a_folder_whose_content_takes_another_ref_leaves_its_former_pack_in_use(ground: Ground) -> None:
    """It may have been moved: whether it was is found out before it is unregistered."""
    with ground.registry.write() as tx:
        go(tx, ready(tx, "old", drop="folder"))
    with ground.registry.write() as tx:
        go(tx, ready(tx, "new", drop="folder"))
    assert said(ground) == [("pack.registered", "old"), ("pack.registered", "new")]
    assert active(ground) == {"old#1", "new#1"}
    with ground.registry.read() as connection:
        assert [pack.ref for pack in queries.all_left_behind(connection)] == ["old"]


def test_what_was_on_its_way_from_there_never_comes_into_use(ground: Ground) -> None:
    """A candidate that waited is not woken after its folder holds another pack, which would unregister that one."""
    with ground.registry.write() as tx:
        stale = add(tx, a_revision("old", phase=Phase.WAITING, path="/srv/packs/folder"), drop="folder")
        fresh = add(tx, a_revision("new", phase=Phase.WAITING, path="/srv/packs/folder"), drop="folder")
    with ground.registry.read() as connection:
        assert queries.waiting_candidates(connection) == ["new"]
        assert queries.candidate(connection, stale.ref) is None
        assert queries.candidate(connection, fresh.ref) == fresh


def test_a_former_pack_that_is_tried_again_leaves_the_new_one_alone(ground: Ground) -> None:
    """Only a pack whose drop was taken by another is left behind, not the one that took it."""
    with ground.registry.write() as tx:
        former = add(tx, a_revision("old", phase=Phase.FAILED, path="/srv/packs/folder"), drop="folder")
        go(tx, ready(tx, "new", drop="folder"))
        owner = queries.pack(tx.connection, "new")
    with ground.registry.write() as tx:
        tx.claim_pack("old", drop_name=None, path="/srv/packs/folder")  # as if registered from elsewhere
        go(tx, tx.change(former, phase=Phase.TESTED))
    assert "new#1" in active(ground)
    with ground.registry.read() as connection:
        assert queries.pack(connection, "new") == owner


# --- going -----------------------------------------------------------------------------------------------------------


def test_unregistering_is_told_if_anything_was_in_use(ground: Ground) -> None:
    """Nobody needs to hear that something is gone which never was there for him."""
    for ref, phase in (("used", Phase.TESTED), ("unused", Phase.SNAPSHOTTED)):
        with ground.registry.write() as tx:
            revision = add(tx, a_revision(ref, phase=phase))
            if phase == Phase.TESTED:
                go(tx, revision)
    for ref in ("used", "unused"):
        with ground.registry.write() as tx:
            pack = queries.pack(tx.connection, ref)
            assert pack is not None
            outcomes.unregister(tx, pack, reason="removed", correlation_id="chg_1")
            latest = queries.latest_revision(tx.connection, ref)
            assert latest is not None
            assert latest.phase == Phase.SUPERSEDED
    assert said(ground) == [("pack.registered", "used"), ("pack.unregistered", "used")]
    assert last_said(ground)["last"]["revision"] == 1
    assert active(ground) == set()
