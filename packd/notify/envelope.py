"""The exact bytes of a webhook body. Pure."""

from __future__ import annotations

import json
from typing import Any


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
