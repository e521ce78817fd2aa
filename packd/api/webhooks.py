"""Endpoints, and what is or was to be told to them."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from packd.api.answer import Answer
from packd.api.blocking import in_own_thread
from packd.api.context import Actor, InContext
from packd.api.entity_tags import InPrecondition, Precondition, entity_tag
from packd.api.paging import InPage
from packd.api.reading import Reading
from packd.api.webhook_requests import EndpointChange, NewEndpoint, Rotation, Since
from packd.api.webhook_views import View, delivery_view, endpoint_view, endpoint_views, whole_delivery_view
from packd.domain.failures import Code, Failure
from packd.domain.moments import stored_form
from packd.domain.numbers import MOST
from packd.flow.webhooks import Kept
from packd.registry import queries
from packd.registry.rows import Delivery, Endpoint

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

_TEST_WAIT_S = 30.0  # longer than an attempt takes by default; what is slower goes on behind the answer
_HAPPENS = frozenset(
    {
        "deliveries", "oldest_undelivered_at", "last_error", "breaker", "failures", "failing_since", "next_try_at",
        "paused_until", "last_endpoint_seq", "previous_secret_until",
    }
)  # fmt: skip
_STATES = ("pending", "held", "delivered", "exhausted", "aborted")

Asked = Annotated[str | None, Query(max_length=200)]
Numbered = Annotated[int, Path(ge=0, le=MOST)]


@router.get("/endpoints")
def list_endpoints(context: InContext, page: InPage) -> Answer:
    """Every endpoint, by name, with what waits for it."""
    with Reading(context.registry) as reading:
        endpoints = queries.all_endpoints(reading.connection)
        views = endpoint_views(reading, list(page.of(endpoints)), time.time())
    return Answer(page.answer(views, len(endpoints)))


@router.post("/endpoints")
def create_endpoint(context: InContext, wish: NewEndpoint) -> Answer:
    """Make an endpoint and send it a `webhook.test`. A secret that packd makes is in this answer and in no other."""
    kept = context.webhooks.create(wish.endpoint(), scheme=wish.signature)
    said = f"'{kept.endpoint.name}' is there; a webhook.test is on its way"
    headers = {"Location": f"/api/v1/webhooks/endpoints/{kept.endpoint.name}"}
    return Answer({"data": _kept(kept), "message": said}, status_code=201, headers=headers)


@router.get("/endpoints/{name}")
def show_endpoint(context: InContext, precondition: InPrecondition, name: str) -> Answer:
    """One endpoint, with what waits for it."""
    view = _endpoint(context, name)
    return precondition.answer({"data": view}, _tag(view))


@router.patch("/endpoints/{name}")
def change_endpoint(context: InContext, precondition: InPrecondition, name: str, wish: EndpointChange) -> Answer:
    """Other values for some of its fields. One of the configuration file is changed there."""
    context.webhooks.change(name, wish.changes(), expect=partial(_unchanged, precondition))
    view = _endpoint(context, name)
    return Answer({"data": view, "message": f"'{name}' was changed"}, headers={"ETag": _tag(view)})


@router.delete("/endpoints/{name}", status_code=204)
def remove_endpoint(context: InContext, precondition: InPrecondition, name: str) -> Response:
    """It gets nothing any more; what it was not told is kept as long as events are."""
    context.webhooks.remove(name, expect=partial(_unchanged, precondition))
    return Response(status_code=204)


@router.post("/endpoints/{name}/test")
async def try_endpoint(context: InContext, name: str) -> Answer:
    """Send a `webhook.test` now and say what came of the first attempt."""
    delivery = await in_own_thread(lambda: context.webhooks.test(name, wait_s=_TEST_WAIT_S))
    return await in_own_thread(lambda: _tried(context, delivery))


@router.post("/endpoints/{name}/rotate")
def rotate_secret(context: InContext, name: str, wish: Rotation | None = None) -> Answer:
    """Another secret; the one before it signs as well for 24 hours."""
    wanted = wish or Rotation()
    given = wanted.secret.get_secret_value() if wanted.secret else None
    kept = context.webhooks.rotate(name, secret=given, scheme=wanted.signature)
    said = f"'{name}' has another secret; the former one signs as well for 24 h"
    return Answer({"data": _kept(kept), "message": said})


@router.post("/endpoints/{name}/enable")
def enable_endpoint(context: InContext, actor: Actor, name: str) -> Answer:
    """It gets its events again, the held ones first."""
    context.webhooks.enable(name, actor=actor)
    return Answer({"data": _endpoint(context, name), "message": f"'{name}' is enabled"})


@router.post("/endpoints/{name}/disable")
def disable_endpoint(context: InContext, actor: Actor, name: str) -> Answer:
    """It gets nothing; its events are held."""
    context.webhooks.disable(name, actor=actor)
    return Answer({"data": _endpoint(context, name), "message": f"'{name}' is disabled; its events are held"})


@router.post("/endpoints/{name}/recover")
def recover_endpoint(context: InContext, name: str, wish: Since) -> Answer:
    """Send everything since then that has not arrived."""
    return _again(context.webhooks.recover(name, since=_since(wish)), name, "undelivered")


@router.post("/endpoints/{name}/replay")
def replay_endpoint(context: InContext, name: str, wish: Since) -> Answer:
    """Send everything since then, whether it arrived or not, in order; also from before the endpoint was there."""
    return _again(context.webhooks.replay(name, since=_since(wish)), name, "all")


@router.get("/deliveries")
def list_deliveries(
    context: InContext,
    page: InPage,
    endpoint: Asked = None,
    state: Asked = None,
    event_type: Asked = None,
    event_id: Asked = None,
    pack: Asked = None,
) -> Answer:
    """Newest first. `state` is pending, held (for an endpoint that is not enabled), delivered, exhausted or aborted."""
    if state is not None and state not in _STATES:
        raise Failure(Code.BAD_REQUEST, f"no delivery is ever '{state}'; the states are {', '.join(_STATES)}")
    choice = queries.DeliveryChoice(
        endpoint=endpoint,
        state=state,
        event_type=event_type,
        event_id=event_id,
        subject=None if pack is None else f"packs/{pack}",
    )
    with Reading(context.registry) as reading:
        total = queries.delivery_total(reading.connection, choice)
        first = (page.number - 1) * page.size
        rows = queries.delivery_page(reading.connection, choice, offset=first, limit=page.size)
        enabled = _enabled(reading)
    return Answer(page.answer([delivery_view(row, held=row.endpoint not in enabled) for row in rows], total))


@router.get("/deliveries/{delivery_id}")
def show_delivery(context: InContext, delivery_id: Numbered) -> Answer:
    """One delivery with every attempt and with what is sent."""
    return Answer({"data": _delivery(context, delivery_id)})


@router.post("/deliveries/{delivery_id}/resend")
def resend_delivery(context: InContext, delivery_id: Numbered) -> Answer:
    """Send it again, with the same bytes and the same id."""
    again = context.webhooks.resend(delivery_id)
    return Answer(
        {"data": _delivery(context, delivery_id), "message": f"{again.event_id} leaves again"}, status_code=202
    )


def _kept(kept: Kept) -> View:
    shown = endpoint_view(kept.endpoint, time.time())
    extra = {"secret": kept.secret} if kept.secret else {}
    return shown | extra | ({"test_delivery": kept.trial} if kept.trial is not None else {})


def _endpoint(context: InContext, name: str) -> View:
    with Reading(context.registry) as reading:
        found = [one for one in queries.all_endpoints(reading.connection) if one.name == name]
        if not found:
            raise reading.no_such_endpoint(name)
        return endpoint_views(reading, found, time.time())[0]


def _tag(view: View) -> str:
    """Of what somebody has chosen, not of what happens to it."""
    return entity_tag({key: value for key, value in view.items() if key not in _HAPPENS})


def _unchanged(precondition: Precondition, endpoint: Endpoint) -> None:
    precondition.check(_tag(endpoint_view(endpoint, time.time())))


def _delivery(context: InContext, delivery_id: int) -> View:
    with Reading(context.registry) as reading:
        row = queries.delivery(reading.connection, delivery_id)
        if row is None:
            raise Failure(Code.NOT_FOUND, f"there is no delivery {delivery_id}; `packd webhook deliveries` lists them")
        return whole_delivery_view(reading, row, held=row.endpoint not in _enabled(reading))


def _enabled(reading: Reading) -> set[str]:
    return {one.name for one in queries.all_endpoints(reading.connection) if one.state == "enabled"}


def _tried(context: InContext, delivery: Delivery) -> Answer:
    """200 with what came of it, also when it failed: that was the question."""
    view = _delivery(context, delivery.id)
    latest: dict[str, Any] = view["attempt_log"][-1] if view["attempt_log"] else {}
    waits = "it was not attempted yet: others of this endpoint go first, or it rests or is paused"
    said = latest.get("reason") or waits
    return Answer({"data": view, "message": said})


def _again(count: int, name: str, which: str) -> Answer:
    said = f"{count} deliveries leave again" if count != 1 else "1 delivery leaves again"
    return Answer({"data": {"endpoint": name, "which": which, "deliveries": count}, "message": said}, status_code=202)


def _since(wish: Since) -> str:
    try:
        return stored_form(wish.since)
    except (ValueError, OverflowError):
        raise Failure(Code.BAD_REQUEST, "since must be a moment, as in 2026-01-31T09:00:00Z") from None
