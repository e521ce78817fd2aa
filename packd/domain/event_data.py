"""What each type of event says: one model a type, with the meaning of every field and an example of it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

from pydantic import Field

from packd.domain.event_parts import (
    FAILURES_LIMIT,
    NAMES_LIMIT,
    OUTPUT_TAIL_LIMIT,
    PROBLEMS_LIMIT,
    Counts,
    FailureInfo,
    Milliseconds,
    Name,
    Natural,
    NeedInfo,
    Numbers,
    PackInfo,
    Part,
    Path,
    ProblemInfo,
    RevisionInfo,
    Sentence,
    Share,
    Version,
    first,
    text_end,
)
from packd.domain.reports import Limit

FailedReason = Literal["failures", "timeout", "crash", "resource_limit", "no_tests"]
RollBackReason = Literal["validation_failed", "tests_failed", "operator", "probation"]


Actor = Annotated[
    Name | None,
    Field(
        description="Who caused it: a caller by uid and pid, a token by its name, or packd's own part; null: packd.",
        examples=["uid=1000 pid=4242"],
    ),
]


class EventData(Part):
    """The `data` of an event."""

    type: ClassVar[str]

    @property
    def subject(self) -> str:
        """What the event is about: `packs/<ref>`, `webhooks/<endpoint>`, or the first word of its type."""
        return self.type.partition(".")[0]


class PackData(EventData):
    """The `data` of an event about a pack."""

    pack: PackInfo = Field(description="The pack as it is after the event.", examples=[PackInfo.example()])

    @property
    def subject(self) -> str:
        return f"packs/{self.pack.ref}"


def _place(*steps: object) -> str:
    """A path of the daemon's API."""
    return "/".join(("/api/v1/packs", *(quote(str(step), safe="") for step in steps)))


class DropData(PackData):
    """Something was dropped, or has changed, and has settled."""

    trigger: Literal["fs", "scan", "api", "cli"] = Field(description="What made packd look.", examples=["fs"])
    files: Natural = Field(description="The number of its files.", examples=[34])
    bytes: Natural = Field(description="The sum of their sizes.", examples=[81920])
    actor: Actor = None


class PackDiscovered(DropData):
    """A pack that was not known before is there."""

    type: ClassVar[str] = "pack.discovered"


class PackChanged(DropData):
    """The content of a known pack is another one."""

    type: ClassVar[str] = "pack.changed"


class PackValidationFailed(PackData):
    """The content does not say what a pack must say; nothing of it was run."""

    type: ClassVar[str] = "pack.validation_failed"

    problems: Annotated[tuple[ProblemInfo, ...], first(PROBLEMS_LIMIT)] = Field(
        description="What was found, at most 20 of it.", examples=[[ProblemInfo.example()]], max_length=PROBLEMS_LIMIT
    )
    url: Path = Field(
        default_factory=lambda said: _place(said["pack"].ref, "why"),
        description="Where the daemon tells all of it; a path of its API.",
        examples=["/api/v1/packs/slack/why"],
    )


class PackWaiting(PackData):
    """Packs that it needs are not active; it goes on by itself when they are."""

    type: ClassVar[str] = "pack.waiting"

    missing: Annotated[tuple[NeedInfo, ...], first(NAMES_LIMIT)] = Field(
        description="What it waits for.", examples=[[NeedInfo.example()]], max_length=NAMES_LIMIT
    )


class RunData(PackData):
    """An event of one run of the pack's own tests."""

    run_id: Name = Field(description="The run, as `packd tests` names it.", examples=["run_01K9Z6T1M0VJ5R8Q4X2C7B3N6D"])


class PackTestStarted(RunData):
    """Its own tests begin. Sent to webhooks only when asked for by this name."""

    type: ClassVar[str] = "pack.test_started"

    suites: Annotated[tuple[Name, ...], first(NAMES_LIMIT)] = Field(
        description="The names of the suites that will run.", examples=[["shell", "python"]], max_length=NAMES_LIMIT
    )


