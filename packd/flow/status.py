"""The daemon at a glance."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packd import __version__
from packd.domain.lifecycle import REFUSED, UNFINISHED, Phase
from packd.domain.masking import masked_url
from packd.registry import queries

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from packd.flow.configuration import Configuration
    from packd.flow.health import Health
    from packd.flow.left_alone import LeftAlone
    from packd.flow.runs import Runs
    from packd.flow.settling import Settling
    from packd.flow.watchkeeping import Watchkeeper
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.watch.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class Status:
    """Asks every part how it is; `view` is what `packd status` shows."""

    packs_dir: Path
    state_dir: Path
    registry: Registry
    keeper: Watchkeeper
    watcher: Watcher
    lanes: Lanes
    settling: Settling
    runs: Runs
    started_at: str
    isolation: str
    not_contained: tuple[str, ...]  # what the isolation leaves open on this machine, as sentences
    health: Health
    configuration: Configuration
    left_alone: LeftAlone

    def sentence(self) -> str:
        """The same in one line."""
        return sentence(self.view())

    def view(self) -> dict[str, Any]:
        with self.registry.read() as connection:
            packs, endpoints = pack_counts(connection), _endpoints(connection)
            failing = queries.not_passing_any_more(connection)
        watch = self.watcher.state()
        troubles = self.keeper.troubles()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "packs_dir": str(self.packs_dir),
            "state_dir": str(self.state_dir),
            "started_at": self.started_at,
            "watch": {
                "state": "degraded" if troubles or not watch.alive else "watching",
                "watches": watch.watches,
                "folders": watch.folders,
                "limit": watch.limit,
                "troubles": troubles,
            },
            "packs": packs,
            "queue": {
                "settling": self.settling.waiting(),
                "jobs": self.lanes.depth(),
                "testing": self.runs.under_way(),
            },
            "endpoints": endpoints,
            "isolation": self.isolation,
            "not_contained": list(self.not_contained),
            "not_passing_any_more": [
                {"ref": ref, "revision": number, "run_id": run_id} for ref, number, run_id in failing
            ],
            "left_alone": self.left_alone.view(),
            "health": [ailment.to_dict() for ailment in self.health.ailments()],
            "configuration": self.configuration.to_dict(),
        }


def sentence(view: dict[str, Any]) -> str:
    """In one line, for `systemctl status`."""
    packs, queue = view["packs"], view["queue"]
    counts = [f"{packs['active']} of {packs['total']} packs active"]
    counts += [f"{packs[kind]} {kind}" for kind in ("testing", "waiting", "refused") if packs[kind]]
    pending = sum(endpoint["pending"] for endpoint in view["endpoints"])
    counts += [f"{queue['settling']} settling"] if queue["settling"] else []
    counts += [f"{pending} deliveries pending"] if pending else []
    state = "Watching" if view["watch"]["state"] == "watching" else "Polling (degraded)"
    return f"{state} {view['packs_dir']}: {', '.join(counts)}"


def pack_counts(connection: Connection) -> dict[str, int]:
    """How many packs there are, and drops that never became one; and how many of them are of each kind.

    A pack whose newest content is on its way or was refused is of that kind beside being in use.
    """
    kinds: Counter[str] = Counter()
    for phase, count in queries.latest_phases(connection).items():
        kinds[_kind(phase)] += count
    present, active, refused, never_packs = queries.counts(connection)
    return {
        "active": active,
        "waiting": kinds["waiting"],
        "testing": kinds["testing"],
        "refused": kinds["refused"] + refused,
        "total": present + never_packs,
    }


def _kind(phase: Phase) -> str:
    if phase == Phase.WAITING:
        return "waiting"
    if phase in UNFINISHED:
        return "testing"
    return "refused" if phase in REFUSED else "settled"


def _endpoints(connection: Connection) -> list[dict[str, Any]]:
    counts = queries.delivery_counts(connection)
    errors = queries.last_errors(connection)
    return [
        {
            "name": endpoint.name,
            "url": masked_url(endpoint.url),
            "state": endpoint.state,
            "pending": counts.get(endpoint.name, {}).get("pending", 0),
            "delivered": counts.get(endpoint.name, {}).get("delivered", 0),
            "exhausted": counts.get(endpoint.name, {}).get("exhausted", 0),
            "last_error": errors.get(endpoint.name),
        }
        for endpoint in queries.all_endpoints(connection)
    ]
