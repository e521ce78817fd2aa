"""Registering content from anywhere on this machine: the same pipeline as a drop, and somebody waits for the outcome.

This is also where `install` comes in: it fetches a folder, and registers that with its provenance.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import REFUSED, UNFINISHED, Phase, Trigger
from packd.domain.problems import errors
from packd.flow import owners
from packd.flow.intake import lane as lane_of_drop
from packd.flow.pipeline import lane
from packd.flow.recording import Arrival, drafted, record
from packd.flow.refusals import invalid, readable, refused
from packd.registry import queries
from packd.registry.rows import Drop, Revision, Run
from packd.snapshot.store import Refused, Snapshot, StoreFull, StoreUnwritable

if TYPE_CHECKING:
    from packd.domain.manifest import Manifest
    from packd.domain.problems import Problem
    from packd.domain.reports import RunSource
    from packd.flow.clock import Clock
    from packd.flow.packs_folder import PacksFolder
    from packd.flow.pipeline import Pipeline
    from packd.flow.runs import Runs
    from packd.flow.space import Space
    from packd.flow.told import Say
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Pack
    from packd.snapshot.store import Store
    from packd.validate.findings import Findings

_ATTEMPTS: Final = 5  # to read content that is being written
_PAUSE_S: Final = 0.3
_REMEMBERED: Final = 10_000  # paths

OnRevision = Callable[[Revision], None]


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What somebody asks for."""

    path: Path  # absolute: the folder, or the archive, that holds the content now
    actor: str  # who asks, e.g. "uid=1000 pid=4242"
    source: RunSource = "api"
    replace: bool = False  # a pack of this name may be updated, if the new content passes its tests
    force: bool = False  # replace, test again even unchanged content, and accept failing tests
    skip_tests: bool = False
    origin: str | None = None  # where the content came from, as it is shown; None: `path`
    ref: str | None = None  # the pack that it has to be; None: whichever it says
    provenance: Mapping[str, Any] = field(default_factory=dict)  # kept with the revision: source, commit, checksum, …


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What came of it."""

    revision: Revision
    run: Run | None  # of its tests; None: they were skipped, or have not run yet
    unchanged: bool = False  # exactly this was in use already: nothing was done
    took_over: str | None = None  # the drop that was the pack until now, and is not any more

    @property
    def waits(self) -> bool:
        """It goes on by itself when the packs that it needs are active."""
        return self.revision.phase in UNFINISHED


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What some content says of itself."""

    digest: str
    manifest: Manifest


