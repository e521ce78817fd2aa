"""The schema. The rules that must never break are in here, as constraints, so that no code path can forget them.

Times are RFC 3339 text in UTC with milliseconds, except where arithmetic is done on them (`*_at_s`: Unix seconds).
A change here needs a new file in `migrations/versions` that makes it, and its number in `conditions.SCHEMA_VERSION`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from packd.domain.lifecycle import Phase
from packd.registry.anytext import AnyText
from packd.registry.conditions import (
    IS_ACTIVE,
    IS_ACTIVE_WITH_NEEDS,
    IS_CANDIDATE,
    IS_PENDING,
    IS_PENDING_LATER,
    IS_PRESENT,
    IS_REFUSED,
    IS_WAITING,
    one_of,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# One value a name: the event counter, how the daemon last stopped.
facts = Table(
    "facts",
    metadata,
    Column("name", AnyText, primary_key=True),
    Column("value", AnyText, nullable=False),
)

# What lies in the packs directory, as it was when it was last looked at.
drops = Table(
    "drops",
    metadata,
    Column("name", AnyText, primary_key=True),  # its name in the packs directory, whatever its bytes: see anytext
    Column("kind", AnyText, nullable=False),
    Column("ref", AnyText),  # the pack it says it is, as far as it could be read
    Column("fingerprint", AnyText),  # of its stat data when it was read; NULL: too fresh to be trusted, read it again
    Column("digest", AnyText),  # of its content when it was read; NULL: it could not be read
    Column("problems", JSON, nullable=False),  # why no revision was made of it; empty when one was
    Column("gone_at_s", Float),  # when it was found missing; NULL while it is there
    Column("held", Boolean, nullable=False),  # an operator removed its pack: left alone until its content changes
    Index("ix_drops_ref", "ref", "name"),
    # Few drops are refused; a list of packs shows them, and must not look at every drop for that.
    Index("ix_drops_refused", "name", sqlite_where=text(IS_REFUSED)),
)

packs = Table(
    "packs",
    metadata,
    Column("ref", AnyText, primary_key=True),
    Column("drop_name", AnyText, unique=True),  # the drop that owns it; NULL when registered from elsewhere
    Column("path", AnyText, nullable=False),  # where its content came from
    Column("registered_at", AnyText),  # first activation since it was last unregistered
    Column("unregistered_at", AnyText),  # NULL while it is in the packs directory or registered
    Column("origin", AnyText, nullable=False),  # where its content comes from: a drop, or elsewhere
    Column("disabled_at", AnyText),  # NULL while it is enabled
    CheckConstraint(one_of("origin", ("dropped", "registered")), name="origin"),
    Index("ix_packs_path", "path"),
    Index("ix_packs_present", "ref", sqlite_where=text(IS_PRESENT)),
)

revisions = Table(
    "revisions",
    metadata,
    Column("ref", AnyText, ForeignKey("packs.ref"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", AnyText, nullable=False),
    Column("version", AnyText),  # the author's label; NULL when it could not be read
    Column("phase", AnyText, nullable=False),
    Column("path", AnyText, nullable=False),
    Column("trigger", AnyText, nullable=False),  # fs, scan, api, cli: what made packd look
    Column("source", AnyText, nullable=False),  # watch, scan, api, cli, git, schedule: who asked
    Column("actor", AnyText, nullable=False),  # by name, e.g. "watch" or "uid=1000 pid=4242"
    Column("origin", AnyText, nullable=False),  # a drop, or registered from elsewhere
    Column("provenance", JSON, nullable=False),  # where it was fetched from: source, commit, checksum, …; {}: nowhere
    Column("correlation_id", AnyText, nullable=False),  # shared by every event of this change
    Column("causation_id", AnyText),  # the event that led to the next one
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("fields", JSON, nullable=False),  # what pack.yaml says
    Column("needs", JSON, nullable=False),  # [{ref, range}]
    Column("problems", JSON, nullable=False),
    Column("waits_for", JSON, nullable=False),  # [{ref, version}], as last told
    Column("forced", Boolean, nullable=False),
    Column("tests_skipped", Boolean, nullable=False),
    Column("first_change_at_s", Float, nullable=False),
    Column("created_at", AnyText, nullable=False),
    Column("phase_at", AnyText, nullable=False),
    CheckConstraint("number > 0", name="number"),
    CheckConstraint(one_of("phase", Phase), name="phase"),
    # One active revision a pack, and one candidate a pack: newer content supersedes an older candidate.
    Index("one_active_revision", "ref", unique=True, sqlite_where=text(IS_ACTIVE)),
    Index("one_candidate", "ref", unique=True, sqlite_where=text(IS_CANDIDATE)),
    # Few packs need others; finding these few must not cost a look at every pack.
    Index("ix_revisions_needy", "ref", sqlite_where=text(IS_ACTIVE_WITH_NEEDS)),
    # Asked for behind every change; of many packs that are dropped at once most are candidates that wait for nobody.
    Index("ix_revisions_waiting", "ref", sqlite_where=text(IS_WAITING)),
)  # fmt: skip

components = Table(
    "components",
    metadata,
    Column("ref", AnyText, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", AnyText, primary_key=True),
    Column("component_ref", AnyText, primary_key=True),
    Column("label", AnyText, nullable=False),
    Column("description", AnyText, nullable=False),
    Column("path", AnyText, nullable=False),
    Column("runner_type", AnyText),
    Column("entry_point", AnyText),
    ForeignKeyConstraint(["ref", "number"], ["revisions.ref", "revisions.number"], ondelete="CASCADE"),
)

activations = Table(
    "activations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ref", AnyText, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("digest", AnyText, nullable=False),
    Column("previous_number", Integer),  # what was active before; NULL: nothing
    Column("reason", AnyText, nullable=False),
    Column("actor", AnyText, nullable=False),  # who caused it, e.g. "watch" or "uid=1000 pid=4242"
    Column("at", AnyText, nullable=False),
    ForeignKeyConstraint(["ref", "number"], ["revisions.ref", "revisions.number"]),
    CheckConstraint(one_of("reason", ("registered", "updated", "rolled_back")), name="reason"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", AnyText, primary_key=True),
    Column("ref", AnyText, nullable=False),
    Column("number", Integer, nullable=False),
    Column("trigger_reason", AnyText, nullable=False),
    Column("source", AnyText, nullable=False),
    Column("actor", AnyText, nullable=False),
    Column("started_at", AnyText, nullable=False),
    Column("finished_at", AnyText),  # NULL while it runs
    Column("status", AnyText),  # of the report; NULL while it runs
    Column("accepted", Boolean),  # the verdict; NULL while it runs
    Column("verdict", AnyText),  # the verdict's sentence
    Column("report", JSON(none_as_null=True)),  # NULL while it runs, and when nothing came of it
    ForeignKeyConstraint(["ref", "number"], ["revisions.ref", "revisions.number"]),
    Index("ix_runs_ref_started", "ref", "started_at"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # gap-free, see outbox.append
    Column("id", AnyText, nullable=False, unique=True),
    Column("type", AnyText, nullable=False),
    Column("subject", AnyText, nullable=False),
    Column("timestamp", AnyText, nullable=False),
    Column("body", AnyText, nullable=False),  # the envelope exactly as everybody gets it
    CheckConstraint("seq > 0", name="seq"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", AnyText, primary_key=True),
    Column("url", AnyText, nullable=False),
    Column("secret", AnyText, nullable=False),
    Column("types", JSON, nullable=False),
    Column("packs", JSON, nullable=False),
    Column("ordering", AnyText, nullable=False),
    Column("state", AnyText, nullable=False),
    Column("state_reason", AnyText),
    Column("origin", AnyText, nullable=False),  # config: follows the configuration file
    Column("allow_private", Boolean, nullable=False),
    Column("timeout_s", Float, nullable=False),
    Column("headers", JSON, nullable=False),  # [[name, value]], never shown
    Column("format", AnyText, nullable=False),
    Column("rate", Float),  # deliveries a second at most; NULL: as many as it takes
    Column("tls", JSON(none_as_null=True)),  # {ca, certificate, key} as PEM, the key never shown
    Column("last_endpoint_seq", Integer, nullable=False),
    Column("paused_until_s", Float),  # it asked to be left alone until then
    Column("previous_secret", AnyText),  # signs too, until the moment below
    Column("previous_secret_until_s", Float),
    Column("failures", Integer, nullable=False),  # attempts in a row, of whatever deliveries
    Column("failing_since_s", Float),  # the first of these
    Column("rest_s", Float, nullable=False),  # how long it was left alone last; 0: the breaker is closed
    Column("resting_until_s", Float),
    CheckConstraint(one_of("format", ("standard", "cloudevents")), name="format"),
    CheckConstraint(one_of("ordering", ("pack", "strict", "none")), name="ordering"),
    CheckConstraint(one_of("state", ("enabled", "disabled", "removed")), name="state"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("endpoint", AnyText, ForeignKey("endpoints.name"), nullable=False),
    Column("event_seq", Integer, nullable=False),
    Column("event_id", AnyText, nullable=False),
    Column("event_type", AnyText, nullable=False),
    Column("subject", AnyText, nullable=False),
    Column("endpoint_seq", Integer, nullable=False),
    Column("lane", AnyText, nullable=False),  # deliveries of one lane leave in order: the subject, or one for all
    Column("body", LargeBinary, nullable=False),  # the exact bytes, the same on every attempt
    Column("state", AnyText, nullable=False),
    Column("attempts", Integer, nullable=False),  # since it was told, or told to be sent again, last
    Column("earlier_attempts", Integer, nullable=False),  # before that
    Column("next_attempt_at_s", Float),  # NULL: at once
    Column("last_error", AnyText),
    Column("created_at", AnyText, nullable=False),
    Column("finished_at", AnyText),
    UniqueConstraint("endpoint", "endpoint_seq"),
    UniqueConstraint("endpoint", "event_seq"),
    CheckConstraint(one_of("state", ("pending", "delivered", "exhausted", "aborted")), name="state"),
    Index("ix_deliveries_pending", "endpoint", "lane", "event_seq", sqlite_where=text(IS_PENDING)),
    # Where every delivery has a lane of its own, the first few must be found without reading all of them.
    Index("ix_deliveries_waiting", "endpoint", "event_seq", sqlite_where=text(IS_PENDING)),
    # Few were tried before: whether one of them holds up its lane is asked for every delivery that is read.
    Index("ix_deliveries_later", "endpoint", "lane", "next_attempt_at_s", sqlite_where=text(IS_PENDING_LATER)),
    Index("ix_deliveries_soonest", "endpoint", "next_attempt_at_s", sqlite_where=text(IS_PENDING_LATER)),
    Index("ix_deliveries_event", "event_id"),
)  # fmt: skip

# Work that goes on behind the answer to a request.
jobs = Table(
    "jobs",
    metadata,
    Column("id", AnyText, primary_key=True),
    Column("kind", AnyText, nullable=False),  # register, install, test
    Column("subject", AnyText, nullable=False),  # what it is about: a path, an address, a ref
    Column("actor", AnyText, nullable=False),
    Column("state", AnyText, nullable=False),
    Column("created_at", AnyText, nullable=False),
    Column("finished_at", AnyText),  # NULL while it is running
    Column("status", Integer),  # the HTTP status that waiting for it would have given; NULL while it is running
    Column("answer", JSON(none_as_null=True)),  # and the body
    CheckConstraint(one_of("state", ("running", "succeeded", "failed", "cancelled")), name="state"),
    Index("ix_jobs_created", "created_at"),
)

# Requests that must not be carried out twice, with their answers (draft-ietf-httpapi-idempotency-key-header).
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("actor", AnyText, primary_key=True),  # keys of different callers have nothing to do with each other
    Column("key", AnyText, primary_key=True),
    Column("fingerprint", AnyText, nullable=False),  # of the method, the path and the body
    Column("created_at_s", Float, nullable=False),
    Column("status", Integer),  # NULL: the first request is still at work
    Column("headers", JSON(none_as_null=True)),  # [[name, value]]
    Column("body", LargeBinary),
)

# Who may call on TCP. Only the digest of a token is kept.
tokens = Table(
    "tokens",
    metadata,
    Column("id", AnyText, primary_key=True),
    Column("name", AnyText, nullable=False),
    Column("digest", AnyText, nullable=False, unique=True),  # SHA-256 in hexadecimal
    Column("scopes", JSON, nullable=False),
    Column("created_by", AnyText, nullable=False),
    Column("created_at", AnyText, nullable=False),
    Column("expires_at_s", Float),  # NULL: never
    Column("last_used_at_s", Float),  # NULL: never
    Column("revoked_at", AnyText),
)

# Every request that may have changed something, with who asked.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", AnyText, nullable=False),
    Column("actor", AnyText, nullable=False),
    Column("method", AnyText, nullable=False),
    Column("path", AnyText, nullable=False),
    Column("status", Integer),  # HTTP status; NULL: it was not answered
    Column("request_id", AnyText, nullable=False),
    Column("packs", JSON(none_as_null=True)),  # [ref] that it is about; NULL: none, or none that is known
    Index("ix_audit_at", "at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", Integer, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", AnyText, nullable=False),
    Column("status", Integer),  # HTTP status; NULL: no answer
    Column("error", AnyText),
    Column("reason", AnyText, nullable=False),  # the decision that followed, as a sentence
    Column("warning", AnyText),  # it arrived, but something is odd
    Column("duration_ms", Float, nullable=False),
    Column("request_head", AnyText),
    Column("response_head", AnyText),
)


def use_on_postgresql() -> None:
    """The partial indexes are partial there, too. Said late: saying it loads all that is known of PostgreSQL."""
    for table in metadata.tables.values():
        for index in table.indexes:
            condition = index.dialect_options["sqlite"]["where"]
            if condition is not None:
                index.dialect_options["postgresql"]["where"] = condition
