"""The forms of answers about the daemon: jobs, tokens, events, endpoints, how it is."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from packd.api.documentation.forms import AT, Form, Moment
from packd.domain.event_data import PackRegistered
from packd.domain.events import Envelope, example
from packd.domain.health import Grade


class Job(Form):
    """Work that goes on behind the answer to a request."""

    id: str
    kind: str
    subject: str
    actor: str
    state: Literal["running", "succeeded", "failed", "cancelled"]
    created_at: Moment
    finished_at: Moment | None
    status: int | None = Field(description="The status that waiting for it would have given.")
    result: dict[str, Any] | None = Field(description="And the body.")
    sample: ClassVar[dict[str, Any]] = {
        "id": "job_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "kind": "register", "subject": "/home/me/slack",
        "actor": "uid=1000 pid=4242", "state": "running", "created_at": AT, "finished_at": None, "status": None,
        "result": None,
    }  # fmt: skip


class Token(Form):
    """A key to the API, without its text."""

    id: str
    name: str
    scopes: list[str]
    created_by: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None = Field(description="To the minute.")
    revoked_at: Moment | None
    sample: ClassVar[dict[str, Any]] = {
        "id": "tok_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "name": "ci", "scopes": ["packs:write"],
        "created_by": "uid=1000 pid=4242", "created_at": AT, "expires_at": None, "last_used_at": None,
        "revoked_at": None,
    }  # fmt: skip


class NewToken(Token):
    """With its text, which is shown this once."""

    token: str
    sample: ClassVar[dict[str, Any]] = Token.sample | {"token": "pkd_" + "0" * 39}


class Endpoint(Form):
    """Who is told of events."""

    name: str
    url: str
    types: list[str]
    packs: list[str]
    ordering: Literal["pack", "strict", "none"]
    state: str
    state_reason: str | None
    origin: str
    sample: ClassVar[dict[str, Any]] = {
        "name": "ci", "url": "https://ci.example/hook", "types": ["pack.*"], "packs": [], "ordering": "pack",
        "state": "enabled", "state_reason": None, "origin": "api",
    }  # fmt: skip


class Delivery(Form):
    """One event for one endpoint."""

    id: int
    endpoint: str
    event_id: str
    event_seq: int
    endpoint_seq: int
    state: str
    attempts: int
    next_attempt_at: Moment | None
    last_error: str | None
    created_at: Moment
    finished_at: Moment | None
    sample: ClassVar[dict[str, Any]] = {
        "id": 42, "endpoint": "ci", "event_id": "evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6E", "event_seq": 4711, "endpoint_seq": 42,
        "state": "delivered", "attempts": 1, "next_attempt_at": None, "last_error": None, "created_at": AT,
        "finished_at": AT,
    }  # fmt: skip


class SentAgain(Form):
    endpoint: str
    which: str
    deliveries: int
    sample: ClassVar[dict[str, Any]] = {"endpoint": "ci", "which": "undelivered", "deliveries": 3}


class EventType(Form):
    type: str
    description: str
    sample: ClassVar[dict[str, Any]] = {
        "type": PackRegistered.type, "description": (PackRegistered.__doc__ or "").strip()
    }  # fmt: skip


class Ailment(Form):
    """One thing that is wrong."""

    part: str
    grade: Grade = Field(
        description="dying: only a restart helps. unready: it can't do its work now. degraded: it works, less well than "
        "it should. warning: it works, and somebody should look."
    )
    reason: str = Field(description="What is wrong and the way out.")
    sample: ClassVar[dict[str, Any]] = {
        "part": "clock", "grade": "warning", "reason": "the clock of this machine is not synchronised: start chrony",
    }  # fmt: skip


class Configuration(Form):
    """Where the daemon's settings come from."""

    state: Literal["loaded", "rejected"]
    file: str | None = Field(description="null: only variables, flags and defaults.")
    loaded_at: Moment
    rejected: list[str] = Field(
        description="Why a newer version of the file is not used; what was loaded stays in force."
    )
    needs_restart: list[str] = Field(description="Keys that were changed in the file and wait for a restart.")
    sample: ClassVar[dict[str, Any]] = {
        "state": "loaded", "file": "/etc/packd/packd.yaml", "loaded_at": AT, "rejected": [], "needs_restart": [],
    }  # fmt: skip


