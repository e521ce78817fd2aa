"""The forms of answers, for the document and for the tests that hold answers against them; handlers do without.

`sample` is what the document shows as an example.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from packd.domain.event_data import PackRegistered
from packd.domain.events import Envelope, example
from packd.domain.lifecycle import Phase

_DIGEST = "sha256:" + "9f" * 32
_AT = "2026-01-31T09:15:00.118Z"
_PHASES = tuple(str(phase) for phase in Phase)

Moment = str  # RFC 3339 in UTC


class Form(BaseModel):
    """The form of something in an answer; more members may come, so readers ignore what they do not know."""

    model_config = ConfigDict(extra="allow")

    sample: ClassVar[dict[str, Any]] = {}

    @classmethod
    def example(cls) -> dict[str, Any]:
        return cls.sample


class Problem(Form):
    """One finding of validation, or one thing that is wrong with a request."""

    code: str = Field(description="Stable and dotted.")
    message: str = Field(description="What is wrong, and the way out.")
    file: str | None = Field(description="Inside the pack.")
    line: int | None
    column: int | None
    suggestion: str | None = Field(description="What was probably meant.")
    severity: Literal["error", "warning"]
    sample: ClassVar[dict[str, Any]] = {
        "code": "manifest.invalid_version", "message": "version is the number 1.0: quote it, as in version: '1.0.0'",
        "file": "pack.yaml", "line": 2, "column": 10, "suggestion": "'1.0.0'", "severity": "error",
    }  # fmt: skip


class ProblemDetails(Form):
    """Every refusal: RFC 9457, with the members `error` and `code`."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence with the way out.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="As in X-Request-Id and in packd's log.")
    error: str = Field(description="The same as `detail`.")
    code: str = Field(description="For machines, e.g. NOT_FOUND.")
    problems: list[Problem] = Field(
        default=[], description="Everything that was found, where there is more than one thing."
    )


class Active(Form):
    number: int
    version: str | None
    digest: str
    activated_at: Moment


class Latest(Form):
    number: int
    version: str | None
    digest: str
    phase: str
    phase_at: Moment


class Candidate(Form):
    number: int
    phase: str


class Tests(Form):
    status: str = Field(description="`running`, or that of the report.")
    total: int | None
    passed: int | None
    failed: int | None
    skipped: int | None
    run_id: str
    revision: int
    at: Moment


class Pack(Form):
    """One pack, or a refused drop in the form of one."""

    ref: str
    label: str
    description: str
    version: str | None
    status: str = Field(
        description="active, testing, waiting, disabled, unregistered, refused, or the newest revision's phase."
    )
    path: str = Field(description="Where its content comes from.")
    drop: str | None = Field(
        description="The child of the packs directory that it is; null: registered from elsewhere."
    )
    origin: Literal["dropped", "registered"]
    active: Active | None = Field(description="What is in use.")
    latest: Latest | None = Field(description="The newest content.")
    candidate: Candidate | None = Field(description="What is on its way.")
    components: dict[str, int] = Field(description="Kind → how many, of what is in use.")
    tests: Tests | None = Field(description="The last run of the newest content.")
    problems: list[Problem]
    registered_at: Moment | None
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "label": "Slack", "description": "Messages and channels", "version": "1.3.0", "status": "active",
        "path": "/srv/packs/slack", "drop": "slack", "origin": "dropped",
        "active": {"number": 7, "version": "1.3.0", "digest": _DIGEST, "activated_at": _AT},
        "latest": {"number": 7, "version": "1.3.0", "digest": _DIGEST, "phase": "active", "phase_at": _AT},
        "candidate": None, "components": {"actions": 3, "sensors": 1},
        "tests": {"status": "passed", "total": 36, "passed": 36, "failed": 0, "skipped": 0,
                  "run_id": "run_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "revision": 7, "at": _AT},
        "problems": [], "registered_at": _AT,
    }  # fmt: skip


class WholePack(Pack):
    """With what its pack.yaml says."""

    fields: dict[str, Any]
    sample: ClassVar[dict[str, Any]] = Pack.sample | {"fields": {"ref": "slack", "version": "1.3.0"}}