class Registrar:
    """Its methods block, so they are called in threads of their own."""

    def __init__(
        self,
        *,
        folder: PacksFolder,
        registry: Registry,
        store: Store,
        space: Space,
        pipeline: Pipeline,
        runs: Runs,
        lanes: Lanes,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._registry = registry
        self._store = store
        self._space = space
        self._pipeline = pipeline
        self._runs = runs
        self._lanes = lanes
        self._clock = clock
        self._seen: dict[Path, tuple[str, str, str]] = {}  # by path: fingerprint, ref, digest when it was last read

    def register(
        self, wish: Registration, *, say: Say | None = None, on_revision: OnRevision | None = None
    ) -> Registered:
        """Snapshot, validate, test and activate; returns when that has come to its end, or waits for other packs.

        `on_revision` gets the new revision as soon as there is one, `say` what its run tells, from another thread.
        Raises Failure: BAD_REQUEST for what can't be read, what validation refuses and what fails its tests (then it
        was rolled back), CONFLICT when the pack exists, UNAVAILABLE when packd is stopping.
        """
        path = readable(wish.path)
        drop = path.name if path.parent == Path(os.path.realpath(self._folder.path)) else None
        unchanged = self._unchanged(wish, path, drop)
        if unchanged is not None:
            return unchanged
        one_at_a_time = lane_of_drop(drop) if drop else f"register:{path}"
        taken = self._lanes.call(one_at_a_time, lambda: self._take(wish, path, drop))
        revision = taken.revision
        if taken.unchanged or revision.phase not in UNFINISHED:
            return self._outcome(taken)
        if on_revision is not None:
            on_revision(revision)
        self._runs.cancel(revision.ref, older_than=revision.number)
        with self._runs.followed(revision, say):
            self._carry(revision)
        return self._outcome(taken)

    def inspect(self, path: Path, *, tests_skipped: bool) -> Inspected:
        """What lies there, without registering it. Raises Failure when it can't be taken, or is no pack."""
        snapshot = self._snapshot(readable(path))
        findings = self._pipeline.examine(snapshot.digest, path.name)
        if findings.manifest is None:
            raise invalid(f"What lies in {path} is no pack", self._wrong(findings, tests_skipped=tests_skipped))
        return Inspected(digest=snapshot.digest, manifest=findings.manifest)

    def cancel(self, revision: Revision, *, why: str) -> bool:
        """Take a candidate out of the pipeline; False when it has come to its end already."""
        with self._registry.write() as tx:
            current = queries.candidate(tx.connection, revision.ref)
            if current is None or current.number != revision.number:
                return False
            tx.move(current, Trigger.SUPERSEDED)
        self._runs.cancel(revision.ref, older_than=revision.number + 1, why=why)
        return True

    def _carry(self, revision: Revision) -> None:
        """As far as it goes: what is kept from that because packd stops goes on by itself, and is not to be tried again."""
        try:
            self._lanes.call(lane(revision.ref), lambda: self._pipeline.carry(revision.ref))
        except Failure as failure:
            if failure.code != Code.UNAVAILABLE or not self._lanes.are_stopping:
                raise

    # --- taking the content ------------------------------------------------------------------------------------------

    def _unchanged(self, wish: Registration, path: Path, drop: str | None) -> Registered | None:
        """A stat for every file, not a read, where this path was registered before and what it had then is in use."""
        known = self._seen.get(path)
        if known is None or wish.force or not wish.replace:
            return None
        fingerprint, ref, digest = known
        if self._folder.look(str(path)).fingerprint(int(self._clock.now() * 1e9)) != fingerprint:
            return None
        with self._registry.read() as connection:
            pack, latest = queries.pack(connection, ref), queries.latest_revision(connection, ref)
            if latest is None or not _is_in_use(pack, latest, digest, drop):
                return None
            return Registered(revision=latest, run=queries.latest_run(connection, ref, latest.number), unchanged=True)

    def _remember(self, path: Path, ref: str, snapshot: Snapshot) -> None:
        if snapshot.fingerprint is None:  # too fresh to be trusted
            return
        self._seen[path] = snapshot.fingerprint, ref, snapshot.digest
        if len(self._seen) > _REMEMBERED:
            self._seen.pop(next(iter(self._seen)), None)

    def _take(self, wish: Registration, path: Path, drop: str | None) -> Registered:
        began_s = self._clock.now()
        snapshot = self._snapshot(path)
        findings = self._pipeline.examine(snapshot.digest, path.name)
        ref = findings.ref
        if ref is None:
            raise invalid(f"What lies in {path} is no pack", self._wrong(findings, tests_skipped=wish.skip_tests))
        if wish.ref is not None and wish.ref != ref:
            raise Failure(Code.BAD_REQUEST, f"what lies in {path} is the pack '{ref}', not '{wish.ref}'")
        self._remember(path, ref, snapshot)
        with self._registry.write() as tx:
            self._lanes.go_on()
            return self._write_down(tx, wish, path, drop, snapshot, findings, ref, began_s)

    def _write_down(
        self,
        tx: Writer,
        wish: Registration,
        path: Path,
        drop: str | None,
        snapshot: Snapshot,
        findings: Findings,
        ref: str,
        began_s: float,
    ) -> Registered:
        pack, latest = tx.pack(ref), tx.latest(ref)
        if not self._is_on_its_way(tx, pack, snapshot, drop):
            self._refuse_existing(tx, wish, pack, findings)
        took_over = pack.drop_name if pack is not None and pack.drop_name not in (None, drop) else None
        if _is_in_use(pack, latest, snapshot.digest, drop) and not wish.force and latest is not None:
            return Registered(
                revision=latest, run=queries.latest_run(tx.connection, ref, latest.number), unchanged=True
            )
        self._claim(tx, pack, ref, wish, path, drop, snapshot)
        arrival = Arrival(
            path=wish.origin or str(path),
            trigger="cli" if wish.source == "cli" else "api",
            source=wish.source,
            actor=wish.actor,
            first_change_at_s=began_s,
            origin="dropped" if drop else "registered",
            forced=wish.force and not wish.skip_tests,  # there is nothing to force where nothing is tested
            tests_skipped=wish.skip_tests,
            provenance=wish.provenance,
        )
        correlation_id = self._clock.new_id("chg")
        draft = drafted(tx, ref, snapshot, arrival, version=findings.version, correlation_id=correlation_id)
        judgement = self._pipeline.judge(tx, draft, findings)
        revision = record(tx, draft, arrival, is_new=pack is None or not pack.is_present)
        revision = self._pipeline.conclude(tx, revision, judgement)
        return Registered(revision=revision, run=None, took_over=took_over)

    def _is_on_its_way(self, tx: Writer, pack: Pack | None, snapshot: Snapshot, drop: str | None) -> bool:
        """Exactly this was just dropped, and the watcher was faster: both mean the same."""
        if pack is None or drop is None or pack.drop_name != drop or pack.disabled_at is not None:
            return False
        candidate, active = tx.candidate(pack.ref), tx.active(pack.ref)
        return candidate is not None and active is None and candidate.digest == snapshot.digest

    def _refuse_existing(self, tx: Writer, wish: Registration, pack: Pack | None, findings: Findings) -> None:
        """Raises Failure when the pack is there and may not be touched; nothing is written down then."""
        if pack is None or not owners.exists(tx.reader, pack):
            return
        if pack.disabled_at is not None:
            said = f"Pack '{pack.ref}' is disabled: `packd enable {pack.ref}` first."
            raise Failure(Code.CONFLICT, said, members={"ref": pack.ref})
        if wish.replace or wish.force:
            return
        if errors(findings.problems):
            wrong = self._wrong(findings, tests_skipped=wish.skip_tests)
            raise invalid(f"What is to be registered as '{pack.ref}' is no pack", wrong)
        raise owners.already_exists(pack.ref)

    def _wrong(self, findings: Findings, *, tests_skipped: bool) -> tuple[Problem, ...]:
        return errors(self._pipeline.objections(findings, tests_skipped=tests_skipped))

    def _claim(
        self, tx: Writer, pack: Pack | None, ref: str, wish: Registration, path: Path, drop: str | None, snap: Snapshot
    ) -> None:
        """A drop owns its pack from now on; what comes from elsewhere does when it becomes active."""
        if drop is not None:
            kind = self._folder.kind_of(drop) or "folder"
            tx.save_drop(Drop(name=drop, kind=kind, ref=ref, fingerprint=snap.fingerprint, digest=snap.digest))
            tx.claim_pack(ref, drop_name=drop, path=str(self._folder.path / drop))
        elif not owners.exists(tx.reader, pack):
            tx.claim_pack(ref, drop_name=None, path=wish.origin or str(path))

    def _snapshot(self, path: Path) -> Snapshot:
        """Raises Failure for what can't be fixed."""
        if not self._space.enough():
            raise Failure(Code.UNAVAILABLE, "there is no room for anything new; see `packd status` and `packd sweep`")
        for _ in range(_ATTEMPTS):
            try:
                taken = self._store.take(path, self._folder.ignore)
            except (StoreFull, StoreUnwritable) as failure:
                raise Failure(Code.UNAVAILABLE, f"{failure}; try again when there is room") from failure
            if isinstance(taken, Snapshot):
                return taken
            if isinstance(taken, Refused):
                raise invalid(f"What lies in {path} can't be taken", taken.problems)
            unsettled = taken.problem
            threading.Event().wait(_PAUSE_S)
        if unsettled.code == "archive.truncated":
            raise invalid(f"What lies in {path} can't be taken", (unsettled,))
        why = f"is changed while it is read ({unsettled.message}): try again when nobody writes to it any more"
        raise Failure(Code.CONFLICT, f"{path} {why}")

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _outcome(self, taken: Registered) -> Registered:
        with self._registry.read() as connection:
            ref, number = taken.revision.ref, taken.revision.number
            revision = queries.revision(connection, ref, number) or taken.revision
            run = queries.latest_run(connection, ref, number)
            active = queries.active_revision(connection, ref)
            latest = queries.latest_revision(connection, ref)
        if revision.phase in REFUSED:
            raise refused(revision, run, active)
        if revision.phase == Phase.SUPERSEDED:
            newer = f"{latest.name} took its place" if latest and latest.number > number else "it was withdrawn"
            raise Failure(Code.CONFLICT, f"{revision.name} was not registered: {newer}; see `packd history {ref}`")
        if revision.phase in UNFINISHED and not revision.waits_for and revision.phase != Phase.TESTED:
            raise Failure(Code.UNAVAILABLE, f"packd is stopping: {revision.name} goes on when it is back")
        return replace(taken, revision=revision, run=None if revision.tests_skipped else run)


def _is_in_use(pack: Pack | None, latest: Revision | None, digest: str, drop: str | None) -> bool:
    """Exactly this content is active, and from the same kind of place."""
    if pack is None or latest is None or pack.drop_name != drop:
        return False
    return latest.phase == Phase.ACTIVE and latest.digest == digest
