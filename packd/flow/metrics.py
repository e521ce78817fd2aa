"""What Prometheus is told of things that happen: counters and histograms, fed as they do.

What is a state is asked for at the moment of the scrape, so that it can't drift from what is true: see `gauges` and
`endpoint_gauges`. These three are the only doors to prometheus-client.
"""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any, Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from packd import __version__
from packd.domain import event_data as said
from packd.domain.events import EVENT_TYPES
from packd.domain.moments import unix_s

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from prometheus_client.registry import Collector

    from packd.domain.deliveries import Decision, Outcome
    from packd.flow.clock import Clock
    from packd.registry.rows import Delivery, StoredEvent

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
STAGES: Final = ("settle", "snapshot", "validate", "test", "activate")
SWEPT: Final = ("snapshots", "events", "deliveries", "requests", "reports")

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
_ACTIVATED: Final = (said.PackRegistered.type, said.PackUpdated.type)


class Metrics:
    """Call the methods as things happen; `exposition` is what a scrape gets."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._collected = CollectorRegistry()
        self._labelled: dict[tuple[Any, tuple[str, ...]], Any] = {}
        Info("packd_build", "Which packd this is.", registry=self._collected).info(
            {"version": __version__, "python": platform.python_version()}
        )
        self._attempts = self._counter("packd_webhook_attempts", "POSTs to endpoints, by what followed.",
                                       endpoint=(), outcome=())  # fmt: skip
        self._attempt_seconds = Histogram(
            "packd_webhook_attempt_duration_seconds", "From the first step of an attempt to the last byte read.",
            ["endpoint"], registry=self._collected,
        )  # fmt: skip
        self._delivery_seconds = Histogram(
            "packd_webhook_delivery_duration_seconds", "From an event until its first delivery to an endpoint.",
            ["endpoint"], buckets=_DELIVERY_BUCKETS, registry=self._collected,
        )  # fmt: skip
        self._revisions = self._counter("packd_revisions", "What became of contents of packs.",
                                        outcome=_REVISION_OUTCOMES.values())  # fmt: skip
        self._events = self._counter("packd_events", "Events, by type.", type=EVENT_TYPES)
        self._runs = self._counter("packd_test_runs", "Runs of packs' own tests: passed, or why not.",
                                   outcome=("passed", *get_args(said.FailedReason)))  # fmt: skip
        self._roll_backs = self._counter("packd_rollbacks", "Roll-backs, by reason.",
                                         reason=get_args(said.RollBackReason))  # fmt: skip
        self._probes = self._counter("packd_probation_probes", "Health commands of packs on probation, by outcome.",
                                     outcome=("passed", "failed"))  # fmt: skip
        self._swept = self._counter("packd_swept", "What retention has removed, by kind.", kind=SWEPT)
        self._stages = Histogram(
            "packd_stage_duration_seconds", "How long a stage of a revision took.", ["stage"],
            buckets=_STAGE_BUCKETS, registry=self._collected,
        )  # fmt: skip
        self._activation = Histogram(
            "packd_activation_duration_seconds", "From the first change of a pack until it was in use.",
            buckets=_STAGE_BUCKETS, registry=self._collected,
        )  # fmt: skip
        self._completed = Gauge(
            "packd_last_completed_timestamp_seconds", "When a chore was last done to its end; not there before the first.",
            ["chore"], registry=self._collected,
        )  # fmt: skip
        for stage in STAGES:
            self._stages.labels(stage)
        ProcessCollector(registry=self._collected)
        PlatformCollector(registry=self._collected)

    def show(self, *states: Collector) -> None:
        """Ask these, too, at every scrape."""
        for one in states:
            self._collected.register(one)

    def attempted(self, delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        """Called for every attempt that was written down."""
        follows: str = decision.state
        if follows == "pending":
            follows = "held" if decision.disable_endpoint else "retry"
        self._of(self._attempts, delivery.endpoint, follows).inc()
        self._of(self._attempt_seconds, delivery.endpoint).observe(outcome.duration_ms / 1000)
        if decision.state == "delivered" and not delivery.earlier_attempts:
            waited_s = max(0.0, self._clock.now() - unix_s(delivery.created_at))
            self._of(self._delivery_seconds, delivery.endpoint).observe(waited_s)

    def only(self, endpoints: Collection[str]) -> None:
        """Of others, which were removed, nothing is told any more: series that nobody needs would stay for ever."""
        of_endpoints = (self._attempts, self._attempt_seconds, self._delivery_seconds)
        for family, labels in list(self._labelled):
            is_gone = family in of_endpoints and labels[0] not in endpoints
            if is_gone and self._labelled.pop((family, labels), None) is not None:  # or another scrape was faster
                family.remove(*labels)

    def _of(self, family: Any, *labels: str) -> Any:
        """The one with these labels, which is long in finding: every delivery asks for three."""
        known = self._labelled.get((family, labels))
        if known is None:
            known = self._labelled[family, labels] = family.labels(*labels)
        return known

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events."""
        for event in events:
            self._of(self._events, event.type).inc()
            outcome = _REVISION_OUTCOMES.get(event.type)
            if outcome is not None:
                self._of(self._revisions, outcome).inc()
            if event.type == said.PackTestPassed.type:
                self._of(self._runs, "passed").inc()
            elif event.type == said.PackTestFailed.type:
                self._runs.labels(_data(event)["reason"]).inc()
            elif event.type == said.PackRolledBack.type:
                self._roll_backs.labels(_data(event)["reason"]).inc()
            elif event.type in _ACTIVATED:
                self._activation.observe(_data(event)["duration_ms"] / 1000)

    def staged(self, stage: str, seconds: float) -> None:
        """Called whenever a stage of a revision has ended."""
        self._of(self._stages, stage).observe(seconds)

    def probed(self, passed: bool) -> None:
        """Called whenever a health command has ended."""
        self._probes.labels("passed" if passed else "failed").inc()

    def completed(self, chore: str) -> None:
        """Called whenever a chore, `reconcile`, `sweep` or `integrity`, was done to its end."""
        self._completed.labels(chore).set(self._clock.now())

    def swept(self, removed: Mapping[str, int]) -> None:
        """Called behind every sweep: how much of what was removed."""
        for kind, count in removed.items():
            self._swept.labels(kind).inc(count)
        self.completed("sweep")

    def exposition(self) -> bytes:
        """In the text format."""
        return generate_latest(self._collected)

    def _counter(self, name: str, what: str, **labels: Iterable[str]) -> Counter:
        """With one label its values are there from the beginning, so that the first one is seen as a change."""
        counter = Counter(name, what, list(labels), registry=self._collected)
        if len(labels) == 1:
            for value in next(iter(labels.values())):
                counter.labels(value)
        return counter


def _data(event: StoredEvent) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(event.body)["data"]
    return data
