"""Drops, packs, revisions and runs: what is true now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from packd.domain.lifecycle import UNFINISHED, NotATransition, Phase, Trigger
from packd.domain.manifest import Component
from packd.registry import queries
from packd.registry.rows import Drop
from tests.unit.registry_ground import KINDS, Ground, a_revision, a_run, add, digest_of, made_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.registry.registry import Writer
    from packd.registry.rows import Revision


@pytest.fixture(params=KINDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """A registry on an empty, prepared database."""
    with made_ground(request.param, tmp_path) as ground:
        yield ground


def in_use(tx: Writer, ref: str, number: int) -> Revision:
    """A new revision that goes straight into use."""
    previous = queries.active_revision(tx.connection, ref)
    reason = "updated" if previous else "registered"
    return tx.activate(add(tx, a_revision(ref, number, Phase.TESTED)), previous, reason=reason, actor="watch")


# --- drops -----------------------------------------------------------------------------------------------------------


def test_a_drop_is_remembered_as_it_was(ground: Ground) -> None:
    """Every field comes back equal, JSON arrays as tuples."""
    problems = ({"code": "tree.unreadable", "line": None, "message": "caf\udce9 \0 é"},)
    seen = Drop(
        name="core", kind="folder", ref="core", fingerprint="f", digest="d", problems=problems, gone_at_s=1769850900.25
    )
    with ground.registry.write() as tx:
        tx.save_drop(seen)
        assert queries.drop(tx.connection, "core") == seen


def test_a_drop_is_known_by_its_name(ground: Ground) -> None:
    """What was seen before under that name is replaced, also by nothing."""
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name="core", kind="folder", ref="core", gone_at_s=12.5))
        tx.save_drop(Drop(name="core", kind="archive"))
        tx.save_drop(Drop(name="base", kind="folder"))
        assert queries.all_drops(tx.connection) == [
            Drop(name="base", kind="folder"),
            Drop(name="core", kind="archive"),
        ]
        tx.forget_drop("core")
        assert queries.drop(tx.connection, "core") is None


@pytest.mark.parametrize("name", ["caf\udce9", "\udcff\udcfe", "a\U0010ffff0000e9b", "日本", "plain", "a\\udce9"])
def test_any_file_name_is_kept_exactly(ground: Ground, name: str) -> None:
    """Names whose bytes are not UTF-8 are found again, and none is mistaken for another."""
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name=name, kind="folder", ref="core"))
        tx.claim_pack("core", drop_name=name, path=f"/srv/packs/{name}")
        tx.add_revision(a_revision("core", path=f"/srv/packs/{name}"))
    with ground.registry.read() as connection:
        assert [drop.name for drop in queries.all_drops(connection)] == [name]
        assert queries.drop(connection, name) is not None
        pack, revision = queries.pack_of_drop(connection, name), queries.candidate(connection, "core")
    assert pack is not None
    assert revision is not None
    assert pack.drop_name == name
    assert pack.path == revision.path == f"/srv/packs/{name}"


def test_drops_that_claim_a_pack_are_found_by_its_ref(ground: Ground) -> None:
    """More than one when somebody copied a folder."""
    with ground.registry.write() as tx:
        for name, ref in (("copy", "core"), ("core", "core"), ("other", "other"), ("unread", None)):
            tx.save_drop(Drop(name=name, kind="folder", ref=ref))
        assert [drop.name for drop in queries.drops_claiming(tx.connection, "core")] == ["copy", "core"]


# --- packs -----------------------------------------------------------------------------------------------------------


def test_a_drop_owns_one_pack(ground: Ground) -> None:
    """When its content takes another ref, the former pack has no drop any more."""
    with ground.registry.write() as tx:
        tx.claim_pack("old", drop_name="folder", path="/srv/packs/folder")
        tx.claim_pack("new", drop_name="folder", path="/srv/packs/folder")
        owner, former = queries.pack_of_drop(tx.connection, "folder"), queries.pack(tx.connection, "old")
    assert owner is not None
    assert owner.ref == "new"
    assert former is not None
    assert former.drop_name is None


def test_a_pack_moves_to_another_drop(ground: Ground) -> None:
    """A renamed folder is the same pack; when it was registered is not forgotten."""
    with ground.registry.write() as tx:
        in_use(tx, "core", 1)
        before = queries.pack(tx.connection, "core")
        after = tx.claim_pack("core", drop_name="renamed", path="/srv/packs/renamed")
        assert queries.pack_of_drop(tx.connection, "core") is None
        assert queries.pack_of_drop(tx.connection, "renamed") == queries.pack(tx.connection, "core") == after
    assert before is not None
    assert after.registered_at == before.registered_at is not None


def test_the_candidate_of_a_former_pack_is_superseded(ground: Ground) -> None:
    """Its content is not there any more: it must not come into use later, by itself."""
    with ground.registry.write() as tx:
        ground_path = "/srv/packs/folder"
        add(tx, a_revision("old", phase=Phase.WAITING, path=ground_path), drop="folder")
        tx.claim_pack("new", drop_name="folder", path=ground_path)
        superseded = queries.latest_revision(tx.connection, "old")
    assert superseded is not None
    assert superseded.phase == Phase.SUPERSEDED


def test_packs_left_behind_are_those_whose_drop_another_took(ground: Ground) -> None:
    """Not the pack itself, none from elsewhere, none that was moved to another drop, none that is gone already."""
    with ground.registry.write() as tx:
        for ref, drop, path in (
            ("gone", "folder", "/p/folder"),
            ("moved", "folder", "/p/folder"),
            ("left", "folder", "/p/folder"),
            ("elsewhere", "other", "/p/other"),
            ("new", "folder", "/p/folder"),
        ):
            tx.claim_pack(ref, drop_name=drop, path=path)
        tx.claim_pack("moved", drop_name="renamed", path="/p/folder")
        tx.unregister("gone")
        assert [pack.ref for pack in queries.packs_left_behind(tx.connection, "new", "/p/folder")] == ["left"]
        assert queries.packs_left_behind(tx.connection, "other", "/p/nowhere") == []


def test_an_unregistered_pack_keeps_its_history(ground: Ground) -> None:
    """It is not among the packs that are there, its drop is free, and its revisions and runs stay."""
    with ground.registry.write() as tx:
        in_use(tx, "core", 1)
        tx.unregister("core")
        gone = queries.pack(tx.connection, "core")
        assert queries.present_packs(tx.connection) == []
        assert len(queries.revision_history(tx.connection, "core")) == 1
        tx.claim_pack("other", drop_name="core", path="/srv/packs/core")
    assert gone is not None
    assert (gone.drop_name, gone.registered_at, gone.unregistered_at) == (None, None, tx.now)


def test_a_pack_that_comes_back_is_registered_anew(ground: Ground) -> None:
    """Registered since its first activation after it was last unregistered."""
    with ground.registry.write() as tx:
        tx.move(in_use(tx, "core", 1), Trigger.SUPERSEDED)
        tx.unregister("core")
    ground.now_s += 60
    with ground.registry.write() as tx:
        back = tx.claim_pack("core", drop_name="core", path="/srv/packs/core")
        assert (back.registered_at, back.unregistered_at) == (None, None)
        in_use(tx, "core", 2)
        registered = queries.pack(tx.connection, "core")
    assert registered is not None
    assert registered.registered_at == tx.now


# --- revisions -------------------------------------------------------------------------------------------------------


def test_a_revision_comes_back_equal(ground: Ground) -> None:
    """Every field, through JSON and more than 32 bits."""
    revision = a_revision(
        "core",
        phase=Phase.WAITING,
        bytes=5 * 2**30,
        needs=({"ref": "base", "range": ">=1.2,<2"},),
        problems=({"code": "a", "line": 3, "suggestion": None},),
        waits_for=({"ref": "base", "version": ">=1.2,<2"},),
        fields={"label": "caf\udce9 \0", "nested": {"list": [1, 2.5, True, None]}},
        causation_id="evt_1",
        forced=True,
    )
    ground.add(revision)
    with ground.registry.read() as connection:
        assert queries.candidate(connection, "core") == revision
        assert queries.revision(connection, "core", 1) == revision
        assert queries.revision(connection, "core", 2) is None
        assert revision.name == "core#1"


def test_a_pack_has_one_active_revision(ground: Ground) -> None:
    """The schema refuses a second one, whoever asks."""
    with pytest.raises(IntegrityError), ground.registry.write() as tx:
        in_use(tx, "core", 1)
        tx.activate(add(tx, a_revision("core", 2, Phase.TESTED)), None, reason="updated", actor="watch")
    with ground.registry.read() as connection:
        assert queries.active_revisions(connection) == []


@pytest.mark.parametrize("second", sorted(UNFINISHED))
def test_a_pack_has_one_candidate(ground: Ground, second: Phase) -> None:
    """Newer content has to supersede the older candidate first."""
    ground.add(a_revision("core", 1, Phase.WAITING))
    with pytest.raises(IntegrityError):
        ground.add(a_revision("core", 2, second))


def test_every_pack_may_have_both(ground: Ground) -> None:
    """One in use and one on its way, in each of several packs."""
    with ground.registry.write() as tx:
        for ref in ("a", "b"):
            in_use(tx, ref, 1)
            add(tx, a_revision(ref, 2))
        assert queries.active_digests(tx.connection) == {"a": digest_of("a#1"), "b": digest_of("b#1")}
        assert {one.name for one in queries.candidates(tx.connection)} == {"a#2", "b#2"}
        assert {one.name for one in queries.active_revisions(tx.connection)} == {"a#1", "b#1"}
        assert {one.name for one in queries.latest_revisions(tx.connection)} == {"a#2", "b#2"}
        for phase, names in ((Phase.SNAPSHOTTED, {"a#2", "b#2"}), (Phase.ACTIVE, set())):
            assert {one.name for one in queries.latest_revisions(tx.connection, phase)} == names
        assert [one.name for one in queries.revision_history(tx.connection, "a")] == ["a#2", "a#1"]
        assert queries.digests_in_use(tx.connection) == {digest_of(f"{ref}#{n}") for ref in "ab" for n in (1, 2)}


def test_a_revision_follows_the_lifecycle(ground: Ground) -> None:
    """What is not in the table is refused, and the row stays as it was."""
    revision = ground.add(a_revision("core"))
    with pytest.raises(NotATransition), ground.registry.write() as tx:
        tx.move(revision, Trigger.ACTIVATED)
    with ground.registry.read() as connection:
        assert queries.candidate(connection, "core") == revision


def test_a_move_is_written_as_it_is_returned(ground: Ground) -> None:
    """The value in hand is the row, phase and moment included."""
    revision = ground.add(a_revision("core"))
    with ground.registry.write() as tx:
        moved = tx.move(revision, Trigger.VALIDATION_PASSED, needs=({"ref": "b", "range": "*"},), fields={"a": 1})
        assert moved == queries.candidate(tx.connection, "core")
        assert (moved.phase, moved.phase_at) == (Phase.VALIDATED, tx.now)
        assert tx.change(moved, tests_skipped=True) == queries.candidate(tx.connection, "core")


def test_a_revision_belongs_to_a_known_pack(ground: Ground) -> None:
    """No orphan rows."""
    with pytest.raises(IntegrityError), ground.registry.write() as tx:
        tx.add_revision(a_revision("nobody"))


def test_candidates_that_may_be_waiting_for_another_pack(ground: Ground) -> None:
    """Those that wait, and those that are tested and have not gone ahead; not those that are on their way."""
    for phase in sorted(UNFINISHED):
        ground.add(a_revision(str(phase), phase=phase))
    ground.add(a_revision("finished", phase=Phase.FAILED))
    with ground.registry.read() as connection:
        assert sorted(queries.waiting_candidates(connection)) == ["tested", "waiting"]


def test_only_active_revisions_that_need_something_are_asked_for(ground: Ground) -> None:
    """An empty list of needs is no need."""
    need = ({"ref": "base", "range": "*"},)
    with ground.registry.write() as tx:
        in_use(tx, "base", 1)
        tx.change(in_use(tx, "needy", 1), needs=need)
        add(tx, a_revision("candidate", needs=need))
        assert [one.ref for one in queries.active_with_needs(tx.connection)] == ["needy"]
        versions = queries.active_versions(tx.connection, {"base", "needy", "candidate", "nobody"})
        assert versions == {"base": "1.0.0", "needy": "1.0.0"}
        assert queries.active_versions(tx.connection, ()) == {}


# --- activations -----------------------------------------------------------------------------------------------------


def test_activating_supersedes_and_is_written_down(ground: Ground) -> None:
    """What was in use, what is, why and by whom: one step."""
    with ground.registry.write() as tx:
        first, second = in_use(tx, "core", 1), in_use(tx, "core", 2)
        assert (first.phase, second.phase) == (Phase.ACTIVE, Phase.ACTIVE)
        newest, oldest = queries.activation_history(tx.connection, "core")
        assert queries.active_revision(tx.connection, "core") == second
        older = queries.revision(tx.connection, "core", 1)
    assert older is not None
    assert older.phase == Phase.SUPERSEDED
    assert (oldest.number, oldest.previous_number, oldest.reason) == (1, None, "registered")
    assert (newest.number, newest.previous_number, newest.reason, newest.actor) == (2, 1, "updated", "watch")
    assert (newest.digest, newest.at) == (second.digest, tx.now)


def test_rolling_back_withdraws_and_restores(ground: Ground) -> None:
    """The withdrawn one is not superseded: nothing but a retry brings it back."""
    with ground.registry.write() as tx:
        first, second = in_use(tx, "core", 1), in_use(tx, "core", 2)
        target = queries.rollback_target(tx.connection, "core")
        assert target is not None
        assert target.number == first.number
        withdrawn, restored = tx.roll_back(second, target, actor="uid=1000")
        assert queries.active_revision(tx.connection, "core") == restored
        assert queries.revision(tx.connection, "core", 2) == withdrawn
        assert (withdrawn.phase, restored.number) == (Phase.ROLLED_BACK, 1)
        assert queries.activation_history(tx.connection, "core")[0].reason == "rolled_back"
        assert queries.rollback_target(tx.connection, "core") is None


def test_the_target_is_what_was_in_use_before(ground: Ground) -> None:
    """After going back from 3 to 1 and on to 4, the way back from 4 leads to 1: an operator has passed over 2."""
    with ground.registry.write() as tx:
        for number in (1, 2, 3):
            in_use(tx, "core", number)
        third, first = queries.active_revision(tx.connection, "core"), queries.revision(tx.connection, "core", 1)
        assert third is not None
        assert first is not None
        tx.roll_back(third, first, actor="uid=1000")
        in_use(tx, "core", 4)
        target = queries.rollback_target(tx.connection, "core")
    assert target is not None
    assert target.number == 1


def test_what_never_was_active_is_no_target(ground: Ground) -> None:
    """A candidate that newer content replaced is superseded too, and was never good."""
    with ground.registry.write() as tx:
        tx.move(add(tx, a_revision("core", 1)), Trigger.SUPERSEDED)
        in_use(tx, "core", 2)
        assert queries.rollback_target(tx.connection, "core") is None
        assert not queries.was_ever_active(tx.connection, "core", 1)
        assert queries.was_ever_active(tx.connection, "core", 2)


# --- components ------------------------------------------------------------------------------------------------------


def test_components_are_replaced_as_a_whole(ground: Ground) -> None:
    """What a reading no longer has is gone, and other revisions keep theirs."""
    echo = Component(kind="action", ref="core.echo", label="Echo", path="actions/echo.yaml", runner_type="shell")
    clean = Component(kind="policy", ref="core.clean", label="Clean", path="policies/clean.yaml")
    older = ground.add(a_revision("core", 1, Phase.FAILED))
    newer = ground.add(a_revision("core", 2))
    with ground.registry.write() as tx:
        tx.set_components(older, (echo,))
        tx.set_components(newer, (echo, clean))
        tx.set_components(newer, (replace(echo, label="Say"), replace(echo, ref="core.cry")))
        assert queries.component_counts(tx.connection, "core", 2) == {"action": 2}
        found = queries.components_of(tx.connection, "core", 2)
        assert [(row["component_ref"], row["label"]) for row in found] == [("core.cry", "Echo"), ("core.echo", "Say")]
        assert found[0]["runner_type"] == "shell"
        tx.set_components(newer, ())
        assert queries.components_of(tx.connection, "core", 2) == []
        assert queries.component_counts(tx.connection, "core", 1) == {"action": 1}


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_is_open_until_it_is_finished(ground: Ground) -> None:
    """A daemon that was killed finds the runs that were under way; a finished one has its report."""
    ground.add(a_revision("core"))
    report = {"status": "failed", "test_suites": [{"output_tail": "\0\ud800 é"}], "pass_rate": 0.5}
    with ground.registry.write() as tx:
        tx.start_run(a_run("run_1"))
        tx.start_run(a_run("run_2"))
        assert queries.finished_run(tx.connection, "run_2") == a_run("run_2")
        tx.finish_run("run_1", status="failed", accepted=False, verdict="1 of 2 failed", report=report)
    with ground.registry.read() as connection:
        assert [run.id for run in queries.unfinished_runs(connection)] == ["run_2"]
        finished = queries.finished_run(connection, "run_1")
    ending = {"status": "failed", "accepted": False, "verdict": "1 of 2 failed", "report": report}
    assert finished == replace(a_run("run_1"), finished_at=tx.now, **ending)


def test_an_unknown_run_is_an_error_only_where_it_must_exist(ground: Ground) -> None:
    """Asking is allowed; counting on it is not."""
    with ground.registry.read() as connection:
        assert queries.run(connection, "run_0") is None
        with pytest.raises(LookupError, match="run_0"):
            queries.finished_run(connection, "run_0")


def test_runs_are_listed_newest_first(ground: Ground) -> None:
    """By the moment they began, and by identity within one."""
    ground.add(a_revision("core", 1, Phase.FAILED))
    ground.add(a_revision("core", 2))
    with ground.registry.write() as tx:
        for name, second, number in (("run_a", 1, 1), ("run_c", 2, 2), ("run_b", 2, 2), ("run_d", 0, 1)):
            tx.start_run(a_run(name, at=f"2026-01-31T08:05:0{second}.000Z", number=number))
        assert [run.id for run in queries.run_history(tx.connection, "core")] == ["run_c", "run_b", "run_a", "run_d"]
        latest = queries.latest_run(tx.connection, "core", 1)
        assert queries.latest_run(tx.connection, "core", 3) is None
    assert latest is not None
    assert latest.id == "run_a"


def test_packs_are_counted_by_their_newest_revision(ground: Ground) -> None:
    """What was unregistered counts nowhere, what was before the newest revision neither."""
    for revision in (
        a_revision("core", 1, Phase.ACTIVE),
        a_revision("core", 2, Phase.FAILED),
        a_revision("web", 1, Phase.ACTIVE),
        a_revision("gone", 1, Phase.ROLLED_BACK),
    ):
        ground.add(revision)
    with ground.registry.write() as tx:
        tx.unregister("gone")
        tx.save_drop(Drop(name="odd", kind="folder", problems=({"code": "manifest.missing", "message": "none"},)))
        tx.save_drop(Drop(name="fine", kind="folder"))
    with ground.registry.read() as connection:
        assert queries.latest_phases(connection) == {Phase.FAILED: 1, Phase.ACTIVE: 1}
        assert queries.counts(connection) == (2, 2, 1, 1)


def test_what_a_transaction_remembers_of_a_pack_follows_what_it_changes(ground: Ground) -> None:
    """Asked once, then as the rows are: new, moved on, put in use, withdrawn."""
    with ground.registry.write() as tx:
        assert (tx.pack("core"), tx.latest("core"), tx.active("core"), tx.candidate("core")) == (None,) * 4
        first = add(tx, a_revision("core", phase=Phase.TESTED))
        assert heads(tx) == rows(tx) == (first, None, first)
        first = tx.activate(first, None, reason="registered", actor="watch")
        assert heads(tx) == rows(tx) == (first, first, None)
        second = add(tx, a_revision("core", 2, phase=Phase.TESTED))
        assert heads(tx) == rows(tx) == (second, first, second)
        second = tx.activate(second, first, reason="updated", actor="watch")
        assert heads(tx) == rows(tx) == (second, second, None)
        before = queries.rollback_target(tx.reader, "core")
        assert before is not None
        withdrawn, first = tx.roll_back(second, before, actor="watch")
        assert heads(tx) == rows(tx) == (withdrawn, first, None)


def test_what_is_remembered_is_asked_again_after_any_other_statement(ground: Ground) -> None:
    """Whoever takes the connection may change anything through it."""
    with ground.registry.write() as tx:
        add(tx, a_revision("core"))
        assert tx.candidate("core") is not None
        tx.connection.execute(text("UPDATE revisions SET phase = 'rejected'"))
        assert tx.candidate("core") is None


def heads(tx: Writer) -> tuple[Revision | None, ...]:
    return tx.latest("core"), tx.active("core"), tx.candidate("core")


def rows(tx: Writer) -> tuple[Revision | None, ...]:
    """The same from the database."""
    asked = (queries.latest_revision, queries.active_revision, queries.candidate)
    return tuple(ask(tx.reader, "core") for ask in asked)
