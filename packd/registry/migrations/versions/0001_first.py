"""The first schema, as it was: written out, so that later changes to the tables do not change it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _facts_and_drops()
    _packs()
    _revisions()
    _of_revisions()
    _events()
    _deliveries()
    _requests()


def _facts_and_drops() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_facts")),
    )
    op.create_table(
        "drops",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text()),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("digest", sa.Text()),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("gone_at_s", sa.Float()),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_drops")),
    )
    refused = sa.text("json_array_length(problems) > 0 AND gone_at_s IS NULL")
    op.create_index("ix_drops_refused", "drops", ["name"], sqlite_where=refused, postgresql_where=refused)


def _packs() -> None:
    op.create_table(
        "packs",
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("drop_name", sa.Text()),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("registered_at", sa.Text()),
        sa.Column("unregistered_at", sa.Text()),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("disabled_at", sa.Text()),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_packs")),
        sa.UniqueConstraint("drop_name", name=op.f("uq_packs_drop_name")),
        sa.CheckConstraint("origin IN ('dropped', 'registered')", name=op.f("ck_packs_origin")),
    )
    op.create_index("ix_packs_path", "packs", ["path"])
    present = sa.text("unregistered_at IS NULL")
    op.create_index("ix_packs_present", "packs", ["ref"], sqlite_where=present, postgresql_where=present)


def _revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("version", sa.Text()),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("causation_id", sa.Text()),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("needs", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("waits_for", sa.JSON(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("tests_skipped", sa.Boolean(), nullable=False),
        sa.Column("first_change_at_s", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("phase_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "number", name=op.f("pk_revisions")),
        sa.ForeignKeyConstraint(["ref"], ["packs.ref"], name=op.f("fk_revisions_ref")),
        sa.CheckConstraint("number > 0", name=op.f("ck_revisions_number")),
        sa.CheckConstraint(
            "phase IN ('active', 'failed', 'rejected', 'rolled_back', 'snapshotted', 'superseded', 'tested', "
            "'validated', 'waiting')",
            name=op.f("ck_revisions_phase"),
        ),
    )
    _index_revisions("one_active_revision", "phase = 'active'", unique=True)
    _index_revisions("one_candidate", "phase IN ('snapshotted', 'tested', 'validated', 'waiting')", unique=True)
    _index_revisions("ix_revisions_needy", "phase = 'active' AND json_array_length(needs) > 0")


def _index_revisions(name: str, where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "revisions", ["ref"], unique=unique, sqlite_where=condition, postgresql_where=condition)


def _of_revisions() -> None:
    op.create_table(
        "components",
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("component_ref", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("runner_type", sa.Text()),
        sa.Column("entry_point", sa.Text()),
        sa.PrimaryKeyConstraint("ref", "number", "kind", "component_ref", name=op.f("pk_components")),
        sa.ForeignKeyConstraint(
            ["ref", "number"],
            ["revisions.ref", "revisions.number"],
            name=op.f("fk_components_ref_number"),
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "activations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("previous_number", sa.Integer()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activations")),
        sa.ForeignKeyConstraint(
            ["ref", "number"], ["revisions.ref", "revisions.number"], name=op.f("fk_activations_ref_number")
        ),
        sa.CheckConstraint("reason IN ('registered', 'rolled_back', 'updated')", name=op.f("ck_activations_reason")),
    )
    op.create_index(op.f("ix_activations_ref"), "activations", ["ref"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trigger_reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("accepted", sa.Boolean()),
        sa.Column("verdict", sa.Text()),
        sa.Column("report", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.ForeignKeyConstraint(
            ["ref", "number"], ["revisions.ref", "revisions.number"], name=op.f("fk_runs_ref_number")
        ),
    )
    op.create_index("ix_runs_ref_started", "runs", ["ref", "started_at"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sa.CheckConstraint("seq > 0", name=op.f("ck_events_seq")),
        sa.UniqueConstraint("id", name=op.f("uq_events_id")),
    )
    op.create_table(
        "endpoints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("packs", sa.JSON(), nullable=False),
        sa.Column("ordering", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text()),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("allow_private", sa.Boolean(), nullable=False),
        sa.Column("timeout_s", sa.Float(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("rate", sa.Float()),
        sa.Column("tls", sa.JSON()),
        sa.Column("last_endpoint_seq", sa.Integer(), nullable=False),
        sa.Column("paused_until_s", sa.Float()),
        sa.Column("previous_secret", sa.Text()),
        sa.Column("previous_secret_until_s", sa.Float()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since_s", sa.Float()),
        sa.Column("rest_s", sa.Float(), nullable=False),
        sa.Column("resting_until_s", sa.Float()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_endpoints")),
        sa.CheckConstraint("format IN ('cloudevents', 'standard')", name=op.f("ck_endpoints_format")),
        sa.CheckConstraint("ordering IN ('none', 'pack', 'strict')", name=op.f("ck_endpoints_ordering")),
        sa.CheckConstraint("state IN ('disabled', 'enabled', 'removed')", name=op.f("ck_endpoints_state")),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("endpoint_seq", sa.Integer(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("earlier_attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at_s", sa.Float()),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.name"], name=op.f("fk_deliveries_endpoint")),
        sa.UniqueConstraint("endpoint", "endpoint_seq", name=op.f("uq_deliveries_endpoint_endpoint_seq")),
        sa.UniqueConstraint("endpoint", "event_seq", name=op.f("uq_deliveries_endpoint_event_seq")),
        sa.CheckConstraint(
            "state IN ('aborted', 'delivered', 'exhausted', 'pending')", name=op.f("ck_deliveries_state")
        ),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_deliveries_pending",
        "deliveries",
        ["endpoint", "lane", "endpoint_seq"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["endpoint", "endpoint_seq"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    later = sa.text("state = 'pending' AND next_attempt_at_s IS NOT NULL")
    op.create_index(
        "ix_deliveries_later",
        "deliveries",
        ["endpoint", "lane", "next_attempt_at_s"],
        sqlite_where=later,
        postgresql_where=later,
    )
    op.create_index(
        "ix_deliveries_soonest",
        "deliveries",
        ["endpoint", "next_attempt_at_s"],
        sqlite_where=later,
        postgresql_where=later,
    )
    op.create_index("ix_deliveries_event", "deliveries", ["event_id"])
    op.create_table(
        "attempts",
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("warning", sa.Text()),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("request_head", sa.Text()),
        sa.Column("response_head", sa.Text()),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("pk_attempts")),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_attempts_delivery_id"), ondelete="CASCADE"
        ),
    )


def _requests() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Text()),
        sa.Column("status", sa.Integer()),
        sa.Column("answer", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.CheckConstraint("state IN ('cancelled', 'failed', 'running', 'succeeded')", name=op.f("ck_jobs_state")),
    )
    op.create_index("ix_jobs_created", "jobs", ["created_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at_s", sa.Float(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", sa.JSON()),
        sa.Column("body", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("expires_at_s", sa.Float()),
        sa.Column("last_used_at_s", sa.Float()),
        sa.Column("revoked_at", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
