"""What the registry hands out: plain values, one class a kind of row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from packd.domain.breaker import Health
from packd.domain.lifecycle import Phase

DropKind = Literal["folder", "archive", "link"]
PackOrigin = Literal["dropped", "registered"]  # by the packs directory, or from elsewhere
JobState = Literal["running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Drop:
    """What lay in the packs directory under one name when it was last looked at."""

    name: str
    kind: str
    ref: str | None = None  # the pack it says it is, as far as it could be read
    fingerprint: str | None = None  # None: too fresh to be trusted, read it again
    digest: str | None = None  # None: it could not be read
    problems: tuple[dict[str, Any], ...] = ()  # why no revision was made of it
    gone_at_s: float | None = None  # Unix seconds when it was found missing
    held: bool = False  # an operator removed its pack: left alone until its content changes, or somebody asks


@dataclass(frozen=True, kw_only=True)
class Pack:
    """One pack, whether in use or not."""

    ref: str
    drop_name: str | None
    path: str
    registered_at: str | None
    unregistered_at: str | None
    origin: PackOrigin = "dropped"
    disabled_at: str | None = None  # None: it is enabled

    @property
    def is_present(self) -> bool:
        """It lies in the packs directory, or was registered and not removed."""
        return self.unregistered_at is None


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One content of one pack."""

    ref: str
    number: int
    digest: str
    version: str | None
    phase: Phase
    path: str
    trigger: str
    source: str
    correlation_id: str
    causation_id: str | None
    files: int
    bytes: int
    fields: dict[str, Any]
    needs: tuple[dict[str, str], ...]
    problems: tuple[dict[str, Any], ...]
    waits_for: tuple[dict[str, str], ...]
    forced: bool
    tests_skipped: bool
    first_change_at_s: float
    created_at: str
    phase_at: str
    actor: str = "watch"  # who asked, by name
    origin: PackOrigin = "dropped"
    provenance: dict[str, Any] = field(default_factory=dict)  # source, commit, checksum, … where it was fetched

    @property
    def name(self) -> str:
        """As people write it: `mypack#7`."""
        return f"{self.ref}#{self.number}"


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One moment at which a revision became the one in use."""

    id: int
    ref: str
    number: int
    digest: str
    previous_number: int | None
    reason: str
    actor: str
    at: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a revision's suites; `status` is None while it runs."""

    id: str
    ref: str
    number: int
    trigger_reason: str
    source: str
    actor: str
    started_at: str
    finished_at: str | None
    status: str | None
    accepted: bool | None
    verdict: str | None
    report: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """One event, with the envelope exactly as everybody gets it."""

    seq: int
    id: str
    type: str
    subject: str
    timestamp: str
    body: str  # JSON


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Who is told."""

    name: str
    url: str
    secret: str = field(repr=False)  # never shown
    types: tuple[str, ...]
    packs: tuple[str, ...]
    ordering: str  # pack, strict, none
    state: str  # enabled, disabled, removed
    state_reason: str | None
    origin: str  # config, api
    allow_private: bool  # loopback and private networks may be connected to
    timeout_s: float  # for a whole attempt, the answer included
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # more request headers; never shown
    format: str = "standard"  # standard, cloudevents
    rate: float | None = None  # deliveries a second at most; None: as many as it takes
    tls: dict[str, str | None] | None = field(default=None, repr=False)  # ca, certificate, key; PEM
    # From here on it is what happened to it, not what somebody wants of it.
    last_endpoint_seq: int = 0
    paused_until_s: float | None = None
    previous_secret: str | None = field(default=None, repr=False)
    previous_secret_until_s: float | None = None
    failures: int = 0
    failing_since_s: float | None = None
    rest_s: float = 0.0
    resting_until_s: float | None = None

    @property
    def is_well(self) -> bool:
        """The newest attempt arrived, or there was none."""
        return not self.failures and not self.rest_s

    @property
    def health(self) -> Health:
        """What the newest attempts say of it."""
        return Health(
            failures=self.failures,
            failing_since_s=self.failing_since_s,
            rest_s=self.rest_s,
            resting_until_s=self.resting_until_s,
        )

    def secrets(self, now: float) -> tuple[str, ...]:
        """What signs `now`: the newest first, and the one before it while it is being rotated."""
        if self.previous_secret is None or (self.previous_secret_until_s or 0.0) <= now:
            return (self.secret,)
        return (self.secret, self.previous_secret)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A delivery that may be the next to leave, without what is to be sent."""

    id: int
    endpoint: str
    endpoint_seq: int
    lane: str
    attempts: int
    next_attempt_at_s: float | None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event for one endpoint."""

    id: int
    endpoint: str
    event_seq: int
    event_id: str
    event_type: str
    subject: str
    endpoint_seq: int
    lane: str
    body: bytes
    state: str  # pending, delivered, exhausted, aborted
    attempts: int  # since it was told, or told to be sent again, last
    earlier_attempts: int  # before that
    next_attempt_at_s: float | None
    last_error: str | None
    created_at: str
    finished_at: str | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work that goes on behind the answer to a request."""

    id: str
    kind: str  # register, install, test
    subject: str  # what it is about: a path, an address, a ref
    actor: str
    state: JobState
    created_at: str
    finished_at: str | None = None
    status: int | None = None  # the HTTP status that waiting would have given
    answer: dict[str, Any] | None = None  # and the body


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A request with an idempotency key, and its answer as soon as there is one."""

    actor: str
    key: str
    fingerprint: str  # of the method, the path and the body
    created_at_s: float
    status: int | None = None  # None: the first request is still at work
    headers: tuple[tuple[str, str], ...] | None = None
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Token:
    """A key to the API, without the key: only its digest is known."""

    id: str
    name: str
    digest: str = field(repr=False)  # SHA-256 in hexadecimal
    scopes: tuple[str, ...]
    created_by: str
    created_at: str
    expires_at_s: float | None = None  # Unix seconds
    last_used_at_s: float | None = None
    revoked_at: str | None = None
