"""What can become of a candidate, each as one step inside a transaction: the new phase and the events that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from packd.domain.dependencies import BREAKS_DEPENDENT
from packd.domain.event_data import (
    PackRegistered,
    PackRolledBack,
    PackUnregistered,
    PackUpdated,
    PackValidationFailed,
    PackWaiting,
)
from packd.domain.event_parts import NeedInfo
from packd.domain.lifecycle import Phase, Trigger
from packd.domain.manifest import plural
from packd.domain.problems import Problem
from packd.flow import standing, tell
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.domain.dependencies import Standing
    from packd.domain.event_data import EventData, RollBackReason
    from packd.domain.event_parts import PackInfo
    from packd.domain.reports import Report
    from packd.registry.registry import Writer
    from packd.registry.rows import Pack, Revision, Run


def settle_dependencies(tx: Writer, revision: Revision, outlook: Standing) -> Revision:
    """A validated candidate goes on, waits for other packs, or is refused for breaking one."""
    if outlook.forbidden_by:
        return reject_breaking(tx, revision, outlook)
    if outlook.missing:
        return wait(tx, revision, outlook)
    return revision


def wait(tx: Writer, revision: Revision, outlook: Standing) -> Revision:
    """It goes on by itself when what it needs is active."""
    missing = tuple(NeedInfo(ref=need.ref, version=need.range) for need in outlook.missing)
    event = emit(tx, revision, PackWaiting(pack=about(tx, revision), missing=missing))
    listed = tuple({"ref": need.ref, "version": need.range} for need in outlook.missing)
    return tx.move(revision, Trigger.WAITING, waits_for=listed, causation_id=event)


def reject(tx: Writer, revision: Revision, found: Sequence[Problem]) -> Revision:
    """Validation found errors."""
    event = emit(tx, revision, PackValidationFailed(pack=about(tx, revision), problems=tell.problems(found)))
    rejected = tx.move(revision, Trigger.VALIDATION_FAILED, causation_id=event)
    _tell_rolled_back(tx, rejected, reason="validation_failed")
    return rejected


def reject_breaking(tx: Writer, revision: Revision, outlook: Standing) -> Revision:
    """A new version must not pull the ground from under an active pack."""
    found = tuple(
        Problem(
            code=BREAKS_DEPENDENT,
            file="pack.yaml",
            message=f"version {revision.version} would break the active pack '{ref}', which needs {need}: "
            f"keep to that range, or drop a version of '{ref}' that accepts {revision.version}: "
            "this one is then tried again by itself, if it still lies there",
        )
        for ref, need in outlook.forbidden_by
    )
    return reject(tx, tx.change(revision, problems=tuple(one.to_dict() for one in found)), found)


def try_again(tx: Writer, refused: Revision, *, change: str, now_s: float, **asked: str) -> Revision:
    """Refused content starts over. `change`: the new correlation id; `asked`: by whom, where that is not as before."""
    return tx.move(
        refused,
        Trigger.RETRIED,
        correlation_id=change,
        causation_id=None,
        problems=(),
        waits_for=(),
        first_change_at_s=now_s,
        **asked,
    )


def accept(tx: Writer, revision: Revision, run: Run, report: Report) -> Revision:
    """Its tests passed, or they did not and that was accepted: the event says which."""
    event = emit(tx, revision, tell.run_ended(about(tx, revision), run.id, report))
    return tx.move(revision, Trigger.TESTS_PASSED, causation_id=event)


def fail(tx: Writer, revision: Revision, run: Run, report: Report) -> None:
    """Its tests did not pass."""
    event = emit(tx, revision, tell.run_ended(about(tx, revision), run.id, report))
    failed = tx.move(revision, Trigger.TESTS_FAILED, causation_id=event)
    _tell_rolled_back(tx, failed, reason="tests_failed")


def activate(tx: Writer, revision: Revision, *, now_s: float) -> bool:
    """Make a tested candidate, and whatever can only go together with it, the ones in use.

    False: it has to wait for a member of its group whose tests are not finished.
    """
    outlook = standing.of(tx.reader, revision)
    if outlook.forbidden_by:
        reject_breaking(tx, revision, outlook)
        return True
    if outlook.missing:
        wait(tx, revision, outlook)
        return True
    group = [tx.candidate(ref) for ref in sorted(outlook.group)]
    ready = [member for member in group if member is not None and member.phase == Phase.TESTED]
    if len(ready) < len(group):
        return False
    for member in ready:
        _put_in_use(tx, member, now_s=now_s)
    return True


def put_in_use_by(tx: Writer) -> set[str]:
    """The refs of what a transaction made active."""
    told = (PackRegistered.type, PackUpdated.type)
    return {event.subject.removeprefix("packs/") for event in tx.emitted if event.type in told}


def supersede_candidate(tx: Writer, ref: str) -> None:
    """Newer content takes the place of an unfinished candidate."""
    older = tx.candidate(ref)
    if older is not None:
        tx.move(older, Trigger.SUPERSEDED)


def unregister(
    tx: Writer, pack: Pack, *, reason: Literal["removed", "operator"], actor: str = "watch", correlation_id: str
) -> None:
    """Nothing of the pack is in use any more; its revisions and reports stay. Told if anything was in use."""
    supersede_candidate(tx, pack.ref)
    active = tx.active(pack.ref)
    tx.unregister(pack.ref)
    if active is not None:
        tx.move(active, Trigger.SUPERSEDED)
        gone = PackUnregistered(pack=tell.about(active), reason=reason, last=tell.label(active), actor=actor)
        tx.emit(gone, correlation_id=correlation_id)


def about(tx: Writer, revision: Revision) -> PackInfo:
    """The `pack` member of an event about this revision."""
    return tell.about(revision, tx.active(revision.ref))


def emit(tx: Writer, revision: Revision, said: EventData) -> str:
    """The next event of this revision's change; returns its id, which causes the one after it."""
    return tx.emit(
        said,
        correlation_id=revision.correlation_id,
        causation_id=revision.causation_id,
    ).id


def _put_in_use(tx: Writer, revision: Revision, *, now_s: float) -> None:
    previous = tx.active(revision.ref)
    reason, kind = ("updated", PackUpdated) if previous else ("registered", PackRegistered)
    activated = tx.activate(revision, previous, reason=reason, actor=revision.actor)
    if revision.origin == "registered":  # until now a drop may have owned it: a candidate changes nothing
        tx.claim_pack(revision.ref, drop_name=None, path=revision.path)
    emit(
        tx,
        activated,
        kind(
            pack=tell.about(activated, previous),
            duration_ms=max(0.0, round((now_s - revision.first_change_at_s) * 1000, 1)),
            components=_component_counts(tx, revision),
            tests_skipped=revision.tests_skipped,
            forced=revision.forced,
            actor=revision.actor,
        ),
    )


def _component_counts(tx: Writer, revision: Revision) -> dict[str, int]:
    counts = queries.component_counts(tx.reader, revision.ref, revision.number)
    return {plural(kind): number for kind, number in counts.items()}


def _tell_rolled_back(tx: Writer, refused: Revision, *, reason: RollBackReason) -> None:
    """A refused candidate never was active: what was in use simply stays, and this says so."""
    active = tx.active(refused.ref)
    emit(
        tx,
        refused,
        PackRolledBack(
            pack=tell.about(refused, active),
            reason=reason,
            failed=tell.label(refused),
            restored=tell.label_or_null(active),
        ),
    )
