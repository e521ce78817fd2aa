"""Registering several packs that belong together: all of them, or as if nothing had happened.

What was before is written down first, so that a crash in the middle is taken back at the next start.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import REFUSED, UNFINISHED
from packd.flow.pipeline import lane
from packd.flow.refusals import refused
from packd.registry import queries

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from packd.flow.availability import Availability
    from packd.flow.commands import Commands
    from packd.flow.jobs import Progress
    from packd.flow.pipeline import Pipeline
    from packd.flow.register import Registered, Registrar, Registration
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.registry.rows import Revision

log = structlog.get_logger(__name__)


_JOURNAL: Final = "installation"  # the fact that holds what is to be taken back; "" when there is nothing


@dataclass(frozen=True, kw_only=True)
class _Before:
    """One pack as it was."""

    ref: str
    latest: int  # number of its newest revision; 0: it was never here
    active: int | None  # number of the one in use
    version: str | None  # of the one in use
    drop_name: str | None
    path: str


class Carrying:
    """Registers in order, waits for those that wait for each other, and takes back what came before a refusal."""

    def __init__(
        self,
        *,
        registrar: Registrar,
        commands: Commands,
        availability: Availability,
        pipeline: Pipeline,
        lanes: Lanes,
        registry: Registry,
    ) -> None:
        self._registrar = registrar
        self._commands = commands
        self._availability = availability
        self._pipeline = pipeline
        self._lanes = lanes
        self._registry = registry

    def register_all(
        self, wishes: Sequence[Registration], progress: Progress, cancelled: threading.Event
    ) -> tuple[Registered, ...]:
        """Each wish names its `ref`. One call at a time.

        Raises what `Registrar.register` raises, after everything that came before was taken back.
        """
        if len(wishes) < 2:  # the pipeline itself is all or nothing
            return tuple(self._register(wish, progress) for wish in wishes)
        before = [self._before(str(wish.ref)) for wish in wishes]
        self._write_journal(wishes[0].actor, before)
        try:
            done = [self._next(wish, progress, cancelled) for wish in wishes]
            settled = self._all_settled(done)
        except BaseException as failure:
            undone, complete = self._take_back(before, wishes[0].actor)
            if complete:
                self._clear_journal()
            if isinstance(failure, Failure):
                raise _nothing_installed(failure, undone) from failure
            raise
        self._clear_journal()
        return settled

    def recover(self) -> None:
        """At start, before anything else goes on: take back what a crash interrupted."""
        with self._registry.read() as connection:
            journal = json.loads(queries.fact(connection, _JOURNAL) or "null")
        if journal is None:
            return
        undone, complete = self._take_back([_Before(**one) for one in journal["before"]], journal["actor"])
        if complete:
            self._clear_journal()
        log.warning("install.taken_back", undone=undone, complete=complete)

    # --- registering -------------------------------------------------------------------------------------------------

    def _next(self, wish: Registration, progress: Progress, cancelled: threading.Event) -> Registered:
        if cancelled.is_set():
            raise Failure(Code.UNAVAILABLE, "cancelled, or packd is stopping")
        return self._register(wish, progress)

    def _register(self, wish: Registration, progress: Progress) -> Registered:
        def on_revision(revision: Revision) -> None:
            progress.revision(revision)
            progress.on_cancel(lambda: self._registrar.cancel(revision, why=f"{progress.job_id} was cancelled"))

        return self._registrar.register(wish, say=progress.say, on_revision=on_revision)

    def _all_settled(self, done: Sequence[Registered]) -> tuple[Registered, ...]:
        """What waited for another one of them goes on; twice, as whoever waits for another's tests sees their end."""
        waiting = [one.revision.ref for one in done if one.waits]
        for ref in (*waiting, *waiting):
            self._lanes.call(lane(ref), partial(self._pipeline.carry, ref))
        return tuple(self._settled(one) for one in done)

    def _settled(self, registered: Registered) -> Registered:
        """Raises Failure when what waited did not make it."""
        if not registered.waits:
            return registered
        ref, number = registered.revision.ref, registered.revision.number
        with self._registry.read() as connection:
            revision = queries.revision(connection, ref, number) or registered.revision
            run = queries.latest_run(connection, ref, number)
            active = queries.active_revision(connection, ref)
        if revision.phase in REFUSED:
            raise refused(revision, run, active)
        if revision.phase in UNFINISHED:
            raise Failure(Code.CONFLICT, f"{revision.name} still waits for other packs; see `packd why {ref}`")
        return replace(registered, revision=revision, run=None if revision.tests_skipped else run)

    # --- taking back -------------------------------------------------------------------------------------------------

    def _before(self, ref: str) -> _Before:
        with self._registry.read() as connection:
            pack = queries.pack(connection, ref)
            latest = queries.latest_revision(connection, ref)
            active = queries.active_revision(connection, ref)
        return _Before(
            ref=ref,
            latest=latest.number if latest else 0,
            active=active.number if active else None,
            version=active.version if active else None,
            drop_name=pack.drop_name if pack else None,
            path=pack.path if pack else "",
        )

    def _take_back(self, before: Sequence[_Before], actor: str) -> tuple[list[str], bool]:
        """The last one first. In words, what is as it was again; and whether that is everything."""
        said: list[str] = []
        complete = True
        for one in reversed(before):
            try:
                said += self._take_one_back(one, actor)
            except Failure as failure:
                log.error("install.not_taken_back", pack=one.ref, why=failure.sentence)
                said.append(f"'{one.ref}' could not be taken back yet ({failure.sentence})")
                complete = False
        return said, complete

    def _take_one_back(self, before: _Before, actor: str) -> list[str]:
        with self._registry.read() as connection:
            candidate = queries.candidate(connection, before.ref)
        if candidate is not None and _is_ours(candidate, before):
            self._registrar.cancel(candidate, why="another pack of the same installation was refused")
        with self._registry.read() as connection:
            active = queries.active_revision(connection, before.ref)
        if active is None or not _is_ours(active, before):
            return []
        if before.active is None:
            self._availability.remove(before.ref, actor=actor)
            return [f"{active.ref} {active.version} was removed again"]
        self._commands.rollback(before.ref, to=before.active, force=True, actor=actor)
        if before.drop_name is not None:  # it belongs to its drop again
            with self._registry.write() as tx:
                tx.claim_pack(before.ref, drop_name=before.drop_name, path=before.path)
        return [f"{active.ref} {active.version} was rolled back to {before.version}"]

    def _write_journal(self, actor: str, before: Sequence[_Before]) -> None:
        with self._registry.write() as tx:
            tx.set_fact(_JOURNAL, json.dumps({"actor": actor, "before": [asdict(one) for one in before]}))

    def _clear_journal(self) -> None:
        with self._registry.write() as tx:
            tx.set_fact(_JOURNAL, "")


def _is_ours(revision: Revision, before: _Before) -> bool:
    """It came by this installation: newer than what was here, and not by a drop."""
    return revision.number > before.latest and revision.origin == "registered"


def _nothing_installed(failure: Failure, undone: Sequence[str]) -> Failure:
    more = f": {', '.join(undone)}" if undone else ""
    said = f"{failure.sentence}; nothing was installed{more}"
    return Failure(failure.code, said, problems=failure.problems, members=failure.members)
