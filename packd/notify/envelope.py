"""The exact bytes of a webhook body. Pure.

Two formats: the event as it is, or the same as a CloudEvent in structured mode (CloudEvents 1.0.2 and its JSON format).
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

Format = Literal["standard", "cloudevents"]

_CLOUDEVENT: Final = b'{"specversion":'


def webhook_body(event: str, endpoint_seq: int, form: str) -> bytes:
    """The event in the format that an endpoint asked for."""
    return cloudevent(event, endpoint_seq) if form == "cloudevents" else body(event, endpoint_seq)


def content_type(body: bytes) -> str:
    """What to call these bytes; they were made once, and keep their format whatever the endpoint asks for since then."""
    return "application/cloudevents+json; charset=utf-8" if body.startswith(_CLOUDEVENT) else "application/json"


def cloudevent(event: str, endpoint_seq: int) -> bytes:
    """The same as a CloudEvent. Members that it has no place for are extension attributes, which are lower-case.

    Raises ValueError when the text is no object with the members of an event.
    """
    said = json.loads(event)
    try:
        attributes = {
            "specversion": "1.0",
            "id": said["id"],
            "source": said["source"],
            "type": said["type"],
            "subject": said["subject"],
            "time": said["timestamp"],
            "datacontenttype": "application/json",
            "dataschema": f"urn:packd:event:{said['type']}:{said['schema_version']}",
            "seq": said["seq"],
            "endpointseq": endpoint_seq,
            "correlationid": said["correlation_id"],
        }
        if said["causation_id"] is not None:  # an attribute has a value or is not there
            attributes["causationid"] = said["causation_id"]
        attributes["data"] = said["data"]
    except (KeyError, TypeError):
        raise ValueError("an event's text must be a JSON object with all members of an event") from None
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":")).encode()


def body(event: str | bytes | dict[str, Any], endpoint_seq: int) -> bytes:
    """The event with its place among the deliveries to one endpoint, as compact UTF-8 JSON.

    `endpoint_seq` comes last and the rest is kept to the byte when `event` is text, which must be a JSON object
    (the stored text of an event is). Made once for each delivery; every attempt sends these same bytes.
    Raises ValueError when the text is no object.
    """
    if isinstance(event, dict):
        event = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    text = event.encode() if isinstance(event, str) else event
    if not (text.startswith(b"{") and text.endswith(b"}") and len(text) > 2):
        raise ValueError("an event's text must be a JSON object with at least one member")
    return b'%b,"endpoint_seq":%d}' % (text[:-1], endpoint_seq)