class RunEndedData(RunData):
    """Its own tests have run."""

    duration_ms: Milliseconds = Field(description="How long the run took.", examples=[1234.5])
    tests: Counts = Field(description="How many cases there were and how they ended.", examples=[Counts.example()])
    pass_rate: Share = Field(description="passed / (total - skipped); 0 when none was executed.", examples=[1.0])
    notes: Annotated[tuple[Sentence, ...], first(NAMES_LIMIT)] = Field(
        default=(),
        description="What is to be said of single suites: why one did not pass, or what it should not have done. "
        "Where no suite was come to: why.",
        examples=[["suite shell: it left 1 process running, which packd killed"]],
        max_length=NAMES_LIMIT,
    )
    url: Path = Field(
        default_factory=lambda said: _place(said["pack"].ref, "tests", said["run_id"]),
        description="Where the daemon has the whole report; a path of its API.",
        examples=["/api/v1/packs/slack/tests/run_01K9Z6T1M0VJ5R8Q4X2C7B3N6D"],
    )


class PackTestPassed(RunEndedData):
    """Its own tests passed, by the measure of its manifest."""

    type: ClassVar[str] = "pack.test_passed"


class PackTestFailed(RunEndedData):
    """Its own tests did not pass; the revision does not become active."""

    type: ClassVar[str] = "pack.test_failed"
    sample: ClassVar[dict[str, Any]] = {
        "tests": {"total": 36, "passed": 35, "failed": 1, "skipped": 0},
        "pass_rate": 0.9722,
        "limit": None,
    }

    reason: FailedReason = Field(description="Why the run did not pass.", examples=["failures"])
    limit: Limit | None = Field(
        default=None, description="Which limit it met; null: the reason is another.", examples=["memory"]
    )
    failures: Annotated[tuple[FailureInfo, ...], first(FAILURES_LIMIT)] = Field(
        description="What failed, at most 10 of it.", examples=[[FailureInfo.example()]], max_length=FAILURES_LIMIT
    )
    output_tail: Annotated[str, text_end(OUTPUT_TAIL_LIMIT)] = Field(
        description="The end of what the first suite in trouble printed, at most 4 KiB.",
        examples=["FAILED (failures=1)\n"],
    )


class ActivatedData(PackData):
    """A revision became the one in use."""

    duration_ms: Milliseconds = Field(description="From the first change to active.", examples=[2310.4])
    components: Numbers = Field(description="Its components, by kind.", examples=[{"actions": 3, "sensors": 1}])
    tests_skipped: bool = Field(description="Its tests were not run, as asked.", examples=[False])
    forced: bool = Field(description="It became active although its tests failed, as asked.", examples=[False])
    actor: Actor = None


class PackRegistered(ActivatedData):
    """The first activation of the pack."""

    type: ClassVar[str] = "pack.registered"


class PackUpdated(ActivatedData):
    """A newer revision took the place of the active one."""

    type: ClassVar[str] = "pack.updated"


class PackRolledBack(PackData):
    """A candidate was refused, or the active revision withdrawn; the last good one is in use."""

    type: ClassVar[str] = "pack.rolled_back"
    sample: ClassVar[dict[str, Any]] = {
        "failed": RevisionInfo.example() | {"version": "1.3.0", "revision": 7, "digest": "sha256:" + "9f" * 32}
    }

    reason: RollBackReason = Field(description="Why.", examples=["tests_failed"])
    failed: RevisionInfo = Field(description="The revision that is not in use.", examples=[RevisionInfo.example()])
    restored: RevisionInfo | None = Field(
        description="The revision that is in use now; null: none, nothing remains but the report.",
        examples=[RevisionInfo.example()],
    )
    actor: Actor = None


class PackUnregistered(PackData):
    """The pack is gone; its reports stay."""

    type: ClassVar[str] = "pack.unregistered"

    reason: Literal["removed", "operator"] = Field(
        description="Its drop was removed, or a person asked.", examples=["removed"]
    )
    last: RevisionInfo | None = Field(
        description="The revision that was active last; null when none ever was.", examples=[RevisionInfo.example()]
    )
    actor: Actor = None


