"""The closed list of events: what each type says, its schema, and an example of it, made from the models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from packd.api.answer import Answer
from packd.domain.events import EVENT_TYPES, example, json_schema
from packd.domain.failures import Code, Failure

router = APIRouter(prefix="/event-types", tags=["events"])


@router.get("")
def list_event_types() -> Answer:
    """Every type with a sentence."""
    items = [{"type": name, "description": (model.__doc__ or "").strip()} for name, model in EVENT_TYPES.items()]
    return Answer({"items": items})


@router.get("/{event_type}")
def show_event_type(event_type: str) -> Answer:
    """One type with the body of a webhook as an example."""
    model = _model(event_type)
    data = {
        "type": event_type,
        "description": (model.__doc__ or "").strip(),
        "example": example(event_type) | {"endpoint_seq": 42},
    }
    return Answer({"data": data})


@router.get("/{event_type}/schema")
def show_schema(event_type: str) -> Answer:
    """JSON Schema 2020-12 of the whole event."""
    _model(event_type)
    return Answer(json_schema(event_type), media_type="application/schema+json")


def _model(event_type: str) -> Any:
    if event_type not in EVENT_TYPES:
        raise Failure(Code.NOT_FOUND, f"there is no event type '{event_type}'; GET /api/v1/event-types lists them")
    return EVENT_TYPES[event_type]
