"""What Prometheus is told of endpoints, as it is at the moment of the scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from packd.domain.breaker import state
from packd.domain.moments import unix_s
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from prometheus_client.core import Metric

    from packd.flow.clock import Clock
    from packd.registry.registry import Registry
    from packd.registry.rows import Endpoint

ENDPOINT_STATES: Final = ("enabled", "resting", "paused", "disabled")


class EndpointGauges(Collector):
    """Asks the registry."""

    def __init__(
        self, *, registry: Registry, clock: Clock, found: Callable[[Collection[str]], None] = lambda _: None
    ) -> None:
        """`found` is told at each scrape which endpoints there are."""
        self._registry = registry
        self._clock = clock
        self._found = found

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked before the first scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        with self._registry.read() as connection:
            endpoints = queries.all_endpoints(connection)
            waiting, tried = queries.backlog(connection), queries.retrying(connection)
        self._found({one.name for one in endpoints})
        now = self._clock.now()
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
                states.add_metric([one.name, name], float(name == _standing(one, now)))
        yield from (backlog, oldest, states)


def _standing(endpoint: Endpoint, now: float) -> str:
    """One of ENDPOINT_STATES."""
    if endpoint.state != "enabled":
        return "disabled"
    if state(endpoint.health, now) != "closed":
        return "resting"
    return "paused" if (endpoint.paused_until_s or 0.0) > now else "enabled"
