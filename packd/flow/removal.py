"""A drop that is gone: it gets a time of grace, then what it was is unregistered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from packd.flow.outcomes import unregister
from packd.registry import queries

if TYPE_CHECKING:
    from packd.flow.clock import Clock
    from packd.flow.packs_folder import PacksFolder
    from packd.flow.pipeline import Pipeline
    from packd.flow.projections import Projections
    from packd.flow.runs import Runs
    from packd.flow.settling import Settling
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.registry.rows import Drop

ROOT_IDENTITY: Final = "root_identity"  # the fact that says which folder the packs directory is

log = structlog.get_logger(__name__)


class Removal:
    """Notices, waits, unregisters. Both steps run in the lane of the drop."""

    def __init__(
        self,
        *,
        folder: PacksFolder,
        registry: Registry,
        settling: Settling,
        pipeline: Pipeline,
        projections: Projections,
        runs: Runs,
        lanes: Lanes,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._registry = registry
        self._settling = settling
        self._pipeline = pipeline
        self._projections = projections
        self._runs = runs
        self._lanes = lanes
        self._clock = clock

    def notice(self, drop: Drop) -> None:
        """Start the time of grace, if it is gone: `rm -rf` before `cp -r` must not unregister a pack."""
        if not self._is_gone(drop.name):
            return
        if drop.gone_at_s is None:
            self._save(replace(drop, gone_at_s=self._clock.now()))
        self._settling.is_gone(drop.name)

    def carry_out(self, name: str) -> None:
        """The drop stayed away for its time of grace: unregister what it was, unless it is back, or that can't be said."""
        if not self._is_gone(name):
            self._settling.touched(name)
            return
        self._projections.withdraw(name)  # while the drop is known, so that it is done again should this be interrupted
        with self._registry.write() as tx:
            self._lanes.go_on()
            pack = queries.pack_of_drop(tx.connection, name)
            drop = queries.drop(tx.connection, name)
            tx.forget_drop(name)
            if pack is not None:
                unregister(tx, pack, reason="removed", correlation_id=self._clock.new_id("chg"))
            rivals = queries.drops_claiming(tx.connection, drop.ref) if drop and drop.ref else []
        log.info("drop.removed", drop=name, pack=pack.ref if pack else None)
        if pack is not None:
            self._runs.cancel(pack.ref)
            self._pipeline.release()
        for rival in rivals:
            self._look_again(rival)

    def _is_gone(self, name: str) -> bool:
        """From the folder that reconciling knows as the packs directory: while another lies there, nothing is gone."""
        with self._registry.read() as connection:
            identity = queries.fact(connection, ROOT_IDENTITY)
        return self._folder.lacks(name, identity)

    def _look_again(self, rival: Drop) -> None:
        """Another drop was refused because this one had its ref; now it may have it."""
        self._save(replace(rival, fingerprint=None))
        self._settling.touched(rival.name)

    def _save(self, drop: Drop) -> None:
        with self._registry.write() as tx:
            tx.save_drop(drop)
