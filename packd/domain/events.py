"""The closed list of events and the envelope that is the same for webhooks, the feed and the stream.

An event is said by `envelope_json(PackRegistered(...), ...)`, once: the text that is stored is what everybody gets.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from packd.domain.event_data import (
    DaemonStarted,
    DaemonStopping,
    EventData,
    FailedReason,
    PackChanged,
    PackData,
    PackDiscovered,
    PackDrifted,
    PackRegistered,
    PackRolledBack,
    PackTestFailed,
    PackTestPassed,
    PackTestStarted,
    PackUnregistered,
    PackUpdated,
    PackValidationFailed,
    PackWaiting,
    RollBackReason,
    WatchDegraded,
    WatchRecovered,
    WebhookDeliveryExhausted,
    WebhookDeliveryFailing,
    WebhookDeliveryRecovered,
    WebhookEndpointDisabled,
    WebhookEndpointEnabled,
    WebhookTest,
)
from packd.domain.event_parts import (
    FAILURES_LIMIT,
    PROBLEMS_LIMIT,
    Counts,
    FailureInfo,
    Name,
    NeedInfo,
    PackInfo,
    ProblemInfo,
    RevisionInfo,
)
from packd.domain.moments import rfc3339
from packd.domain.reports import LIMITS, Limit, Reason
from packd.domain.subscriptions import UnknownType, subscribes
from packd.domain.subscriptions import unknown_types as _unknown_types

__all__ = [
    "BODY_LIMIT",
    "EVENT_TYPES",
    "FAILURES_LIMIT",
    "PROBLEMS_LIMIT",
    "SCHEMA_VERSION",
    "Counts",
    "DaemonStarted",
    "DaemonStopping",
    "Envelope",
    "EventData",
    "FailedReason",
    "FailureInfo",
    "NeedInfo",
    "PackChanged",
    "PackData",
    "PackDiscovered",
    "PackDrifted",
    "PackInfo",
    "PackRegistered",
    "PackRolledBack",
    "PackTestFailed",
    "PackTestPassed",
    "PackTestStarted",
    "PackUnregistered",
    "PackUpdated",
    "PackValidationFailed",
    "PackWaiting",
    "ProblemInfo",
    "RevisionInfo",
    "RollBackReason",
    "UnknownType",
    "WatchDegraded",
    "WatchRecovered",
    "WebhookDeliveryExhausted",
    "WebhookDeliveryFailing",
    "WebhookDeliveryRecovered",
    "WebhookEndpointDisabled",
    "WebhookEndpointEnabled",
    "WebhookTest",
    "envelope_json",
    "example",
    "failed_reason",
    "json_schema",
    "parse",
    "subscribes",
    "type_of",
    "unknown_types",
]

SCHEMA_VERSION: Final = 1
BODY_LIMIT: Final = 20 * 1024  # bytes of a whole webhook body; the limits in event_parts keep every event under it

EVENT_TYPES: Final[dict[str, type[EventData]]] = {
    model.type: model
    for model in (
        PackDiscovered,
        PackChanged,
        PackValidationFailed,
        PackWaiting,
        PackTestStarted,
        PackTestPassed,
        PackTestFailed,
        PackRegistered,
        PackUpdated,
        PackRolledBack,
        PackUnregistered,
        PackDrifted,
        DaemonStarted,
        DaemonStopping,
        WatchDegraded,
        WatchRecovered,
        WebhookTest,
        WebhookEndpointDisabled,
        WebhookEndpointEnabled,
        WebhookDeliveryFailing,
        WebhookDeliveryRecovered,
        WebhookDeliveryExhausted,
    )
}

_FAILED_REASONS: Final[dict[Reason, FailedReason]] = {
    "failures": "failures",
    "timeout": "timeout",
    "no_tests": "no_tests",
    **dict.fromkeys(LIMITS, "resource_limit"),
    # No answer to be trusted came of the run: one thing for a consumer, and the report has the details.
    "crash": "crash",
    "unavailable": "crash",
    "inconsistent": "crash",
    "cancelled": "crash",
}


class Envelope(BaseModel):
    """One event. The order of the fields is their order in the text."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
        defer_build=True,  # each is built when the first of its kind is made
    )

    type: str = Field(description="What happened, one of a closed list.")
    timestamp: str = Field(
        description="When it happened: RFC 3339 in UTC with milliseconds.",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
    )
    id: str = Field(
        description="The event's own id, `evt_` and a ULID; the same in every delivery of it.",
        pattern=r"^evt_[0-9A-HJKMNP-TV-Z]{26}$",
    )
    seq: int = Field(description="Its place in the registry's list of events, which has no gaps.", ge=1)
    schema_version: Literal[1] = Field(default=1, description="Changes when a field goes or changes its meaning.")
    source: Name = Field(description="Who says so: the daemon.")
    subject: Name = Field(description="What it is about: packs/<ref>, webhooks/<endpoint>, daemon or watch.")
    correlation_id: Name = Field(description="Shared by every event of one change, from drop to active.")
    causation_id: Name | None = Field(default=None, description="The event that led to this one; null: none did.")
    data: SerializeAsAny[EventData] = Field(description="What this type of event says.")