class Setting(Form):
    """One value in force."""

    key: str = Field(description="Dotted.")
    value: Any = Field(description="Secrets are starred out.")
    origin: str = Field(description="`default`, `FILE:LINE`, `environment NAME`, `flag --NAME` or `credential NAME`.")
    sample: ClassVar[dict[str, Any]] = {"key": "markers", "value": "all", "origin": "/etc/packd/packd.yaml:3"}


class Config(Form):
    """Every setting in force."""

    data: list[Setting]


class Status(Form):
    """The daemon at a glance."""

    version: str
    pid: int
    packs_dir: str
    state_dir: str
    started_at: Moment
    watch: dict[str, Any]
    packs: dict[str, int]
    queue: dict[str, Any]
    endpoints: list[dict[str, Any]]
    isolation: str
    left_alone: list[dict[str, str]] = Field(
        description="What lies in the packs directory, was most likely meant as a pack and is none: name and why."
    )
    health: list[Ailment] = Field(description="What is wrong, the worst first; the same as in /healthz.")
    configuration: Configuration
    sample: ClassVar[dict[str, Any]] = {
        "version": "0.1.0", "pid": 4242, "packs_dir": "/srv/packs", "state_dir": "/var/lib/packd", "started_at": AT,
        "watch": {"state": "watching", "watches": 7, "folders": 7, "limit": 8192, "troubles": []},
        "packs": {"active": 3, "waiting": 0, "testing": 0, "refused": 0, "total": 3},
        "queue": {"settling": 0, "jobs": 0, "testing": []}, "endpoints": [], "isolation": "basic",
        "left_alone": [{"name": "web.rar", "why": "is an archive of a sort that packd does not unpack: …"}],
        "health": [Ailment.sample], "configuration": Configuration.sample,
    }  # fmt: skip


class Alive(Form):
    status: Literal["alive"]
    sample: ClassVar[dict[str, Any]] = {"status": "alive"}


class Ready(Form):
    status: Literal["ready"]
    warnings: list[str] = Field(description="What is not as it should be, and keeps nobody from working.")
    sample: ClassVar[dict[str, Any]] = {"status": "ready", "warnings": [Ailment.sample["reason"]]}


class Health(Form):
    status: Literal["ok", "degraded", "failing"]
    reasons: list[Ailment] = Field(description="What is wrong, the worst first.")
    sample: ClassVar[dict[str, Any]] = {"status": "ok", "reasons": [Ailment.sample]}


class AuditEntry(Form):
    """A request that changed something, or a revision that came into use."""

    at: Moment
    actor: str
    what: str
    pack: str | None = Field(description="The first of `packs`; null: about none, or none that is known.")
    packs: list[str] = Field(description="Those that it was about; of an installation also what came with it.")
    status: int | None = Field(description="What a request was answered with.")
    request_id: str | None = Field(description="null: no request.")
    sample: ClassVar[dict[str, Any]] = {
        "at": AT, "actor": "uid=1000 pid=4242", "what": "POST /api/v1/packs/register", "pack": "slack",
        "packs": ["slack"], "status": 202, "request_id": "req_01K9Z6T1M0VJ5R8Q4X2C7B3N6D",
    }  # fmt: skip


class AuditTrail(Form):
    """Who did what, newest first."""

    data: list[AuditEntry]
    sample: ClassVar[dict[str, Any]] = {"data": [AuditEntry.sample]}


class Verified(Form):
    drifts: list[dict[str, Any]] = Field(description="Trees in use that are not what was tested.")
    sample: ClassVar[dict[str, Any]] = {"drifts": []}


class Event(Envelope, Form):
    """One event, as webhooks, the feed and the stream have it."""

    model_config = ConfigDict(frozen=True, extra="allow", json_schema_serialization_defaults_required=True)
    data: dict[str, Any] = Field(description="By type: see /event-types/{type}/schema.")  # type: ignore[assignment]
    sample: ClassVar[dict[str, Any]] = example("pack.registered")


class Cursor(Form):
    next: int = Field(description="`after` of the next question.")
    oldest: int | None
    newest: int
    has_more: bool


class EventPage(Form):
    items: list[Event]
    cursor: Cursor
    sample: ClassVar[dict[str, Any]] = {
        "items": [Event.sample], "cursor": {"next": 4711, "oldest": 1, "newest": 4711, "has_more": False}
    }  # fmt: skip
