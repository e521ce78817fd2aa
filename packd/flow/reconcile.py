"""Making the registry match the disk: a plan that says what differs and why, and the actions that follow from it.

File events only say where to look; this looks everywhere. It runs at start, on a period, and after any sign that
events were lost, so that whatever was missed is found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from packd.flow import owners
from packd.flow.occasion import Occasion
from packd.flow.removal import ROOT_IDENTITY
from packd.registry import queries
from packd.watch import advice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from packd.flow.clock import Clock
    from packd.flow.intake import Intake
    from packd.flow.packs_folder import PacksFolder
    from packd.flow.pipeline import Pipeline
    from packd.flow.projections import Projections
    from packd.flow.removal import Removal
    from packd.flow.scouting import Survey
    from packd.flow.settling import Settling
    from packd.flow.watchkeeping import Watchkeeper
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.registry.rows import Drop
    from packd.snapshot.tree import Tree
    from packd.watch.first_scan import FirstScan
    from packd.watch.scan import DropSeen
    from packd.watch.watcher import Watcher

    Enter = Callable[[str], None] | None
    Glance = Callable[[str, Enter], str | None]

LANE: Final = "reconcile"  # so that two never overlap

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What differs between the packs directory and the registry."""

    unchanged: tuple[str, ...] = ()  # drops that are as they were
    changed: tuple[str, ...] = ()  # drops to be read: new, or other than when they were last read
    gone: tuple[str, ...] = ()  # drops that are not there any more
    unfinished: tuple[str, ...] = ()  # packs whose candidate has not come to its end
    ages_s: dict[str, float] = field(default_factory=dict)  # changed drop → seconds since its last write

    def counts(self) -> dict[str, int]:
        """How much of each kind, without the zeros."""
        kinds = {name: len(getattr(self, name)) for name in ("unchanged", "changed", "gone", "unfinished")}
        return {name: number for name, number in kinds.items() if number}


def is_lost(known: Collection[str], seen: Collection[str], *, identity: str, last_identity: str | None) -> bool:
    """Has another folder, with none of the packs that are known, taken the place of the packs directory?

    That is what an unmounted volume looks like. It must not be taken for everybody's packs being removed at once.
    """
    replaced = last_identity is not None and identity != last_identity
    return replaced and bool(known) and not set(known) & set(seen)


