"""Endpoints and deliveries as they are shown. No secret, no header's value, no query of a URL and no key is ever among it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from packd.domain.breaker import state
from packd.domain.masking import masked_url
from packd.domain.moments import rfc3339
from packd.flow.webhooks import scheme_of
from packd.notify.signature import public_key
from packd.registry import queries

if TYPE_CHECKING:
    from packd.api.reading import Reading
    from packd.registry.rows import Delivery, Endpoint

View = dict[str, Any]


def endpoint_views(reading: Reading, endpoints: list[Endpoint], now: float) -> list[View]:
    """With what waits for each."""
    counts, errors, waiting = (
        queries.delivery_counts(reading.connection),
        queries.last_errors(reading.connection),
        queries.backlog(reading.connection),
    )
    return [
        endpoint_view(one, now)
        | {
            "deliveries": _counts(one, counts.get(one.name, {})),
            "oldest_undelivered_at": waiting[one.name][1] if one.name in waiting else None,
            "last_error": errors.get(one.name),
        }
        for one in endpoints
    ]


def endpoint_view(one: Endpoint, now: float) -> View:
    tls = one.tls or {}
    return {
        "name": one.name,
        "url": masked_url(one.url),
        "types": list(one.types),
        "packs": list(one.packs),
        "ordering": one.ordering,
        "format": one.format,
        "rate": one.rate,
        "timeout_s": one.timeout_s,
        "headers": dict.fromkeys((name for name, _ in one.headers), "***"),
        "tls": {"ca": bool(tls.get("ca")), "client_certificate": bool(tls.get("certificate"))},
        "allow_private": one.allow_private,
        "signature": scheme_of(one),
        "public_key": public_key(one.secret),
        "previous_secret_until": _moment(one.previous_secret_until_s) if len(one.secrets(now)) > 1 else None,
        "origin": one.origin,
        "read_only": one.origin == "config",
        "state": one.state,
        "state_reason": one.state_reason,
        "breaker": state(one.health, now),
        "failures": one.failures,
        "failing_since": _moment(one.failing_since_s),
        "next_try_at": _moment(one.resting_until_s) if state(one.health, now) == "open" else None,
        "paused_until": _moment(one.paused_until_s) if (one.paused_until_s or 0.0) > now else None,
        "last_endpoint_seq": one.last_endpoint_seq,
    }


def delivery_view(one: Delivery, *, held: bool) -> View:
    """`held`: its endpoint is not enabled."""
    return {
        "id": one.id,
        "endpoint": one.endpoint,
        "event_id": one.event_id,
        "event_seq": one.event_seq,
        "event_type": one.event_type,
        "subject": one.subject,
        "endpoint_seq": one.endpoint_seq,
        "state": "held" if held and one.state == "pending" else one.state,
        "attempts": one.attempts,
        "earlier_attempts": one.earlier_attempts,
        "next_attempt_at": _moment(one.next_attempt_at_s) if one.state == "pending" else None,
        "last_error": one.last_error,
        "created_at": one.created_at,
        "finished_at": one.finished_at,
        "bytes": len(one.body),
    }


def whole_delivery_view(reading: Reading, one: Delivery, *, held: bool) -> View:
    """With every attempt, and with what is sent."""
    log = [
        {name: value for name, value in row.items() if name != "delivery_id"}
        for row in queries.attempts_of(reading.connection, one.id)
    ]
    return delivery_view(one, held=held) | {"attempt_log": log, "payload": _payload(one.body)}


def _counts(one: Endpoint, counts: dict[str, int]) -> dict[str, int]:
    waiting = "pending" if one.state == "enabled" else "held"
    return {
        "pending": 0,
        "held": 0,
        "delivered": counts.get("delivered", 0),
        "exhausted": counts.get("exhausted", 0),
        "aborted": counts.get("aborted", 0),
    } | {waiting: counts.get("pending", 0)}


def _payload(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return base64.b64encode(body).decode()


def _moment(unix_s: float | None) -> str | None:
    return None if unix_s is None else rfc3339(unix_s)
