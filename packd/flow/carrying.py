"""Registering several packs that belong together: all of them, or as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

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
    from packd.registry.rows import Pack, Revision

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Done:
    """One of them, and what was before."""

    registered: Registered
    pack: Pack | None  # as it was
    active: Revision | None  # what was in use


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
        """Raises what `Registrar.register` raises, after everything that came before was taken back."""
        done: list[_Done] = []
        try:
            for wish in wishes:
                if cancelled.is_set():
                    raise Failure(Code.UNAVAILABLE, "cancelled, or packd is stopping")
                done.append(self._register(wish, progress))
            waiting = [one.registered.revision.ref for one in done if one.registered.waits and len(done) > 1]
            for ref in (*waiting, *waiting):  # twice: whoever waits for another's tests sees their end
                self._lanes.call(lane(ref), partial(self._pipeline.carry, ref))
            return tuple(self._settled(one, alone=len(wishes) == 1) for one in done)
        except Failure as failure:
            undone = self._take_back(done, wishes[0].actor) if wishes else []
            if len(wishes) == 1:
                raise
            said = f"{failure.sentence}; nothing was installed"
            more = f": {', '.join(undone)}" if undone else ""
            raise Failure(failure.code, said + more, problems=failure.problems, members=failure.members) from failure

    def _register(self, wish: Registration, progress: Progress) -> _Done:
        with self._registry.read() as connection:
            pack = queries.pack(connection, str(wish.ref))
            active = queries.active_revision(connection, str(wish.ref))

        def on_revision(revision: Revision) -> None:
            progress.revision(revision)
            progress.on_cancel(lambda: self._registrar.cancel(revision, why=f"{progress.job_id} was cancelled"))

        registered = self._registrar.register(wish, on_case=progress.case, on_revision=on_revision)
        return _Done(registered=registered, pack=pack, active=active)

    def _settled(self, done: _Done, *, alone: bool) -> Registered:
        """What waited for another one of them has gone on meanwhile. Raises Failure when it did not make it."""
        registered = done.registered
        if not registered.waits or alone:  # alone it waits for what nobody offers to bring
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

    def _take_back(self, done: Sequence[_Done], actor: str) -> list[str]:
        """The last one first; returns in words what is as it was again."""
        said = []
        for one in reversed(done):
            ref = one.registered.revision.ref
            try:
                said += self._take_one_back(one, actor)
            except Failure as failure:
                log.error("install.not_taken_back", pack=ref, why=failure.sentence)
                said.append(f"'{ref}' could not be taken back ({failure.sentence})")
        return said

    def _take_one_back(self, one: _Done, actor: str) -> list[str]:
        mine = one.registered.revision
        if one.registered.unchanged:
            return []
        if self._registrar.cancel(mine, why="another pack of the same installation was refused"):
            return []
        with self._registry.read() as connection:
            active = queries.active_revision(connection, mine.ref)
        if active is None or active.number != mine.number:
            return []
        if one.active is None:
            self._availability.remove(mine.ref, actor=actor)
            return [f"{mine.ref} {mine.version} was removed again"]
        self._commands.rollback(mine.ref, to=one.active.number, force=True, actor=actor)
        self._give_back(one.pack)
        return [f"{mine.ref} {mine.version} was rolled back to {one.active.version}"]

    def _give_back(self, pack: Pack | None) -> None:
        """To the drop that owned it before."""
        if pack is not None and pack.drop_name is not None:
            with self._registry.write() as tx:
                tx.claim_pack(pack.ref, drop_name=pack.drop_name, path=pack.path)