class Revision(Form):
    """One content of one pack."""

    ref: str
    number: int
    version: str | None
    digest: str
    phase: str = Field(description=f"One of {', '.join(_PHASES)}.")
    phase_at: Moment
    created_at: Moment
    path: str
    trigger: Literal["fs", "scan", "api", "cli"] = Field(description="What made packd look.")
    source: str = Field(description="Who asked: watch, scan, api, cli, git, schedule.")
    actor: str = Field(description="The same by name.")
    origin: Literal["dropped", "registered"]
    provenance: dict[str, Any] = Field(description="Where it was fetched from: source, commit, checksum, …")
    files: int
    bytes: int
    needs: list[dict[str, str]]
    waits_for: list[dict[str, str]]
    problems: list[Problem]
    forced: bool = Field(description="It was activated although its tests failed.")
    tests_skipped: bool
    correlation_id: str
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "number": 7, "version": "1.3.0", "digest": _DIGEST, "phase": "active", "phase_at": _AT,
        "created_at": _AT, "path": "/srv/packs/slack", "trigger": "fs", "source": "watch", "actor": "watch",
        "origin": "dropped", "provenance": {}, "files": 34, "bytes": 81920,
        "needs": [{"ref": "core", "range": ">=1.2,<2"}], "waits_for": [], "problems": [], "forced": False,
        "tests_skipped": False, "correlation_id": "chg_01K9Z6SZ8Q2F4H6J8K0M2N4P6R",
    }  # fmt: skip


class WholeRevision(Revision):
    """With what its pack.yaml said."""

    fields: dict[str, Any]
    sample: ClassVar[dict[str, Any]] = Revision.sample | {"fields": {"ref": "slack", "version": "1.3.0"}}


class Activation(Form):
    """One moment at which a revision became the one in use."""

    id: int
    ref: str
    number: int
    digest: str
    previous_number: int | None
    reason: Literal["registered", "updated", "rolled_back"]
    actor: str
    at: Moment
    sample: ClassVar[dict[str, Any]] = {
        "id": 12, "ref": "slack", "number": 7, "digest": _DIGEST, "previous_number": 6, "reason": "updated",
        "actor": "uid=1000 pid=4242", "at": _AT,
    }  # fmt: skip


class Component(Form):
    """One action, sensor, …"""

    kind: str
    ref: str
    label: str
    description: str
    path: str
    runner_type: str | None
    entry_point: str | None
    sample: ClassVar[dict[str, Any]] = {
        "kind": "action", "ref": "slack.post", "label": "Post a message", "description": "", "path": "actions/post.yaml",
        "runner_type": "python", "entry_point": "post.py",
    }  # fmt: skip


class Run(Form):
    """One run of a pack's own tests, without its cases; the counts are null while it runs."""

    id: str
    ref: str
    revision: int
    trigger_reason: Literal["install", "update", "manual", "validation"]
    source: str
    actor: str
    started_at: Moment
    finished_at: Moment | None
    status: str = Field(description="running, passed, failed, skipped, partial, error or timed_out.")
    accepted: bool | None = Field(description="Whether the revision may be used.")
    verdict: str | None = Field(description="The same in words.")
    reason: str | None
    total_tests: int | None
    passed: int | None
    failed: int | None
    skipped: int | None
    pass_rate: float | None = Field(description="passed / (total - skipped).")
    duration_ms: float | None
    flaky: list[dict[str, Any]] = Field(description="Cases with different outcomes on the same content.")
    sample: ClassVar[dict[str, Any]] = {
        "id": "run_01K9Z6T1M0VJ5R8Q4X2C7B3N6D", "ref": "slack", "revision": 7, "trigger_reason": "update",
        "source": "watch", "actor": "watch", "started_at": _AT, "finished_at": _AT, "status": "passed",
        "accepted": True, "verdict": "36 of 36 tests passed", "reason": None, "total_tests": 36, "passed": 36,
        "failed": 0, "skipped": 0, "pass_rate": 1.0, "duration_ms": 1234.5, "flaky": [],
    }  # fmt: skip


class WholeRun(Run):
    """With every suite and case."""

    report: dict[str, Any] | None
    sample: ClassVar[dict[str, Any]] = Run.sample | {
        "report": {
            "pack_ref": "slack",
            "pack_version": "1.3.0",
            "status": "passed",
            "total_tests": 36,
            "test_suites": [],
        }
    }


class Comparison(Form):
    """What changed between two runs."""

    ref: str
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "from": Run.sample, "to": Run.sample, "same_content": False, "newly_failing": [],
        "still_failing": [], "fixed": [], "newly_skipped": [], "added": [], "removed": [], "slower": [],
        "unchanged": 36, "worse": False,
    }  # fmt: skip


