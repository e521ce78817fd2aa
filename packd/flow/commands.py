"""What people ask of a running daemon. Each command runs in the lane of its pack, so that it never meets a half-done step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import REFUSED
from packd.flow.explain import Explanation, explain
from packd.flow.outcomes import supersede_candidate, try_again
from packd.flow.pipeline import lane
from packd.flow.way_back import in_use, target_of, way_back
from packd.flow.way_in import is_passed_over
from packd.flow.withdrawal import put_back, take_out
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from packd.domain.event_data import RollBackReason
    from packd.domain.reports import RunReason, RunSource
    from packd.flow.clock import Clock
    from packd.flow.occasion import Door, TriggerWord
    from packd.flow.pipeline import Pipeline
    from packd.flow.runs import Runs
    from packd.flow.settling import Settling
    from packd.flow.status import Status
    from packd.flow.told import Say, Told
    from packd.flow.unread import Unread
    from packd.flow.way_back import WayBack
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.registry.rows import Revision, Run

log = structlog.get_logger(__name__)


class Commands:
    """`rollback`, `retry`, `test` and `why`, for the doors. `actor` is who asked, e.g. "uid=1000 pid=4242"."""

    def __init__(
        self,
        *,
        registry: Registry,
        pipeline: Pipeline,
        runs: Runs,
        settling: Settling,
        lanes: Lanes,
        status: Status,
        clock: Clock,
        unread: Unread,
        has_content: Callable[[str], bool],
        is_whole: Callable[[Revision], bool],
    ) -> None:
        """`has_content`: is the content of this digest still in the store? `is_whole`: is it what was tested? Read whole,
        and put right where that can be done."""
        self._registry = registry
        self._pipeline = pipeline
        self._runs = runs
        self._settling = settling
        self._lanes = lanes
        self._status = status
        self._clock = clock
        self._unread = unread
        self._has_content = has_content
        self._is_whole = is_whole

    def rollback(
        self,
        ref: str,
        *,
        to: int | None,
        force: bool = False,
        only: int | None = None,
        actor: str,
        reason: RollBackReason = "operator",
    ) -> tuple[Revision, Revision]:
        """Withdraw the active revision and put an earlier one back in use; returns (withdrawn, restored).

        At once, and from what is in use now: a newer candidate is superseded, if there is a way back. With `only` it
        waits for a running test, and nothing happens unless that one is in use then. Going `to` a newer one supersedes
        what is in use, which can be put back in turn. `force` also where that breaks active packs which need the newer
        one, or where it misses a pack itself: going back may be the lesser evil.
        Raises Failure: NOT_FOUND for an unknown pack or revision, CONFLICT when there is nothing to go back to, or when
        it would break something.
        """
        self._known(ref)
        if only is None:
            only = self._make_way(ref, to, force)
        else:
            self._look_before(ref, to)
        return self._lanes.call(lane(ref), lambda: self._roll_back(ref, to, force, actor, reason, only))

    def withdraw(self, ref: str, *, only: int, why: str, actor: str, reason: RollBackReason) -> Revision | None:
        """Take this revision back because of what is wrong with it; returns what is in use instead, None: nothing is.

        Raises Failure CONFLICT when it is not the one in use, or when that would break packs in use.
        """
        return self._lanes.call(lane(ref), lambda: self._withdraw(ref, only, why, actor, reason))

    def retry(self, name: str, *, source: Door = "api", actor: str) -> Revision | None:
        """Carry refused content through the pipeline once more; None when a drop is read again, as if it were new.

        Raises Failure: NOT_FOUND, or CONFLICT when the newest revision was not refused.
        """
        with self._registry.read() as connection:
            drop = queries.drop(connection, name)
            pack = queries.pack(connection, name)
            if drop is None and pack is not None and pack.drop_name:
                drop = queries.drop(connection, pack.drop_name)
            if drop is None and pack is None:
                drop = next(iter(queries.refused_claiming(connection, name)), None)
            passed_over = drop is not None and is_passed_over(connection, drop)
        if drop is None and pack is not None and not pack.is_present:
            with self._registry.read() as connection:
                drop = next((one for one in queries.drops_claiming(connection, pack.ref) if one.held), None)
        if drop is not None and (drop.problems or drop.held or passed_over):
            with self._registry.write() as tx:
                tx.save_drop(replace(drop, fingerprint=None, digest=None, held=False, problems=()))
            self._settling.touched(drop.name, trigger=source, asked_by=actor)
            return None
        ref = pack.ref if pack else drop.ref if drop else None
        if ref is None:
            raise self._unread.no_such(name)
        return self.retry_revision(ref, source=source, actor=actor)

    def retry_revision(self, ref: str, *, source: RunSource, actor: str) -> Revision:
        """Carry the newest revision of a pack, which was refused, through the pipeline once more.

        Raises Failure CONFLICT when it was not refused.
        """
        revision = self._lanes.call(lane(ref), lambda: self._retry(ref, source, actor))
        self._pipeline.start(ref)
        return revision

    def run_tests(
        self,
        ref: str,
        *,
        runner: str | None,
        rebuild: bool = False,
        say: Say | None = None,
        actor: str,
        source: str,
        reason: RunReason = "manual",
    ) -> Run:
        """Run the suites of what is in use (else of the newest revision) now; nothing becomes active or is rolled back.

        Raises Failure: NOT_FOUND for an unknown pack or runner, BAD_REQUEST when it has no tests.
        """

        def run() -> Run:
            revision = self._to_test(ref)
            manifest = self._pipeline.examine_revision(revision).manifest
            return self._runs.now(
                revision, manifest, runner=runner, rebuild=rebuild, say=say, actor=actor, source=source, reason=reason
            )

        self._known(ref)
        return self._lanes.call(lane(ref), run)

    def told_of(self, run_id: str) -> Told | None:
        """What a run has told so far, to be followed; None when it is not under way."""
        return self._runs.told_of(run_id)

    def cancel_run(self, run_id: str, *, why: str) -> None:
        """Stop a run that was asked for; nothing happens when it has ended."""
        self._runs.cancel_run(run_id, why=why)

    def explain(self, name: str) -> Explanation:
        """Why a pack (by ref) or a drop (by name) is or isn't active. Raises Failure NOT_FOUND."""
        with self._registry.read() as connection:
            explanation = explain(connection, name)
            pack = queries.pack(connection, explanation.ref) if explanation and explanation.ref else None
        if explanation is None:
            return self._explain_unread(name)
        newer = self._unread.being_written(pack.drop_name if pack and pack.drop_name else name)
        return replace(explanation, lines=(f"What lies there {newer}.", *explanation.lines)) if newer else explanation

    def why_unread(self, name: str) -> str | None:
        """Of a name that is not on record: why the drop with this name was not read yet; None when there is none."""
        return self._unread.why(name)

    def _explain_unread(self, name: str) -> Explanation:
        why = self._unread.why(name)
        if why is None:
            raise self._unread.no_such(name)
        return Explanation(ref=None, headline=f"{why}.", lines=(), active=False)

    def status(self) -> dict[str, Any]:
        """The daemon at a glance."""
        return self._status.view()

    def _make_way(self, ref: str, to: int | None, force: bool) -> int:
        """What is in use now, which is what is meant: newer content must not come into use before it is its turn.

        What is on its way is superseded, unless there is no way back.
        """
        self._look_before(ref, to)
        with self._registry.write() as tx:
            self._lanes.go_on()
            active = self._way_back(tx.connection, ref, to, force, None).active
            supersede_candidate(tx, ref)
        self._runs.cancel(ref, why=f"{active.name} was rolled back")
        return active.number

    def _way_back(self, connection: Connection, ref: str, to: int | None, force: bool, only: int | None) -> WayBack:
        way = way_back(connection, ref, to=to, force=force, only=only)
        if not self._has_content(way.target.digest):
            raise Failure(
                Code.CONFLICT,
                f"the content of {way.target.name} is not in the store any more: `retention` did not keep it, or somebody "
                "took it away; drop that content again, or choose another revision with --to",
            )
        return way

    def _roll_back(
        self,
        ref: str,
        to: int | None,
        force: bool,
        actor: str,
        reason: RollBackReason,
        only: int,
        why: str | None = None,
    ) -> tuple[Revision, Revision]:
        with self._registry.write() as tx:
            way = self._way_back(tx.connection, ref, to, force, only)
            change = self._clock.new_id("chg")
            withdrawn, restored = put_back(
                tx, way.active, way.target, reason=reason, actor=actor, why=why, change=change, forward=way.forward
            )
        if way.breaks:
            log.warning("rollback.forced", pack=ref, revision=restored.number, detail=way.breaks)
        self._pipeline.release()
        return withdrawn, restored

    def _withdraw(self, ref: str, only: int, why: str, actor: str, reason: RollBackReason) -> Revision | None:
        with self._registry.read() as connection:
            has_earlier = queries.rollback_target(connection, ref) is not None
        if has_earlier:
            self._look_before(ref, None)
            return self._roll_back(ref, None, False, actor, reason, only, why)[1]
        with self._registry.write() as tx:
            active = in_use(tx.connection, ref, only)
            take_out(tx, active, reason=reason, actor=actor, why=why, change=self._clock.new_id("chg"))
        self._pipeline.release()
        return None

    def _look_before(self, ref: str, to: int | None) -> None:
        """What goes back into use is what was tested once. Reading it all takes too long for a transaction."""
        with self._registry.read() as connection:
            active = queries.active_revision(connection, ref)
            target = target_of(connection, active, to) if active is not None else None
        if target is not None and self._has_content(target.digest) and not self._is_whole(target):
            raise Failure(
                Code.CONFLICT,
                f"the content of {target.name} was changed in the store and is not what was tested: "
                "drop that content again, or choose another revision with --to",
            )

    def _retry(self, ref: str, source: RunSource, actor: str) -> Revision:
        with self._registry.write() as tx:
            latest = queries.latest_revision(tx.connection, ref)
            if latest is None:
                raise self._unread.no_such(ref)
            pack = queries.pack(tx.connection, ref)
            left_behind = pack is not None and pack.drop_name is None and pack.origin == "dropped"
            if pack is None or not pack.is_present or left_behind:
                raise Failure(Code.CONFLICT, f"'{ref}' is not registered any more: drop it, or register it, again")
            if pack.disabled_at is not None:
                raise Failure(Code.CONFLICT, f"'{ref}' is disabled: `packd enable {ref}` first")
            if latest.phase not in REFUSED:
                raise Failure(
                    Code.CONFLICT,
                    f"{latest.name} is {latest.phase}: there is nothing to try again; "
                    f"`packd test {ref}` runs its tests",
                )
            change, now_s = self._clock.new_id("chg"), self._clock.now()
            trigger: TriggerWord = source if source in ("api", "cli") else "scan"
            return try_again(tx, latest, change=change, now_s=now_s, trigger=trigger, source=source, actor=actor)

    def _known(self, ref: str) -> None:
        with self._registry.read() as connection:
            if queries.pack(connection, ref) is None:
                raise self._unread.no_such(ref)

    def _to_test(self, ref: str) -> Revision:
        with self._registry.read() as connection:
            revision = queries.active_revision(connection, ref) or queries.latest_revision(connection, ref)
        if revision is None:
            raise self._unread.no_such(ref)
        return revision