def type_of(data: EventData) -> str:
    """The name in the closed list, e.g. `pack.registered`."""
    return data.type


def envelope_json(
    data: EventData,
    *,
    id: str,  # noqa: A002
    seq: int,
    timestamp: str,
    source: str,
    subject: str,
    correlation_id: str,
    causation_id: str | None,
) -> str:
    """The event that says `data`, as compact JSON.

    Raises pydantic's ValidationError (a ValueError) when a part has not the form that Envelope asks for.
    """
    return Envelope(
        type=data.type,
        timestamp=timestamp,
        id=id,
        seq=seq,
        source=source,
        subject=subject,
        correlation_id=correlation_id,
        causation_id=causation_id,
        data=data,
    ).model_dump_json()


def parse(text: str | bytes) -> Envelope:
    """An event from its text, a webhook body too. Raises ValueError when it is not one of the closed list, exactly."""
    fields = json.loads(text)
    model = EVENT_TYPES.get(str(fields.get("type"))) if isinstance(fields, dict) else None
    if model is None:
        raise ValueError("not an event of packd: its type is none of the known ones")
    fields.pop("endpoint_seq", None)
    return Envelope.model_validate(fields | {"data": model.model_validate(fields.get("data"))})


def failed_reason(reason: Reason | None) -> FailedReason:
    """The word that `pack.test_failed` has for a report's reason.

    None (every suite passed, but fewer cases than the manifest's `min_pass_rate` asks for) is `failures`.
    """
    return "failures" if reason is None else _FAILED_REASONS[reason]


def met_limit(reason: Reason | None) -> Limit | None:
    """Which limit a report's reason speaks of, if it does."""
    return reason if reason in LIMITS else None


def unknown_types(types: tuple[str, ...] | list[str]) -> tuple[UnknownType, ...]:
    """The entries of a subscription that match nothing in the closed list."""
    return _unknown_types(types, tuple(EVENT_TYPES))


def example(event_type: str) -> dict[str, Any]:
    """A whole event of this type as JSON. Raises KeyError for an unknown type."""
    model = EVENT_TYPES[event_type]
    data = model.model_validate(model.example())
    text = envelope_json(
        data,
        id="evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6E",
        seq=4711,
        timestamp=rfc3339(1769850900.118),
        source="packd",
        subject=data.subject,
        correlation_id="cor_01K9Z6SZ8Q2F4H6J8K0M2N4P6R",
        causation_id="evt_01K9Z6SZ9B1D3F5H7K9M1P3R5T" if model.type.startswith("pack.test") else None,
    )
    result: dict[str, Any] = json.loads(text)
    return result


def json_schema(event_type: str) -> dict[str, Any]:
    """The schema of a whole event of this type, JSON Schema 2020-12. Raises KeyError for an unknown type."""
    data = EVENT_TYPES[event_type].model_json_schema(mode="serialization")
    whole = Envelope.model_json_schema(mode="serialization")
    definitions = data.pop("$defs", {})
    properties = whole["properties"] | {
        "type": whole["properties"]["type"] | {"const": event_type},
        "data": data,
        "endpoint_seq": {
            "type": "integer",
            "minimum": 1,
            "description": "Only in webhook bodies: its place among the deliveries to this endpoint, without gaps.",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:packd:event:{event_type}:{SCHEMA_VERSION}",
        "title": event_type,
        "description": data.get("description", ""),
        "type": "object",
        "properties": properties,
        "required": whole["required"],
        "additionalProperties": False,
        "examples": [example(event_type)],
        "$defs": definitions,
    }
