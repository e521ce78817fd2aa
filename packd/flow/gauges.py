"""What Prometheus is told of the daemon and its machine, as it is at the moment of the scrape.

Everything here is answered from memory, by one look at the file system or by a count over an index; what costs more
comes from `readings`. A part that can't answer leaves its own metrics out, and `packd_ready` says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from packd.domain.health import GRADES, is_ready
from packd.flow.status import pack_counts
from packd.flow.watchkeeping import CAUSES
from packd.watch.advice import kernel_setting
from packd.watch.usage import own_instances

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from packd.flow.clock_sync import ClockWatch
    from packd.flow.health import Health
    from packd.flow.readings import Readings
    from packd.flow.runs import Runs
    from packd.flow.settling import Settling
    from packd.flow.space import Space
    from packd.flow.watchkeeping import Watchkeeper
    from packd.flow.workers import Lanes
    from packd.registry.database import Database
    from packd.registry.registry import Registry
    from packd.watch.watcher import Watcher

log = structlog.get_logger(__name__)

RUNGS: Final = ("bwrap+cgroup", "bwrap", "landlock", "basic")


@dataclass(frozen=True, kw_only=True)
class Gauges(Collector):
    """Asks every part."""

    registry: Registry
    database: Database
    health: Health
    clock_watch: ClockWatch
    keeper: Watchkeeper
    watcher: Watcher
    lanes: Lanes
    settling: Settling
    runs: Runs
    space: Space
    readings: Readings
    isolation: str

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked before the first scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        for part in (self._health, self._packs, self._work, self._watch, self._inotify, self._disk, self._read):
            try:
                yield from list(part())
            except Exception as failure:
                log.warning("metrics.incomplete", part=part.__name__.strip("_"), error=str(failure))

    def _health(self) -> Iterator[Metric]:
        ailments = self.health.ailments()
        yield _one("packd_ready", "1 when packd can do its work, as /readyz says.", is_ready(ailments))
        graded = Counter(ailment.grade for ailment in ailments)
        yield _many("packd_ailments", "What is wrong, as /healthz says.", "grade", {one: graded[one] for one in GRADES})
        if self.clock_watch.known is not None:
            yield _one("packd_clock_synchronised", "1 when the kernel says that somebody keeps the clock right; not there "
                       "where it can't be asked.", self.clock_watch.known)  # fmt: skip
        at = {rung: self.isolation == rung for rung in RUNGS}
        yield _many("packd_isolation_rung", "1 for how packs' tests are kept apart from the machine.", "rung", at)

    def _packs(self) -> Iterator[Metric]:
        with self.registry.read() as connection:
            counts = pack_counts(connection)
        del counts["total"]
        yield _many("packd_packs", "Packs by state: in use, on their way, refused (also drops that are no pack).",
                    "state", counts)  # fmt: skip

    def _work(self) -> Iterator[Metric]:
        depths = {
            "settling": self.settling.waiting(),
            "jobs": self.lanes.depth(),
            "testing": len(self.runs.under_way()),
        }
        yield _many("packd_queue_depth", "What waits or is under way.", "queue", depths)

    def _watch(self) -> Iterator[Metric]:
        watch, troubles = self.watcher.state(), self.keeper.troubles()
        degraded = bool(troubles) or not watch.alive
        yield _many("packd_watch_state", "1 for how the packs directory is watched.", "state",
                    {"watching": not degraded, "degraded": degraded})  # fmt: skip
        yield _many("packd_watch_troubles", "1 for each reason why it is degraded.", "reason",
                    {cause: cause in troubles for cause in CAUSES})  # fmt: skip
        yield _one("packd_watch_folders", "Folders that should be watched.", watch.folders)
        yield _one("packd_watch_watches", "Folders that are watched, one inotify watch each.", watch.watches)

    def _inotify(self) -> Iterator[Metric]:
        others = self.readings.last.others if self.readings.last else None
        own = {"watches": self.watcher.state().watches, "instances": own_instances()}
        for name, count in own.items():
            limit = kernel_setting(f"max_user_{name}")
            if limit is not None:
                yield _one(f"packd_inotify_{name}_limit", f"fs.inotify.max_user_{name} of this machine.", limit)
            used = count + (getattr(others, name) if others else 0)
            yield _one(f"packd_inotify_{name}", f"inotify {name} in use by packd and all other programs of its user, which "
                       "the limit is for.", used)  # fmt: skip

    def _disk(self) -> Iterator[Metric]:
        yield _one("packd_disk_free_bytes", "Free where the state directory is.", self.space.free_bytes())
        yield _one("packd_disk_floor_bytes", "Below so much free nothing new is taken.", self.space.floor_bytes)
        yield _many("packd_database_bytes", "The registry's database, by file (wal: what waits to be written into it).",
                    "file", self.database.sizes())  # fmt: skip

    def _read(self) -> Iterator[Metric]:
        last = self.readings.last
        if last is None:
            return
        yield _one("packd_store_bytes", "What the store of snapshots takes on the disk.", last.store.bytes)
        yield _one("packd_store_snapshots", "Snapshots in the store.", last.store.folders)
        yield _one(
            "packd_environments_bytes", "What the environments of tests take on the disk.", last.environments.bytes
        )
        yield _one("packd_packs_not_passing", "Packs in use that did not pass when they were last tested again.",
                   last.not_passing)  # fmt: skip


def _one(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=float(value))


def _many(name: str, what: str, label: str, values: Mapping[str, Any]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for value, count in values.items():
        family.add_metric([value], float(count))
    return family
