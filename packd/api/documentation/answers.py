"""What each request is answered with: the contract of this door, one line a path. A test holds it against the routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from packd.api.documentation import daemon_forms as d
from packd.api.documentation import forms as f
from packd.api.documentation import pack_forms as p

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, kw_only=True)
class Told:
    """The answer that is no refusal."""

    model: Any  # None: it has no body that a schema could describe
    example: dict[str, Any] | None
    status: int = 200
    media_type: str = JSON
    later: bool = False  # 202 with a job under `Prefer: respond-async`
    also: tuple[int, ...] = ()  # other statuses with the same form
    refuses: tuple[int, ...] = ()  # beside those that any request can meet


_PAGE: Final = {
    "page": 1, "page_size": 50, "total_items": 1, "total_pages": 1, "has_previous": False, "has_next": False
}  # fmt: skip


def _one(form: type[f.Form], message: str | None = None, **more: Any) -> Told:
    shown = {"data": form.example()} | ({"message": message} if message else {})
    return Told(model=f.One[form], example=shown, **more)  # type: ignore[valid-type]


def _many(form: type[f.Form], **more: Any) -> Told:
    return Told(model=f.Many[form], example={"items": [form.example()], "pagination": _PAGE}, **more)  # type: ignore[valid-type]


_WRONG: Final = (400,)
_MISSING: Final = (404,)
_CLASH: Final = (404, 409)

_PACK: Final = "/api/v1/packs/{ref}"
_ENDPOINT: Final = "/api/v1/webhooks/endpoints/{name}"

ANSWERS: Final[dict[tuple[str, str], Told]] = {
    ("GET", "/api/v1/packs"): _many(p.Pack),
    ("POST", "/api/v1/packs/register"): _one(
        p.Registered, "Pack 'slack' 1.3.0 (slack#7) was registered; 36 of 36 tests passed", status=201, later=True,
        also=(202,), refuses=(400, 409),
    ),
    ("POST", "/api/v1/packs/install"): _one(
        p.Installed, "Pack 'slack' 1.3.0 (slack#7) was registered; with it: core#2", status=201, later=True,
        also=(200, 202), refuses=(400, 404, 409),
    ),
    ("POST", "/api/v1/packs/upgrade"): _one(
        p.Installed, "slack 1.3.0", later=True, also=(202,), refuses=(400, 404, 409)
    ),
    ("GET", "/api/v1/indexes/packs"): _many(p.Offer),
    ("GET", "/api/v1/indexes/outdated"): _many(p.Outdated),
    ("GET", "/api/v1/packs/tests"): _many(p.Run, refuses=_WRONG),
    ("GET", _PACK): _one(p.WholePack, refuses=_MISSING),
    ("DELETE", _PACK): _one(p.TakenOut, "'slack' was removed", refuses=_CLASH),
    ("GET", f"{_PACK}/revisions"): _many(p.Revision, refuses=_MISSING),
    ("GET", f"{_PACK}/revisions/{{number}}"): _one(p.WholeRevision, refuses=_MISSING),
    ("GET", f"{_PACK}/activations"): _many(p.Activation, refuses=_MISSING),
    ("GET", f"{_PACK}/components"): _many(p.Component, refuses=_MISSING),
    ("GET", "/api/v1/packs/{name}/why"): _one(p.Explanation, refuses=_MISSING),
    ("POST", f"{_PACK}/disable"): _one(p.TakenOut, "'slack' is disabled", refuses=_CLASH),
    ("POST", f"{_PACK}/enable"): _one(p.Revision, "'slack' is enabled: slack#7 is in use", refuses=_CLASH),
    ("POST", f"{_PACK}/rollback"): _one(p.RolledBack, "slack#7 was rolled back; slack#6 is in use", refuses=_CLASH),
    ("POST", "/api/v1/packs/{name}/retry"): _one(p.Revision, "slack#7 is being tried again", refuses=_CLASH),
    ("POST", f"{_PACK}/test"): _one(p.WholeRun, "36 of 36 tests passed", later=True, refuses=(400, 404, 409)),
    ("GET", f"{_PACK}/tests"): _many(p.Run, refuses=(400, 404)),
    ("GET", f"{_PACK}/tests/latest"): _one(p.WholeRun, refuses=_MISSING),
    ("GET", f"{_PACK}/tests/{{run_id}}"): _one(p.WholeRun, refuses=_MISSING),
    ("GET", f"{_PACK}/tests/{{run_id}}/stream"): Told(
        model=None, example=None, media_type=EVENT_STREAM, refuses=_MISSING
    ),
    ("GET", f"{_PACK}/compare"): _one(p.Comparison, refuses=(400, 404, 409)),
    ("GET", "/api/v1/events"): Told(model=d.EventPage, example=d.EventPage.sample, refuses=(400, 410)),
    ("GET", "/api/v1/events/stream"): Told(model=None, example=None, media_type=EVENT_STREAM, refuses=(400, 410)),
    ("GET", "/api/v1/event-types"): Told(model=f.All[d.EventType], example={"items": [d.EventType.sample]}),
    ("GET", "/api/v1/event-types/{event_type}"): _one(d.EventType, refuses=_MISSING),
    ("GET", "/api/v1/event-types/{event_type}/schema"): Told(
        model=f.Anything, example={"title": "pack.registered"}, media_type="application/schema+json", refuses=_MISSING
    ),
    ("GET", "/api/v1/webhooks/endpoints"): _many(d.Endpoint),
    ("POST", "/api/v1/webhooks/endpoints"): _one(d.Endpoint, "'ci' is there", status=201, refuses=(400, 409)),
    ("GET", _ENDPOINT): _one(d.Endpoint, refuses=_MISSING),
    ("PATCH", _ENDPOINT): _one(d.Endpoint, "'ci' was changed", refuses=(400, 404, 409, 412)),
    ("DELETE", _ENDPOINT): Told(model=None, example=None, status=204, refuses=(404, 409, 412)),
    ("POST", f"{_ENDPOINT}/test"): _one(d.Delivery, "answered 204", refuses=_CLASH),
    ("POST", f"{_ENDPOINT}/rotate"): _one(d.Endpoint, "'ci' has another secret", refuses=(400, 404, 409)),
    ("POST", f"{_ENDPOINT}/enable"): _one(d.Endpoint, "'ci' is enabled", refuses=_CLASH),
    ("POST", f"{_ENDPOINT}/disable"): _one(d.Endpoint, "'ci' is disabled", refuses=_CLASH),
    ("POST", f"{_ENDPOINT}/recover"): _one(d.SentAgain, "3 deliveries leave again", status=202, refuses=(400, 404, 409)),
    ("POST", f"{_ENDPOINT}/replay"): _one(d.SentAgain, "3 deliveries leave again", status=202, refuses=(400, 404, 409)),
    ("GET", "/api/v1/webhooks/deliveries"): _many(d.Delivery, refuses=_WRONG),
    ("GET", "/api/v1/webhooks/deliveries/{delivery_id}"): _one(d.Delivery, refuses=_MISSING),
    ("POST", "/api/v1/webhooks/deliveries/{delivery_id}/resend"): _one(d.Delivery, status=202, refuses=_CLASH),
    ("GET", "/api/v1/jobs"): _many(d.Job),
    ("GET", "/api/v1/jobs/{job_id}"): _one(d.Job, refuses=_MISSING),
    ("DELETE", "/api/v1/jobs/{job_id}"): _one(d.Job, "it is being cancelled", status=202, refuses=_CLASH),
    ("GET", "/api/v1/jobs/{job_id}/stream"): Told(
        model=None, example=None, media_type=EVENT_STREAM, refuses=_MISSING
    ),
    ("GET", "/api/v1/tokens"): _many(d.Token),
    ("POST", "/api/v1/tokens"): _one(d.NewToken, "keep it", status=201, refuses=(400, 409)),
    ("DELETE", "/api/v1/tokens/{token_id}"): _one(d.Token, "'ci' opens nothing any more", refuses=_MISSING),
    ("GET", "/api/v1/audit"): Told(model=d.AuditTrail, example=d.AuditTrail.sample),
    ("GET", "/api/v1/config"): Told(model=d.Config, example={"data": [d.Setting.sample]}),
    ("GET", "/api/v1/sweep"): _one(f.Anything),
    ("POST", "/api/v1/sweep"): _one(f.Anything, "Swept"),
    ("POST", "/api/v1/verify"): _one(d.Verified, "Everything in use is what was tested"),
    ("GET", "/api/v1/status"): _one(d.Status),
    ("GET", "/metrics"): Told(model=None, example=None, media_type="text/plain"),
    ("GET", "/livez"): _one(d.Alive),
    ("GET", "/readyz"): _one(d.Ready),
    ("GET", "/healthz"): _one(d.Health, also=(503,)),
}  # fmt: skip