class PackDrifted(PackData):
    """Files in the store were not what had been tested: of the revision in use, which stays, or of one to go back to."""

    type: ClassVar[str] = "pack.drifted"
    repaired: bool = Field(description="They are again what was tested.", examples=[True])
    detail: str = Field(
        description="What was found and what was done, in words.",
        examples=["its files in the store were changed or lost; they were put right from the packs directory"],
    )


class DaemonData(EventData):
    """An event of the daemon itself."""

    version: Version = Field(description="The version of packd.", examples=["0.1.0"])
    previous_stop: Literal["clean", "crash"] | None = Field(
        default=None, description="How the daemon before this one ended; null when there was none.", examples=["clean"]
    )
    reconciled: Numbers = Field(
        default_factory=dict,
        description="What comparing the folder with the registry led to, by kind.",
        examples=[{"unchanged": 12}],
    )


class DaemonStarted(DaemonData):
    """The daemon is up and has compared the folder with the registry."""

    type: ClassVar[str] = "daemon.started"


class DaemonStopping(DaemonData):
    """The daemon was asked to stop and takes no new work."""

    type: ClassVar[str] = "daemon.stopping"


class WatchData(EventData):
    """An event of watching the packs directory."""

    reason: Literal["overflow", "root_missing", "limit", "disk"] = Field(
        description="What was lost; disk: there is no room for anything new.", examples=["overflow"]
    )
    scope: Path = Field(description="The folder it is about.", examples=["/srv/packs"])


class WatchDegraded(WatchData):
    """Changes may go unseen until the next scan."""

    type: ClassVar[str] = "watch.degraded"


class WatchRecovered(WatchData):
    """Changes are seen at once again."""

    type: ClassVar[str] = "watch.recovered"


class WebhookData(EventData):
    """An event about one endpoint."""

    endpoint: Name = Field(description="The name of the endpoint.", examples=["ci"])
    event_id: Name | None = Field(
        default=None,
        description="The event of the delivery; null: none in particular.",
        examples=["evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6D"],
    )
    attempts: Natural = Field(default=0, description="Attempts made so far for that delivery.", examples=[4])
    last_error: Sentence | None = Field(
        default=None,
        description="What the last failed attempt met.",
        examples=["connection refused by hooks.example.org:443"],
    )
    next_attempt_at: str | None = Field(
        default=None,
        description="When the next attempt is due, RFC 3339 in UTC; null: none is planned.",
        examples=["2026-01-31T09:45:00.118Z"],
    )

    @property
    def subject(self) -> str:
        return f"webhooks/{self.endpoint}"


_NOTHING_TRIED: Final = {"event_id": None, "attempts": 0, "last_error": None, "next_attempt_at": None}


class WebhookTest(WebhookData):
    """Sent on demand, to see that the endpoint answers."""

    type: ClassVar[str] = "webhook.test"
    sample: ClassVar[dict[str, Any]] = _NOTHING_TRIED


class WebhookEndpointDisabled(WebhookData):
    """The endpoint gets nothing any more; its events are held."""

    type: ClassVar[str] = "webhook.endpoint_disabled"
    sample: ClassVar[dict[str, Any]] = {
        "attempts": 1,
        "last_error": "answered 410 Gone: the endpoint is disabled and its events are held",
        "next_attempt_at": None,
        "actor": None,
    }

    actor: Actor = None


class WebhookEndpointEnabled(WebhookData):
    """The endpoint gets its events again, the held ones first."""

    type: ClassVar[str] = "webhook.endpoint_enabled"
    sample: ClassVar[dict[str, Any]] = _NOTHING_TRIED

    actor: Actor = None


class WebhookDeliveryFailing(WebhookData):
    """A delivery failed for the fourth time; attempts go on."""

    type: ClassVar[str] = "webhook.delivery_failing"


class WebhookDeliveryRecovered(WebhookData):
    """A delivery that was failing arrived."""

    type: ClassVar[str] = "webhook.delivery_recovered"
    sample: ClassVar[dict[str, Any]] = {"attempts": 5, "next_attempt_at": None}


class WebhookDeliveryExhausted(WebhookData):
    """No attempts are left for a delivery."""

    type: ClassVar[str] = "webhook.delivery_exhausted"
    sample: ClassVar[dict[str, Any]] = {"attempts": 10, "next_attempt_at": None}