class Registered(Form):
    """What came of registering or installing."""

    pack: Pack
    test_result: dict[str, Any] | None = Field(description="The report; null: tests were skipped, or have not run.")
    tests_skipped: bool
    forced: bool = Field(description="It was activated although its tests failed.")
    unchanged: bool = Field(description="Exactly this was in use already.")
    revision: Revision
    sample: ClassVar[dict[str, Any]] = {
        "pack": Pack.sample, "test_result": WholeRun.sample["report"], "tests_skipped": False, "forced": False,
        "unchanged": False, "revision": Revision.sample,
    }  # fmt: skip


class Installed(Form):
    """What came of installing: as with registering, and the whole plan. With `dry_run` nothing but the plan."""

    plan: list[dict[str, Any]] = Field(description="Every pack that is needed, in the order of their registration.")
    notes: list[str] = Field(description="What was odd about the indexes, and did not matter.")
    installed: list[Revision] = Field(description="What was registered.")
    sample: ClassVar[dict[str, Any]] = Registered.sample | {"plan": [], "notes": [], "installed": [Revision.sample]}


class Offer(Form):
    """A pack that an index has, with all its versions."""

    ref: str
    version: str = Field(description="The newest.")
    versions: list[str]
    label: str
    description: str
    needs: list[dict[str, str]]
    index: str
    in_use: str | None
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "version": "1.3.0", "versions": ["1.3.0", "1.2.0"], "label": "Slack", "description": "",
        "needs": [], "index": "https://packs.example/index.json", "in_use": "1.2.0",
    }  # fmt: skip


class Outdated(Form):
    """A pack in use of which an index has a newer version."""

    ref: str
    sample: ClassVar[dict[str, Any]] = {"ref": "slack"}


class TakenOut(Form):
    """A pack that is not in use any more."""

    ref: str
    last: Revision | None
    drop: str | None = Field(description="What still lies in the packs directory, and is left alone.")
    needed_by: list[str] = Field(description="Packs in use that need it.")
    sample: ClassVar[dict[str, Any]] = {"ref": "slack", "last": Revision.sample, "drop": "slack", "needed_by": []}


class RolledBack(Form):
    withdrawn: Revision
    restored: Revision
    sample: ClassVar[dict[str, Any]] = {"withdrawn": Revision.sample, "restored": Revision.sample}


class Explanation(Form):
    """Why a pack or a drop is or isn't active."""

    ref: str | None
    headline: str
    lines: list[str]
    active: bool
    refused: bool
    sample: ClassVar[dict[str, Any]] = {
        "ref": "slack", "headline": "slack#7 (version 1.3.0) is active since 2026-01-31T09:15:00.118Z.",
        "lines": ["tests: 36 of 36 passed in 1.23 s"], "active": True, "refused": False,
    }  # fmt: skip


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
        "actor": "uid=1000 pid=4242", "state": "running", "created_at": _AT, "finished_at": None, "status": None,
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
        "created_by": "uid=1000 pid=4242", "created_at": _AT, "expires_at": None, "last_used_at": None,
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
        "state": "delivered", "attempts": 1, "next_attempt_at": None, "last_error": None, "created_at": _AT,
        "finished_at": _AT,
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
    sample: ClassVar[dict[str, Any]] = {
        "version": "0.1.0", "pid": 4242, "packs_dir": "/srv/packs", "state_dir": "/var/lib/packd", "started_at": _AT,
        "watch": {"state": "watching", "watches": 7, "folders": 7, "limit": 8192, "troubles": []},
        "packs": {"active": 3, "waiting": 0, "testing": 0, "refused": 0, "total": 3},
        "queue": {"settling": 0, "jobs": 0, "testing": []}, "endpoints": [], "isolation": "basic",
    }  # fmt: skip


class Health(Form):
    status: str
    sample: ClassVar[dict[str, Any]] = {"status": "ok"}


class AuditTrail(Form):
    """Who did what, newest first."""

    data: list[dict[str, Any]]
    sample: ClassVar[dict[str, Any]] = {"data": []}


class Verified(Form):
    drifts: list[dict[str, Any]] = Field(description="Trees in use that are not what was tested.")
    sample: ClassVar[dict[str, Any]] = {"drifts": []}


class Anything(Form):
    """Described where it comes from."""


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


class Pagination(Form):
    page: int
    page_size: int
    total_items: int
    total_pages: int
    has_previous: bool
    has_next: bool


Item = TypeVar("Item", bound=Form)


class One(Form, Generic[Item]):
    """An answer about one thing."""

    data: Item | None
    message: str | None = Field(default=None, description="The same in words.")


class Many(Form, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    pagination: Pagination


class All(Form, Generic[Item]):
    """A whole list."""

    items: list[Item]
