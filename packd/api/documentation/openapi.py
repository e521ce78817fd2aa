"""The OpenAPI 3.1 document: what FastAPI knows of the requests, and what the table says of the answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from packd.api.documentation.answers import ANSWERS, JSON, Told
from packd.api.documentation.daemon_forms import Job
from packd.api.documentation.forms import One, ProblemDetails
from packd.domain.events import EVENT_TYPES, example, json_schema
from packd.domain.failures import HTTP_STATUS
from packd.domain.tokens import scope_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFERENCE: Final = "#/components/schemas/{model}"
_WRITING: Final = ("post", "put", "patch", "delete")
_ANY: Final = (401, 403, 421, 429, 500, 503)  # any request can meet these: see guard
_ANY_WRITING: Final = (400, 409, 413, 415, 422)  # the form of the request, and the idempotency key
_CODES: Final = {status: str(code) for code, status in HTTP_STATUS.items()}
_SENTENCES: Final = {
    400: "Pack directory does not exist: /srv/nowhere",
    401: "a token is needed here, also on loopback: send `Authorization: Bearer pkd_…`",
    403: "token:ci may not do this: it needs the scope packs:write",
    404: "no pack is called 'slak'; did you mean 'slack'?",
    409: "Pack 'slack' already exists. Use force=true to reinstall.",
    410: "events 1 to 9 are not kept any more: go on with after=9",
    412: "it was changed since you have read it: read it again, and send its ETag as If-Match",
    413: "a request may have 1048576 bytes: this one has more",
    415: "send JSON, with `Content-Type: application/json`",
    421: "nobody here is called 'packs.example'; more names with the setting api.hosts",
    422: "the request can't be understood: body path: Field required",
    429: "600 requests in 60 s are allowed: ask again in 1 s",
    500: "packd broke while answering; its log has the details",
    503: "packd is stopping: try again when it is back",
}
_DESCRIPTION: Final = """\
packd tests the packs that are dropped into a folder, or registered here, and makes the good ones active.

On its Unix socket callers are known by their user; on TCP every request needs a token. Success is `{data, message}`,
lists are `{items, pagination}`, and every refusal is problem details (RFC 9457) with `code` for machines. Requests that
change something take an `Idempotency-Key`; what takes its time takes `Prefer: respond-async`.
"""


def openapi(app: FastAPI) -> dict[str, Any]:
    """The whole document; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _completed(FastAPI.openapi(app))
    return app.openapi_schema


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(METHOD, path, operation) of everything in it."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in ("get", *_WRITING):
                yield method.upper(), path, operation


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    schemas = _schemas()
    document["info"] |= {"summary": "Packs, tested and active", "description": _DESCRIPTION, "license": _LICENSE}
    document["servers"] = [{"url": "/", "description": "The daemon that serves this document."}]
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "pkd_…", "description": "Needed on TCP only."}
    }
    for method, path, operation in operations(document):
        told = ANSWERS.get((method, path))
        if told is not None:
            operation["responses"] = _responses(method, path, told, operation)
        scope = scope_for(method, path)
        operation["security"] = [] if scope is None else [{"token": []}, {}]
        if scope is not None:
            operation["description"] = f"{operation.get('description', '')}\n\nScope of a token: `{scope}`.".strip()
        if method.lower() in _WRITING:
            operation.setdefault("parameters", []).append(_KEY)
        for parameter in operation.get("parameters", ()):
            _give_example(parameter)
    document["webhooks"] = dict(_webhooks())
    return document


def _responses(method: str, path: str, told: Told, operation: dict[str, Any]) -> dict[str, Any]:
    said = {str(status): _success(status, told) for status in (told.status, *told.also)}
    if told.later:
        said["202"] = _later()
    refusals = {*_ANY, *told.refuses} if path.startswith("/api/") else {421, 429, 500, 503, *told.refuses}
    if path in ("/healthz", "/metrics"):
        refusals |= {401, 403}
    if method.lower() in _WRITING:
        refusals |= set(_ANY_WRITING)
    if operation.get("parameters"):
        refusals |= {422}
    for status in sorted(refusals):
        said.setdefault(str(status), _refusal(status, path))
    return dict(sorted(said.items()))


def _success(status: int, told: Told) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    if status == 204:
        return {"description": phrase}
    if told.model is None:
        return {"description": phrase, "content": {told.media_type: {"schema": _STREAMED.get(told.media_type, {})}}}
    schema = {"$ref": _REFERENCE.format(model=_name(told.model))}
    return {
        "description": phrase,
        "content": {told.media_type: {"schema": schema, "example": told.example}},
    }