class Reconciler:
    """Compares, plans, acts. `run` is called in a lane of its own, so two never overlap."""

    def __init__(
        self,
        *,
        folder: PacksFolder,
        registry: Registry,
        settling: Settling,
        intake: Intake,
        removal: Removal,
        pipeline: Pipeline,
        projections: Projections,
        keeper: Watchkeeper,
        watcher: Watcher,
        lanes: Lanes,
        clock: Clock,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """`done` is called whenever everything was compared."""
        self._folder = folder
        self._registry = registry
        self._settling = settling
        self._intake = intake
        self._removal = removal
        self._pipeline = pipeline
        self._projections = projections
        self._keeper = keeper
        self._watcher = watcher
        self._lanes = lanes
        self._clock = clock
        self._done = done

    def request(self) -> None:
        """Reconcile soon; asking again before it has begun changes nothing."""
        self._lanes.submit(LANE, self._run_in_lane)

    def _run_in_lane(self) -> None:
        self.run()

    def run(self, survey: Survey | None = None) -> dict[str, int]:
        """Compare everything and start what follows; returns how much there was of each kind.

        `survey`: what a look at everything found that went ahead of the first scan.
        """
        was_lost = self._has_lost_root()
        with self._watcher.first_scan() as scan:
            self._watcher.recount()  # is every folder watched? a limit that is reached says nothing by itself
            seen = self._list()
            if seen is None:
                return {}
            glance = survey.glance if survey is not None and scan.queued else self._folder.glance
            plan = self._plan(seen, scan, glance)
        if scan.enter is None:
            self._watcher.doubt(list(plan.changed))
        self._act(plan)
        self._intake.left_alone.look()
        if (was_lost or self._projections.owes_markers) and not self._has_lost_root():
            self._projections.put_markers_right()
        wrong = self._projections.rebuild()
        counts = plan.counts() | ({"links": wrong} if wrong else {})
        log.debug("reconcile.done", **counts)
        self._done()
        return counts

    def _list(self) -> list[DropSeen] | None:
        """What lies in the packs directory; None when that can't be said.

        Unless it is the folder that it was, or takes the place of that, nothing counts as removed.
        """
        try:
            identity, seen = self._folder.content()
        except PermissionError as failure:
            self._settling.hold_removals()
            log.warning("reconcile.put_off", why=str(failure))  # the watcher, which was asked to look, tells of it
            return None
        except OSError as failure:
            self._lose(advice.not_listed(self._folder.path, failure))
            return None
        if self._is_ours(identity, {one.name for one in seen}):
            self._keeper.found_root()
        else:
            self._lose(advice.strange(self._folder.path))
        return seen

    def _is_ours(self, identity: str, seen: set[str]) -> bool:
        """Is it the folder that it was, or one that may be taken for that from now on?"""
        with self._registry.read() as connection:
            last = queries.fact(connection, ROOT_IDENTITY)
            if identity == last:
                return True
            packs = [pack for pack in queries.present_packs(connection) if owners.exists(connection, pack)]
        known = {pack.drop_name for pack in packs if pack.drop_name is not None}
        if is_lost(known, seen, identity=identity, last_identity=last):
            return False
        with self._registry.write() as tx:
            tx.set_fact(ROOT_IDENTITY, identity)
        return True

    def _has_lost_root(self) -> bool:
        return "root_missing" in self._keeper.troubles()

    def _lose(self, why: str) -> None:
        self._settling.hold_removals()
        self._keeper.lost_root(why)

    def _plan(self, seen: list[DropSeen], scan: FirstScan, glance: Glance) -> Plan:
        with self._registry.read() as connection:
            known = {drop.name: drop for drop in queries.all_drops(connection)}
            unfinished = tuple(revision.ref for revision in queries.candidates(connection))
        unchanged, changed, ages = [], [], {}
        for one in seen:
            before = known.get(one.name)
            if before is not None and before.kind != one.kind:
                before = None
            if before is not None and self._same_at_a_glance(before, glance, scan.enter):
                unchanged.append(one.name)
                continue
            tree = self._folder.look(one.name, scan.enter)
            if one.kind == "folder" and not tree.whole:
                scan.partly(one.name)
            if before is not None and self._same(tree, before):
                unchanged.append(one.name)
            else:
                changed.append(one.name)
                ages[one.name] = max(0.0, self._clock.now() - tree.newest_ns / 1e9)
        scan.over()
        gone = tuple(known.keys() - {one.name for one in seen})
        return Plan(unchanged=tuple(unchanged), changed=tuple(changed), gone=gone, unfinished=unfinished, ages_s=ages)

    @staticmethod
    def _same_at_a_glance(before: Drop, glance: Glance, enter: Enter) -> bool:
        if before.kind != "folder" or before.fingerprint is None or before.gone_at_s is not None:
            return False
        return glance(before.name, enter) == before.fingerprint

    def _same(self, tree: Tree, before: Drop) -> bool:
        if before.fingerprint is None or before.gone_at_s is not None:
            return False
        fingerprint = tree.fingerprint(int(self._clock.now() * 1e9))
        return fingerprint == before.fingerprint

    def _act(self, plan: Plan) -> None:
        for name in plan.changed:
            self._settling.touched(name, trigger="scan", age_s=plan.ages_s[name])
        for name in plan.gone:
            self._intake.take_soon(name, Occasion(trigger="scan", first_change_at_s=self._clock.now()))
        for ref in plan.unfinished:
            self._pipeline.start(ref)
        self._pipeline.recall()
        self._removal.resume()
        self._pipeline.close_lost_runs()
