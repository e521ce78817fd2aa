"""What Prometheus is told. The only door to prometheus-client.

Counters and histograms are fed as things happen; everything that is a state is asked for at the moment of the scrape, so
that it can't drift from what is true.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from packd import __version__
from packd.domain import event_data as said
from packd.domain.breaker import state
from packd.domain.moments import unix_s
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from packd.domain.deliveries import Decision, Outcome
    from packd.flow.clock import Clock
    from packd.registry.registry import Registry
    from packd.registry.rows import Delivery, Endpoint, StoredEvent

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
ENDPOINT_STATES: Final = ("enabled", "resting", "paused", "disabled")
_WATCH_STATES: Final = ("watching", "degraded")

# From a few milliseconds, as deliveries and stages take, to the days of a schedule.
_STAGE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)
_DELIVERY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 15, 60, 600, 3600, 21_600, 86_400, 345_600)

_REVISION_OUTCOMES: Final = {
    said.PackRegistered.type: "registered",
    said.PackUpdated.type: "updated",
    said.PackValidationFailed.type: "rejected",
    said.PackTestFailed.type: "failed",
    said.PackWaiting.type: "waiting",
    said.PackRolledBack.type: "rolled_back",
    said.PackUnregistered.type: "unregistered",
}


class Metrics:
    """Call the methods as things happen; `exposition` is what a scrape gets."""

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._clock = clock
        self._collected = CollectorRegistry()
        self._attempts = Counter(
            "packd_webhook_attempts", "POSTs to endpoints, by what followed.", ["endpoint", "outcome"],
            registry=self._collected,
        )  # fmt: skip
        self._attempt_seconds = Histogram(
            "packd_webhook_attempt_duration_seconds", "From the first step of an attempt to the last byte read.",
            ["endpoint"], registry=self._collected,
        )  # fmt: skip
        self._delivery_seconds = Histogram(
            "packd_webhook_delivery_duration_seconds", "From an event until its first delivery to an endpoint.",
            ["endpoint"], buckets=_DELIVERY_BUCKETS, registry=self._collected,
        )  # fmt: skip
        self._revisions = Counter(
            "packd_revisions", "What became of contents of packs.", ["outcome"], registry=self._collected
        )
        self._stages = Histogram(
            "packd_stage_duration_seconds", "How long a stage of a revision took.", ["stage"],
            buckets=_STAGE_BUCKETS, registry=self._collected,
        )  # fmt: skip
        for outcome in _REVISION_OUTCOMES.values():
            self._revisions.labels(outcome)  # there from the beginning, so that the first one is seen as a change
        self._states = _States(registry, clock)
        self._collected.register(self._states)
        ProcessCollector(registry=self._collected)
        PlatformCollector(registry=self._collected)

    def ask_status(self, status: Callable[[], dict[str, Any]]) -> None:
        """Where the states of everything but webhooks come from: `Status.view`."""
        self._states.status = status

    def attempted(self, delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        """Called for every attempt that was written down."""
        word = "retry" if decision.state == "pending" else decision.state
        self._attempts.labels(
            delivery.endpoint, "held" if decision.disable_endpoint and word == "retry" else word
        ).inc()
        self._attempt_seconds.labels(delivery.endpoint).observe(outcome.duration_ms / 1000)
        if decision.state == "delivered" and not delivery.earlier_attempts:
            waited_s = max(0.0, self._clock.now() - unix_s(delivery.created_at))
            self._delivery_seconds.labels(delivery.endpoint).observe(waited_s)

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events."""
        for event in events:
            outcome = _REVISION_OUTCOMES.get(event.type)
            if outcome is not None:
                self._revisions.labels(outcome).inc()

    def staged(self, stage: str, seconds: float) -> None:
        """Called whenever a stage of a revision has ended."""
        self._stages.labels(stage).observe(seconds)

    def exposition(self) -> bytes:
        """In the text format."""
        return generate_latest(self._collected)


class _States:
    """What is true at the moment of the scrape."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self.status: Callable[[], dict[str, Any]] | None = None

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("packd_build", "Which packd this is.", value=build)
        if self.status is not None:
            yield from _daemon(self.status())
        now = self._clock.now()
        with self._registry.read() as connection:
            endpoints = queries.all_endpoints(connection)
            waiting, tried = queries.backlog(connection), queries.retrying(connection)
        yield from _endpoints(endpoints, waiting, tried, now)


def _daemon(status: dict[str, Any]) -> Iterator[Metric]:
    queue, watch = status["queue"], status["watch"]
    depths = {"settling": queue["settling"], "jobs": queue["jobs"], "testing": len(queue["testing"])}
    yield _gauge("packd_queue_depth", "What waits or is under way.", "queue", depths)
    yield _gauge("packd_packs", "Packs and refused drops, by state.", "state", status["packs"])
    at = {name: float(watch["state"] == name) for name in _WATCH_STATES}
    yield _gauge("packd_watch_state", "1 for how the packs directory is watched.", "state", at)
    for name, what in (("watches", "inotify watches that packd holds"), ("folders", "Folders that are watched"),
                       ("limit", "fs.inotify.max_user_watches of this machine")):  # fmt: skip
        yield GaugeMetricFamily(f"packd_watch_{name}", f"{what}.", value=watch[name] or 0)


def _endpoints(
    endpoints: list[Endpoint], waiting: dict[str, tuple[int, str]], tried: dict[str, int], now: float
) -> Iterator[Metric]:
    backlog = GaugeMetricFamily(
        "packd_webhook_backlog", "Deliveries that wait: new, tried before, or held.", labels=["endpoint", "state"]
    )
    oldest = GaugeMetricFamily(
        "packd_webhook_oldest_undelivered_seconds", "How long the oldest of them has waited.", labels=["endpoint"]
    )
    states = GaugeMetricFamily(
        "packd_webhook_endpoint_state", "1 for the state that the endpoint is in.", labels=["endpoint", "state"]
    )
    for one in endpoints:
        count, since = waiting.get(one.name, (0, ""))
        again, held = tried.get(one.name, 0), one.state != "enabled"
        found = {"held": count} if held else {"pending": count - again, "retrying": again}
        for name in ("pending", "retrying", "held"):
            backlog.add_metric([one.name, name], found.get(name, 0))
        oldest.add_metric([one.name], max(0.0, now - unix_s(since)) if count else 0.0)
        for name in ENDPOINT_STATES:
            states.add_metric([one.name, name], float(name == standing(one, now)))
    yield from (backlog, oldest, states)


def standing(endpoint: Endpoint, now: float) -> str:
    """One of ENDPOINT_STATES."""
    if endpoint.state != "enabled":
        return "disabled"
    if state(endpoint.health, now) != "closed":
        return "resting"
    return "paused" if (endpoint.paused_until_s or 0.0) > now else "enabled"


def _gauge(name: str, what: str, label: str, values: dict[str, Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=[label])
    for value, count in values.items():
        family.add_metric([value], float(count))
    return family
