"""Whatever happens to a few packs that need each other, in whatever order: the registry stays true to its rules.

A machine of random steps over the real registry on real SQLite, with what outcomes does in the corridor, beside a
model that keeps only what should be true. Any step may be abandoned half way, and the database closed and opened again.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from packd.domain.dependencies import Party, Standing, meets, standing
from packd.domain.event_data import PackChanged, PackDiscovered, PackRolledBack
from packd.domain.lifecycle import REFUSED, TRANSITIONS, UNFINISHED, Phase, Trigger
from packd.domain.manifest import Need
from packd.domain.problems import Problem
from packd.domain.reports import Report, SuiteReport
from packd.flow import outcomes, tell
from packd.flow import standing as asked
from packd.flow.availability import Availability
from packd.registry import outbox, queries
from packd.registry.database import Database, sqlite_url
from packd.registry.rows import Drop
from tests.unit.registry_ground import Ground, a_revision, a_run, an_endpoint, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DataObject
    from sqlalchemy import Connection

    from packd.registry.registry import Writer
    from packd.registry.rows import Revision, StoredEvent

REFS = ("a", "b", "c")
VERSIONS = ("1.0.0", "1.5.0", "2.0.0")
NEEDS = st.dictionaries(st.sampled_from(REFS), st.sampled_from(("*", "^1.0", ">=1.5")), max_size=2)
FIRST_NEEDS = st.sampled_from(({}, {"a": "*"}, {"b": "*"}, {"a": "*", "b": "^1.0"}, {"c": "^1.0"}))
SELDOM = st.sampled_from((False,) * 7 + (True,))
MOSTLY = st.sampled_from((True, True, True, True, False))
JUDGED = (Phase.VALIDATED, Phase.WAITING, Phase.TESTED)
MOVES = frozenset((before, then) for (before, _), then in TRANSITIONS.items())

# The database itself writes down every change of a phase, and forgets it with the transaction that made it.
WATCH_MOVES = (
    "CREATE TABLE moves (old_phase TEXT, new_phase TEXT)",
    "CREATE TRIGGER moved AFTER UPDATE OF phase ON revisions WHEN old.phase <> new.phase "
    "BEGIN INSERT INTO moves VALUES (old.phase, new.phase); END",
)

# How many deliveries, and the last and the first of their places.
_PLACES = text(
    "SELECT endpoint, count(DISTINCT endpoint_seq), max(endpoint_seq), min(endpoint_seq) FROM deliveries GROUP BY endpoint"
)


class Abandoned(Exception):
    """Raised in the middle of a transaction."""


@dataclass
class Known:
    """What should be true of one revision."""

    number: int
    party: Party
    digest: str
    phase: Phase = Phase.SNAPSHOTTED
    judged: bool = False  # it said what it must
    for_others: bool = False  # it was refused, for nothing but whom it would break
    passed_over: bool = False  # somebody went back to an earlier one since


@dataclass
class Model:
    """What should be true of all packs."""

    packs: dict[str, list[Known]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)  # unregistered
    disabled: set[str] = field(default_factory=set)

    def in_phase(self, ref: str, *phases: Phase) -> Known | None:
        return next((one for one in self.packs.get(ref, ()) if one.phase in phases), None)

    def candidate(self, ref: str) -> Known | None:
        return self.in_phase(ref, *UNFINISHED)

    def refs_with(self, *phases: Phase) -> list[str]:
        return sorted(ref for ref in self.packs if self.in_phase(ref, *phases))

    def refused_for_others(self, ref: str) -> Known | None:
        one = self.packs[ref][-1]
        if ref in self.gone | self.disabled or one.phase != Phase.REJECTED or not one.for_others or one.passed_over:
            return None
        return one

    def counted_on(self, ref: str) -> Known | None:
        again = self.in_phase(ref, Phase.SNAPSHOTTED)
        return self.in_phase(ref, *JUDGED) or (again if again and again.judged else self.refused_for_others(ref))

    def active(self) -> dict[str, Party]:
        found = {ref: self.in_phase(ref, Phase.ACTIVE) for ref in self.packs}
        return {ref: one.party for ref, one in found.items() if one}

    def outlook(self, ref: str) -> Standing:
        mine = self.candidate(ref) or self.refused_for_others(ref)
        found = {other: self.counted_on(other) for other in self.packs} | {ref: mine}
        candidates = {other: one.party for other, one in found.items() if one}
        return standing(ref, active=self.active(), candidates=candidates)

    def put_in_use(self, one: Known) -> None:
        before = self.in_phase(one.party.ref, Phase.ACTIVE)
        if before is not None:
            before.phase = Phase.SUPERSEDED
        one.phase = Phase.ACTIVE

    def settle(self, ref: str, one: Known) -> None:
        outlook = self.outlook(ref)
        one.phase = Phase.WAITING if outlook.missing else one.phase
        if outlook.forbidden_by:
            self.forbid(one)

    def forbid(self, one: Known) -> None:
        one.phase, one.for_others, one.passed_over = Phase.REJECTED, True, False

    def activate(self, ref: str, one: Known) -> None:
        outlook = self.outlook(ref)
        group = [self.in_phase(member, Phase.TESTED) for member in sorted(outlook.group)]
        if outlook.forbidden_by:
            self.forbid(one)
        elif outlook.missing:
            one.phase = Phase.WAITING
        elif all(group):
            for member in filter(None, group):
                self.put_in_use(member)

    def if_put_back(self, one: Known) -> Standing:
        return standing(one.party.ref, active=self.active(), candidates={one.party.ref: one.party})

    def needs_met(self) -> set[tuple[str, int, Need]]:
        active = self.active()
        numbers = {ref: one.number for ref in active if (one := self.in_phase(ref, Phase.ACTIVE))}
        return {
            (ref, numbers[ref], need)
            for ref, party in active.items()
            for need in party.needs
            if need.ref in active and meets(active[need.ref].version, need)
        }


class RegistryMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize(needs=st.tuples(FIRST_NEEDS, FIRST_NEEDS, FIRST_NEEDS), rounds=st.integers(0, 3))
    def open(self, needs: tuple[dict[str, str], ...], rounds: int) -> None:
        """A few packs are there already, on their way or in use, most of them in need of each other."""
        self.folder = Path(tempfile.mkdtemp(prefix="registry-"))
        self.model = Model()
        self.said = 0  # events of transactions that ended well
        self.heard = 0  # events that the invariants have looked at
        self.wanted = {"all": 0, "some": 0}  # deliveries, by endpoint
        self.in_use: dict[str, int | None] = {}  # ref → number, as the events tell it
        self.switches: list[tuple[str, int, int | None]] = []  # (ref, number, number before), as the events tell it
        self._connect()
        with self.ground.database.write() as connection:
            for statement in WATCH_MOVES:
                connection.execute(text(statement))
            outbox.save_endpoint(connection, an_endpoint("all"))
            outbox.save_endpoint(connection, an_endpoint("some", packs=("a", "b"), ordering="strict"))
        for ref, needed in zip(REFS, needs, strict=True):
            self.drop(ref, "1.0.0", needed, well=True, abandon=False)
        for _ in range(rounds):
            self.carry_all(well=True)

    def _connect(self) -> None:
        database = Database(sqlite_url(self.folder))
        database.prepare()
        self.ground = Ground(sqlite_url(self.folder), database)

    def teardown(self) -> None:
        if hasattr(self, "ground"):
            self.ground.database.close()
            shutil.rmtree(self.folder)

    def transaction(self, abandon: bool, step: Callable[[Writer], None], expect: Callable[[], None]) -> None:
        """`step` on the registry and, unless it is abandoned, `expect` on the model."""
        self.ground.now_s += 1
        told = len(self.ground.told)
        try:
            with self.ground.registry.write() as tx:
                step(tx)
                if abandon:
                    raise Abandoned
        except Abandoned:
            assert len(self.ground.told) == told
            return
        self.said += len(tx.emitted)
        expect()

    # --- steps ---------------------------------------------------------------------------------------------------------

    @rule(ref=st.sampled_from(REFS), version=st.sampled_from(VERSIONS), needs=NEEDS, well=MOSTLY, abandon=SELDOM)
    def new_content(self, ref: str, version: str, needs: dict[str, str], well: bool, abandon: bool) -> None:
        """Something is dropped and judged; an older candidate is superseded."""
        self.drop(ref, version, needs, well=well, abandon=abandon)

    def drop(self, ref: str, version: str, needs: dict[str, str], *, well: bool, abandon: bool) -> None:
        if ref in self.model.disabled:  # nothing is made of it
            return
        party = Party(
            ref=ref,
            version=version,
            needs=tuple(Need(ref=other, range=wanted) for other, wanted in sorted(needs.items()) if other != ref),
        )
        known = Known(
            number=len(self.model.packs.get(ref, ())) + 1, party=party, digest=digest_of(f"{ref} {version} {needs}")
        )

        def step(tx: Writer) -> None:
            outcomes.supersede_candidate(tx, ref)
            pack = queries.pack(tx.connection, ref)
            tx.claim_pack(ref, drop_name=ref, path=f"/srv/packs/{ref}")
            tx.save_drop(Drop(name=ref, kind="folder", ref=ref, digest=known.digest))
            revision = a_revision(
                ref, known.number, version=None, fields={}, digest=known.digest, created_at=tx.now, phase_at=tx.now
            )
            tx.add_revision(revision)
            kind = PackDiscovered if pack is None or pack.unregistered_at else PackChanged
            said = kind(pack=outcomes.about(tx, revision), trigger="fs", files=2, bytes=300)
            self._judge(tx, tx.change(revision, causation_id=outcomes.emit(tx, revision, said)), known, well=well)

        def expect() -> None:
            older = self.model.candidate(ref)
            if older is not None:
                older.phase = Phase.SUPERSEDED
            self.model.packs.setdefault(ref, []).append(known)
            self.model.gone.discard(ref)
            self._expect_judgement(known, well=well)

        self.transaction(abandon, step, expect)

    @precondition(lambda self: self.model.refs_with(*UNFINISHED))
    @rule(data=st.data(), stages=st.integers(1, 3), well=MOSTLY, at_once=st.booleans(), abandon=SELDOM)
    def carry(self, data: DataObject, stages: int, well: bool, at_once: bool, abandon: bool) -> None:
        """A candidate goes on, stage by stage, as far as it can."""
        ref = data.draw(st.sampled_from(self.model.refs_with(*UNFINISHED)))
        for _ in range(stages):
            one = self.model.candidate(ref)
            if one is None:
                return
            self.advance(one, well=well, at_once=at_once, abandon=abandon)

    @precondition(lambda self: self.model.refs_with(*UNFINISHED))
    @rule(well=MOSTLY, rounds=st.integers(1, 3))
    def carry_everything(self, well: bool, rounds: int) -> None:
        """Time goes by, and nothing else happens."""
        for _ in range(rounds):
            self.carry_all(well=well)

    def carry_all(self, *, well: bool) -> None:
        """Every candidate goes on by one stage, as after a change that might concern all of them."""
        for ref in self.model.refs_with(*UNFINISHED):
            one = self.model.candidate(ref)
            if one is not None:  # or it went along with another one
                self.advance(one, well=well, at_once=True, abandon=False)

    def advance(self, one: Known, *, well: bool, at_once: bool, abandon: bool) -> None:
        """The next stage, as the pipeline knows them."""
        ref = one.party.ref
        if one.phase == Phase.SNAPSHOTTED:
            self.validate(ref, one, well=well, abandon=abandon)
        elif one.phase == Phase.WAITING:
            self.look_again(ref, one, abandon=abandon)
        elif one.phase == Phase.VALIDATED:
            self.run_tests(ref, one, well=well, at_once=at_once, abandon=abandon)
        else:
            self.activate(ref, one, abandon=abandon)

    def validate(self, ref: str, one: Known, *, well: bool, abandon: bool) -> None:
        """What is tried again is judged again."""

        def step(tx: Writer) -> None:
            self._judge(tx, self._candidate(tx, ref), one, well=well)

        self.transaction(abandon, step, lambda: self._expect_judgement(one, well=well))

    def look_again(self, ref: str, one: Known, *, abandon: bool) -> None:
        """What it waited for may be active by now, or it may break somebody by now."""

        def step(tx: Writer) -> None:
            revision = self._candidate(tx, ref)
            outlook = asked.of(tx.connection, revision)
            if outlook.forbidden_by or not outlook.missing:
                released = tx.move(revision, Trigger.RELEASED, waits_for=())
                if outlook.forbidden_by:
                    outcomes.reject_breaking(tx, released, outlook)

        def expect() -> None:
            one.phase = Phase.VALIDATED
            self.model.settle(ref, one)

        self.transaction(abandon, step, expect)

    def run_tests(self, ref: str, one: Known, *, well: bool, at_once: bool, abandon: bool) -> None:
        """Its tests pass, and it goes ahead in the same step or later; or they fail."""

        def step(tx: Writer) -> None:
            revision = self._candidate(tx, ref)
            run, report = (
                a_run(f"run_{self.ground.now_s}", ref=revision.ref, number=revision.number, at=tx.now),
                a_report(revision, well=well),
            )
            tx.start_run(run)
            tx.finish_run(run.id, status=report.status, accepted=well, verdict="so it is", report=report.to_dict())
            if not well:
                outcomes.fail(tx, revision, run, report)
                return
            tested = outcomes.accept(tx, revision, run, report)
            if at_once:
                outcomes.activate(tx, tested, now_s=self.ground.now_s)

        def expect() -> None:
            one.phase = Phase.TESTED if well else Phase.FAILED
            if well and at_once:
                self._expect_activation(ref, one)

        self.transaction(abandon, step, expect)

    def activate(self, ref: str, one: Known, *, abandon: bool) -> None:
        """A tested candidate goes ahead with all that can only go with it, or waits, or is refused."""

        def step(tx: Writer) -> None:
            outcomes.activate(tx, self._candidate(tx, ref), now_s=self.ground.now_s)

        self.transaction(abandon, step, lambda: self._expect_activation(ref, one))

    @precondition(lambda self: self.model.refs_with(Phase.ACTIVE))
    @rule(data=st.data(), abandon=SELDOM)
    def roll_back(self, data: DataObject, abandon: bool) -> None:
        """An operator withdraws what is in use; anything that was good once can be put back."""
        ref = data.draw(st.sampled_from(self.model.refs_with(Phase.ACTIVE)))
        one = self.model.in_phase(ref, Phase.ACTIVE)
        assert one is not None
        good = {number for name, number, _ in self.switches if name == ref}
        targets = [old for old in self.model.packs[ref] if old.phase == Phase.SUPERSEDED and old.number in good]
        if not targets:
            with self.ground.registry.read() as connection:
                assert queries.rollback_target(connection, ref) is None
            return
        chosen = data.draw(st.sampled_from(targets))
        by = Trigger.SUPERSEDED if chosen.number > one.number else Trigger.ROLLED_BACK

        def step(tx: Writer) -> None:
            active = queries.active_revision(tx.connection, ref)
            target = queries.revision(tx.connection, ref, chosen.number)
            assert active is not None
            assert target is not None
            withdrawn, restored = tx.roll_back(active, target, actor="uid=1000", by=by)
            said = PackRolledBack(
                pack=tell.about(restored, withdrawn),
                reason="operator",
                failed=tell.label(withdrawn),
                restored=tell.label(restored),
            )
            tx.emit(said, correlation_id="chg_operator")

        def expect() -> None:
            one.phase, chosen.phase = Phase(by), Phase.ACTIVE
            self.model.packs[ref][-1].passed_over = True

        self.transaction(abandon, step, expect)

    @precondition(lambda self: self._refused())
    @rule(data=st.data(), abandon=SELDOM)
    def retry(self, data: DataObject, abandon: bool) -> None:
        """What was refused goes through the pipeline once more."""
        ref = data.draw(st.sampled_from(self._refused()))
        one = self.model.packs[ref][-1]

        def step(tx: Writer) -> None:
            latest = queries.latest_revision(tx.connection, ref)
            assert latest is not None
            tx.move(latest, Trigger.RETRIED, problems=(), waits_for=())

        def expect() -> None:
            one.phase = Phase.SNAPSHOTTED

        self.transaction(abandon, step, expect)

    @precondition(lambda self: self._refused_for_others())
    @rule(data=st.data(), abandon=SELDOM)
    def lift(self, data: DataObject, abandon: bool) -> None:
        """What was refused in favour of others starts over by itself, if it would break nobody any more."""
        self.look_at_refused(data.draw(st.sampled_from(self._refused_for_others())), abandon=abandon)

    @precondition(lambda self: self._refused_for_others())
    @rule(well=MOSTLY)
    def come_to_rest(self, well: bool) -> None:
        """Left alone, nothing goes round in circles."""
        for _ in range(4 * len(REFS) * len(JUDGED)):
            before = [(one.number, one.phase) for known in self.model.packs.values() for one in known]
            self.carry_all(well=well)
            for ref in self._refused_for_others():
                self.look_at_refused(ref, abandon=False)
            if before == [(one.number, one.phase) for known in self.model.packs.values() for one in known]:
                return
        raise AssertionError(self.model)

    def look_at_refused(self, ref: str, *, abandon: bool) -> None:
        one = self.model.packs[ref][-1]
        lifted = not self.model.outlook(ref).forbidden_by

        def step(tx: Writer) -> None:
            refused = asked.refused_for_others(tx.connection, ref)
            assert refused is not None
            assert lifted == (not asked.of(tx.connection, refused).forbidden_by)
            if lifted:
                outcomes.try_again(tx, refused, change="chg_lifted", now_s=self.ground.now_s)

        def expect() -> None:
            if lifted:
                one.phase = Phase.SNAPSHOTTED

        self.transaction(abandon, step, expect)

    @precondition(lambda self: set(self.model.packs) - self.model.gone)
    @rule(data=st.data(), really=SELDOM, abandon=SELDOM)
    def unregister(self, data: DataObject, really: bool, abandon: bool) -> None:
        """The folder is gone: nothing of the pack is in use or on its way."""
        if not really:
            return
        ref = data.draw(st.sampled_from(sorted(set(self.model.packs) - self.model.gone)))

        def step(tx: Writer) -> None:
            pack = queries.pack(tx.connection, ref)
            assert pack is not None
            outcomes.unregister(tx, pack, reason="removed", correlation_id="chg_removed")

        def expect() -> None:
            for one in self.model.packs[ref]:
                if one.phase in UNFINISHED or one.phase == Phase.ACTIVE:
                    one.phase = Phase.SUPERSEDED
            self.model.gone.add(ref)
            self.model.disabled.discard(ref)

        self.transaction(abandon, step, expect)

    @precondition(lambda self: set(self.model.packs) - self.model.gone - self.model.disabled)
    @rule(data=st.data())
    def disable(self, data: DataObject) -> None:
        """Nothing of the pack is in use or on its way."""
        there = set(self.model.packs) - self.model.gone - self.model.disabled
        ref = data.draw(st.sampled_from(sorted(there)))
        self.as_asked(lambda asked_for: asked_for._disable(ref, "uid=1000"))
        for one in self.model.packs[ref]:
            if one.phase in UNFINISHED or one.phase == Phase.ACTIVE:
                one.phase = Phase.SUPERSEDED
        self.model.disabled.add(ref)

    @precondition(lambda self: self.model.disabled)
    @rule(data=st.data())
    def enable(self, data: DataObject) -> None:
        """What was in use last is again, but never without what it needs."""
        ref = data.draw(st.sampled_from(sorted(self.model.disabled)))
        order = {number: at for at, (name, number, _) in enumerate(self.switches) if name == ref}
        used = [one for one in self.model.packs[ref] if one.phase == Phase.SUPERSEDED and one.number in order]
        target = max(used, key=lambda one: order[one.number], default=None)
        fits = target is not None and self.model.if_put_back(target).may_go
        self.as_asked(lambda asked_for: asked_for._enable(ref, "api", "uid=1000"))
        self.model.disabled.discard(ref)
        if target is not None and fits:
            target.phase = Phase.ACTIVE

    def as_asked(self, what: Callable[[Availability], object]) -> None:
        """An operator's command, in the lane of the pack."""
        self.ground.now_s += 1
        told = len(self.ground.told)
        others = SimpleNamespace(release=lambda: None, touched=lambda *_, **__: None, new_id=lambda _: "chg_operator")
        parts: Any = dict.fromkeys(("pipeline", "runs", "settling", "lanes", "clock", "unread"), others)
        what(Availability(registry=self.ground.registry, **parts))
        self.said += sum(len(events) for events in self.ground.told[told:])

    @rule(really=SELDOM)
    def reopen(self, really: bool) -> None:
        """The daemon ends and another one begins."""
        if not really:
            return
        self.ground.database.close()
        now_s = self.ground.now_s
        self._connect()
        self.ground.now_s = now_s

    # --- what always holds -----------------------------------------------------------------------------------------------

    @invariant()
    def phases_are_as_expected(self) -> None:
        """Every revision, with at most one active and one candidate a pack, by steps of the lifecycle table only."""
        expected = {(ref, one.number): one.phase for ref, known in self.model.packs.items() for one in known}
        with self.ground.registry.read() as connection:
            revisions = connection.execute(text("SELECT ref, number, phase FROM revisions")).all()
            assert {(one.ref, one.number): Phase(one.phase) for one in revisions} == expected
            moves = connection.execute(text("SELECT DISTINCT old_phase, new_phase FROM moves")).all()
            assert {(Phase(before), Phase(then)) for before, then in moves} <= MOVES
            assert queries.active_digests(connection) == self._expected_digests()
            present = {pack.ref for pack in queries.present_packs(connection)}
            assert present == set(self.model.packs) - self.model.gone
        for phases in ((Phase.ACTIVE,), tuple(UNFINISHED)):
            refs = [one.ref for one in revisions if one.phase in phases]
            assert len(refs) == len(set(refs))

    @invariant()
    def events_are_complete(self) -> None:
        """Numbered without a gap, none for an abandoned transaction, and so are the deliveries of every endpoint."""
        with self.ground.registry.read() as connection:
            fresh = queries.events_after(connection, self.heard, limit=1000)
            told = {row.endpoint: tuple(row[1:]) for row in connection.execute(_PLACES)}
            identities = connection.execute(text("SELECT count(*), count(DISTINCT id) FROM events")).one()
            self._events_tell_what_happened(connection, fresh)
        assert [event.seq for event in fresh] == list(range(self.heard + 1, self.said + 1))
        assert tuple(identities) == (self.said, self.said)
        self.heard = self.said
        self.wanted["all"] += len(fresh)
        self.wanted["some"] += sum(event.subject in ("packs/a", "packs/b") for event in fresh)
        assert told == {name: (number, number, 1) for name, number in self.wanted.items() if number}

    def _events_tell_what_happened(self, connection: Connection, fresh: list[StoredEvent]) -> None:
        """Who only listens knows what is in use, and what was: the same as the activations say."""
        for event in fresh:
            self._hear(event.type, json.loads(event.body)["data"])
        written = connection.execute(text("SELECT ref, number, previous_number FROM activations ORDER BY id")).all()
        assert [tuple(row) for row in written] == self.switches
        in_use = {one.ref: one.number for one in queries.active_revisions(connection)}
        assert {ref: number for ref, number in self.in_use.items() if number is not None} == in_use

    def _hear(self, kind: str, data: dict[str, Any]) -> None:
        pack, ref = data["pack"], data["pack"]["ref"]
        before = self.in_use.get(ref)
        if kind == "pack.unregistered":
            assert number_of(data["last"]) == before
            self.in_use[ref] = None
            return
        assert number_of(pack["previous"]) == before
        if kind == "pack.rolled_back" and data["reason"] != "operator":
            assert number_of(data["restored"]) == before
            assert number_of(data["failed"]) == pack["revision"]
        elif kind in ("pack.registered", "pack.updated", "pack.rolled_back"):
            assert (kind == "pack.registered") == (before is None)
            if kind == "pack.rolled_back":
                assert (number_of(data["failed"]), number_of(data["restored"])) == (before, pack["revision"])
            self.in_use[ref] = pack["revision"]
            self.switches.append((ref, pack["revision"], before))

    # --- parts ---------------------------------------------------------------------------------------------------------

    def _judge(self, tx: Writer, revision: Revision, one: Known, *, well: bool) -> None:
        """It says what it must, or it does not."""
        if not well:
            outcomes.reject(tx, revision, [Problem(code="manifest.missing", message="no pack.yaml")])
            return
        needs = tuple({"ref": need.ref, "range": need.range} for need in one.party.needs)
        said = {"version": one.party.version, "needs": needs, "fields": {"ref": one.party.ref}}
        validated = tx.move(revision, Trigger.VALIDATION_PASSED, **said)
        outcomes.settle_dependencies(tx, validated, asked.of(tx.reader, validated))

    def _expect_judgement(self, one: Known, *, well: bool) -> None:
        one.phase, one.judged = Phase.VALIDATED if well else Phase.REJECTED, one.judged or well
        one.for_others = False
        if well:
            self.model.settle(one.party.ref, one)

    def _expect_activation(self, ref: str, one: Known) -> None:
        """Nobody who had what he needs has lost it, and whoever went ahead has it."""
        before = copy.deepcopy(self.model)
        self.model.activate(ref, one)
        still = {(name, known.number) for name in REFS if (known := self.model.in_phase(name, Phase.ACTIVE))}
        met = self.model.needs_met()
        assert {need for need in before.needs_met() if need[:2] in still} <= met
        for name, number in still - {
            (name, known.number) for name in REFS if (known := before.in_phase(name, Phase.ACTIVE))
        }:
            needs = self.model.packs[name][number - 1].party.needs
            assert {(name, number, need) for need in needs} <= met

    def _expected_digests(self) -> dict[str, str]:
        return {ref: one.digest for ref in self.model.packs if (one := self.model.in_phase(ref, Phase.ACTIVE))}

    def _refused(self) -> list[str]:
        known = self.model.packs.items()
        away = self.model.gone | self.model.disabled
        return sorted(ref for ref, all_of_it in known if all_of_it[-1].phase in REFUSED and ref not in away)

    def _refused_for_others(self) -> list[str]:
        return sorted(filter(self.model.refused_for_others, self.model.packs))

    @staticmethod
    def _candidate(tx: Writer, ref: str) -> Revision:
        found = queries.candidate(tx.connection, ref)
        assert found is not None
        return found


def number_of(label: dict[str, Any] | None) -> int | None:
    return None if label is None else label["revision"]


def a_report(revision: Revision, *, well: bool) -> Report:
    suite = SuiteReport(name="shell", runner_type="script", status="passed", total=1, passed=1, exit_code=0)
    failed = replace(suite, status="failed", reason="failures", passed=0, failed=1, exit_code=1)
    return Report(
        pack_ref=revision.ref,
        pack_version=revision.version or "",
        status="passed" if well else "failed",
        reason=None if well else "failures",
        execution_time="2026-01-31T08:05:09.120Z",
        duration_ms=12.5,
        isolation="basic",
        test_suites=(suite if well else failed,),
    )


RegistryMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRegistryMachine = pytest.mark.timeout(300)(RegistryMachine.TestCase)
TestRegistryMachine.__doc__ = "Every rule above, after every step."
