"""Writing a new revision down: numbered, in the place of an older candidate, and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from packd.domain.event_data import PackChanged, PackDiscovered
from packd.domain.lifecycle import Phase
from packd.flow import tell
from packd.flow.occasion import TriggerWord
from packd.flow.outcomes import supersede_candidate
from packd.registry.rows import PackOrigin, Revision

if TYPE_CHECKING:
    from packd.registry.registry import Writer
    from packd.snapshot.store import Snapshot


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Where new content came from, and how it is to be treated."""

    path: str  # as it is shown
    trigger: TriggerWord  # what made packd look
    source: str  # who asked: watch, scan, api, cli, git, schedule
    actor: str  # the same by name, e.g. "watch" or "uid=1000 pid=4242"
    first_change_at_s: float  # Unix seconds
    origin: PackOrigin = "dropped"
    forced: bool = False  # failing tests are accepted
    tests_skipped: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)  # source, commit, checksum, …


def drafted(
    tx: Writer, ref: str, snapshot: Snapshot, arrival: Arrival, *, version: str | None, correlation_id: str
) -> Revision:
    """The next revision of `ref`, as it will be written down."""
    latest = tx.latest(ref)
    return Revision(
        ref=ref,
        number=latest.number + 1 if latest else 1,
        digest=snapshot.digest,
        version=version,
        phase=Phase.SNAPSHOTTED,
        path=arrival.path,
        trigger=arrival.trigger,
        source=arrival.source,
        actor=arrival.actor,
        origin=arrival.origin,
        provenance=dict(arrival.provenance),
        correlation_id=correlation_id,
        causation_id=None,
        files=snapshot.files,
        bytes=snapshot.bytes,
        fields={},
        needs=(),
        problems=(),
        waits_for=(),
        forced=arrival.forced,
        tests_skipped=arrival.tests_skipped,
        first_change_at_s=arrival.first_change_at_s,
        created_at=tx.now,
        phase_at=tx.now,
    )


def record(tx: Writer, draft: Revision, arrival: Arrival, *, is_new: bool) -> Revision:
    """Write a draft of this transaction down; its pack row must exist. An older candidate is superseded.

    `is_new`: nobody knew the pack before.
    """
    supersede_candidate(tx, draft.ref)
    kind = PackDiscovered if is_new else PackChanged
    event = tx.emit(
        kind(
            pack=tell.about(draft, tx.active(draft.ref)),
            trigger=arrival.trigger,
            files=draft.files,
            bytes=draft.bytes,
            actor=arrival.actor,
        ),
        correlation_id=draft.correlation_id,
    )
    revision = replace(draft, causation_id=event.id)
    tx.add_revision(revision)
    return revision
