"""Every event is one log line with the same name, written behind the commit: what is in the log has happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import structlog

from packd.domain import event_data as said

if TYPE_CHECKING:
    from packd.registry.rows import StoredEvent

log = structlog.get_logger("packd")

_LEVELS: Final = {
    said.PackValidationFailed.type: "error",
    said.PackTestFailed.type: "error",
    said.PackRolledBack.type: "warning",
    said.PackDrifted.type: "error",
    said.WatchDegraded.type: "warning",
    said.WebhookDeliveryFailing.type: "warning",
    said.WebhookDeliveryExhausted.type: "error",
    said.WebhookEndpointDisabled.type: "error",
}
_ONLY_IF_ANY: Final = ("limit", "notes")
_TOLD_ELSEWHERE: Final = ("pack", "output_tail", "failures")  # long, or said in other words beside it


def announce(events: tuple[StoredEvent, ...]) -> None:
    """Called behind every transaction that emitted events."""
    say = log.bind()
    for event in events:
        getattr(say, _LEVELS.get(event.type, "info"))(event.type, **_values(event, json.loads(event.body)))


def _values(event: StoredEvent, envelope: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {"seq": event.seq, "correlation_id": envelope["correlation_id"]}
    data: dict[str, Any] = envelope["data"]
    pack = data.get("pack")
    if pack:
        values |= {"pack": pack["ref"], "revision": pack["revision"], "version": pack["version"]}
    values |= {name: value for name, value in data.items() if name not in _TOLD_ELSEWHERE}
    for name in _ONLY_IF_ANY:
        if not values.get(name):
            values.pop(name, None)
    if data.get("failures"):
        values["failures"] = [f"{one['suite']}: {one['case']}" for one in data["failures"]]
    return values