def _later() -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=_name(One[Job]))}
    return {
        "description": "It goes on behind the answer: a job, or a pack that waits for others",
        "headers": {"Location": {"description": "The job.", "schema": {"type": "string"}}},
        "content": {JSON: {"schema": {"anyOf": [schema, {"type": "object"}]}, "example": {"data": Job.sample}}},
    }


def _refusal(status: int, path: str) -> dict[str, Any]:
    phrase, sentence = HTTPStatus(status).phrase, _SENTENCES[status]
    shown = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": sentence,
        "instance": path,
        "request_id": "req_01K9Z6T1M0VJ5R8Q4X2C7B3N6D",
        "error": sentence,
        "code": _CODES.get(status, "INTERNAL"),
    }
    schema = {"$ref": _REFERENCE.format(model="ProblemDetails")}
    answer: dict[str, Any] = {
        "description": phrase,
        "content": {"application/problem+json": {"schema": schema, "example": shown}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return answer


def _schemas() -> dict[str, Any]:
    forms = {told.model for told in ANSWERS.values() if told.model is not None} | {One[Job], ProblemDetails}
    asked: list[Any] = [(form, "serialization") for form in sorted(forms, key=lambda form: form.__name__)]
    _, found = models_json_schema(asked, ref_template=_REFERENCE)
    return found


def _name(form: Any) -> str:
    """As pydantic calls it among the definitions."""
    name: str = form.__name__
    return name.replace("[", "_").replace("]", "_")


def _webhooks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each event as a webhook: Standard Webhooks 1.0.0."""
    for event_type in EVENT_TYPES:
        schema = json_schema(event_type)
        shown = example(event_type) | {"endpoint_seq": 42}
        yield (
            event_type,
            {
                "post": {
                    "summary": event_type,
                    "description": schema["description"],
                    "operationId": f"webhook_{event_type.replace('.', '_')}",
                    "tags": ["webhooks"],
                    "parameters": _SIGNED,
                    "requestBody": {
                        "required": True,
                        "content": {JSON: {"schema": _inlined(schema), "example": shown}},
                    },
                    "responses": {
                        "2XX": {"description": "It arrived."},
                        "410": {"description": "Never again: the endpoint is disabled."},
                        "default": {"description": "It is sent again, later each time."},
                    },
                }
            },
        )


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with a base of its own would have its references looked up there: they are put in their places."""
    definitions = schema["$defs"]

    def put(part: Any) -> Any:
        if isinstance(part, dict):
            reference = part.get("$ref", "")
            if reference.startswith("#/$defs/"):
                return put(
                    definitions[reference.removeprefix("#/$defs/")] | {k: v for k, v in part.items() if k != "$ref"}
                )
            return {key: put(value) for key, value in part.items() if key not in ("$defs", "$schema", "$id")}
        return [put(one) for one in part] if isinstance(part, list) else part

    inlined: dict[str, Any] = put(schema)
    return inlined


def _give_example(parameter: dict[str, Any]) -> None:
    known = _PARAMETERS.get(parameter["name"].lower())
    if known is not None and "example" not in parameter and "examples" not in parameter:
        takes_one = parameter["schema"].get("type") != "array"
        parameter["example"] = known[0] if isinstance(known, list) and takes_one else known


# What a reader of the stream makes of each event, and plain text.
_STREAMED: Final[dict[str, Any]] = {
    "text/event-stream": {
        "description": "Server-sent events (WHATWG HTML, section 9.2): `event`, `data` (JSON) and `id`."
    },
    "text/plain": {"type": "string"},
}
_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request is carried out once within a day, and answered alike.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
}
_SIGNED: Final = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
        "example": shown,
    }
    for name, description, shown in (
        ("webhook-id", "The event's id, the same on every attempt.", "evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6E"),
        ("webhook-timestamp", "Of the attempt, Unix seconds.", "1769850900"),
        ("webhook-signature", "`v1,` and the base64 of HMAC-SHA256 over id.timestamp.body.", "v1,K5oZfzN95Z9UVu1E…"),
    )
]
_PARAMETERS: Final[dict[str, Any]] = {
    "ref": "slack", "name": "slack", "number": 7, "run_id": "run_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "page": 1,
    "page_size": 50, "status": "active", "q": "chat", "after": 4711, "limit": 100, "wait": 0, "job_id":
    "job_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "token_id": "ci", "event_type": "pack.registered", "delivery_id": 42,
    "prefer": "respond-async", "actor": "token:ci", "endpoint": "ci", "state": "delivered", "event_id": "evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6E", "accept": "application/json", "since": "2026-01-31", "from": "6", "to": "7", "types": ["pack.*"], "pack": ["slack"],
    "last-event-id": "4711", "if-match": '"9f86d081884c7d65"',
}  # fmt: skip
