"""Rows as JSON: what the API says of a pack, a revision, a run. Pure functions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from packd.domain.lifecycle import REFUSED, Phase
from packd.domain.statuses import PackStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from packd.domain.comparison import Flaky
    from packd.registry.rows import Activation, Drop, Job, Pack, Revision, Run

View = dict[str, Any]

_COUNTED: Final = {"total": "total_tests", "passed": "passed", "failed": "failed", "skipped": "skipped"}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A pack with all that is said of it."""

    pack: Pack
    latest: Revision | None = None  # the newest content
    active: Revision | None = None  # what is in use
    candidate: Revision | None = None  # what is on its way
    run: Run | None = None  # the last run of the newest content
    components: Mapping[str, int] = field(default_factory=dict)  # kind → how many, of what is shown
    drop: Drop | None = None  # what lies in the packs directory, if it owns the pack

    @property
    def shown(self) -> Revision | None:
        """Whose label, version and components stand for the pack: what is in use, else the newest."""
        return self.active or self.latest


def pack_view(standing: Standing) -> View:
    """One pack in a list."""
    pack, shown = standing.pack, standing.shown
    fields = shown.fields if shown else {}
    return {
        "ref": pack.ref,
        "label": _text(fields, "label", "name") or pack.ref,
        "description": _text(fields, "description"),
        "version": shown.version if shown else None,
        "status": status_of(standing),
        "path": pack.path,
        "drop": pack.drop_name,
        "origin": pack.origin,
        "provenance": shown.provenance if shown else {},
        "active": _active(standing.active),
        "latest": _latest(standing.latest),
        "candidate": _candidate(standing.candidate),
        "components": {_plural(kind): count for kind, count in sorted(standing.components.items())},
        "tests": _tests(standing.run),
        "problems": [*_problems(standing.drop), *(standing.latest.problems if standing.latest else ())],
        "registered_at": pack.registered_at,
    }


def whole_pack_view(standing: Standing) -> View:
    """With what its pack.yaml says, and the packs that it needs."""
    shown = standing.shown
    return pack_view(standing) | {
        "fields": shown.fields if shown else {},
        "needs": list(shown.needs) if shown else [],
    }


def drop_view(drop: Drop, packs_dir: Path) -> View:
    """Something in the packs directory that never became a pack, in the form of one."""
    return {
        "ref": drop.ref or drop.name,
        "label": drop.name,
        "description": "",
        "version": None,
        "status": "refused",
        "path": str(packs_dir / drop.name),
        "drop": drop.name,
        "origin": "dropped",
        "provenance": {},
        "active": None,
        "latest": None,
        "candidate": None,
        "components": {},
        "tests": None,
        "problems": list(drop.problems),
        "registered_at": None,
    }


def status_of(standing: Standing) -> str:
    """One word: `active` while anything is in use (`latest.phase` tells whether that is the newest content)."""
    if standing.pack.unregistered_at is not None:
        return "unregistered"
    if standing.pack.disabled_at is not None:
        return "disabled"
    if standing.active is not None:
        return "active"
    if standing.candidate is not None:
        return "waiting" if standing.candidate.phase == Phase.WAITING else "testing"
    if standing.drop is not None and standing.drop.problems:
        return "refused"
    return str(standing.latest.phase) if standing.latest else "refused"


def statuses_of(standing: Standing) -> set[str]:
    """Every word that means it when packs are asked for by their status: refused content also beside what is in use."""
    latest, drop = standing.latest, standing.drop
    words = {status_of(standing)}
    if latest is not None and latest.phase in REFUSED:
        words |= {str(latest.phase), PackStatus.REFUSED}
    if drop is not None and is_refused(drop):
        words.add(PackStatus.REFUSED)
    return words


def is_refused(drop: Drop) -> bool:
    """Does something lie there that can't be taken?"""
    return bool(drop.problems) and drop.gone_at_s is None


def revision_view(revision: Revision) -> View:
    """One content of a pack, without what pack.yaml says."""
    return {
        "ref": revision.ref,
        "number": revision.number,
        "version": revision.version,
        "digest": revision.digest,
        "phase": str(revision.phase),
        "phase_at": revision.phase_at,
        "created_at": revision.created_at,
        "path": revision.path,
        "trigger": revision.trigger,
        "source": revision.source,
        "actor": revision.actor,
        "origin": revision.origin,
        "provenance": revision.provenance,
        "files": revision.files,
        "bytes": revision.bytes,
        "needs": list(revision.needs),
        "waits_for": list(revision.waits_for),
        "problems": list(revision.problems),
        "forced": revision.forced,
        "tests_skipped": revision.tests_skipped,
        "correlation_id": revision.correlation_id,
    }


def whole_revision_view(revision: Revision) -> View:
    """With what its pack.yaml says."""
    return revision_view(revision) | {"fields": revision.fields}


def activation_views(history: Sequence[Activation], revisions: Sequence[Revision]) -> list[View]:
    """A pack's activations, newest first, each with the moment at which it was over."""
    views: list[View] = []
    withdrawn = {one.number: one.phase_at for one in revisions if one.phase in (Phase.SUPERSEDED, Phase.ROLLED_BACK)}
    following: Activation | None = None
    for activation in history:
        # When a revision left its phase is known of the last time that it was in use.
        ends = [withdrawn.pop(activation.number, None)]
        if following is not None and following.previous_number is not None:
            ends.append(following.at)
        views.append(asdict(activation) | {"until": min(filter(None, ends), default=None)})
        following = activation
    return views


def component_view(row: Mapping[str, Any]) -> View:
    """One action, sensor, …; which revision it is of stands above the list."""
    return {
        "kind": row["kind"],
        "ref": row["component_ref"],
        "label": row["label"],
        "description": row["description"],
        "path": row["path"],
        "runner_type": row["runner_type"],
        "entry_point": row["entry_point"],
    }


def run_view(run: Run, flaky: Sequence[Flaky] = ()) -> View:
    """One run without its cases; the counts are null while it runs. `flaky`: of its content, see domain.comparison."""
    report = run.report or {}
    return {
        "id": run.id,
        "ref": run.ref,
        "revision": run.number,
        "trigger_reason": run.trigger_reason,
        "source": run.source,
        "actor": run.actor,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "status": run.status or "running",
        "accepted": run.accepted,
        "verdict": run.verdict,
        "reason": report.get("reason"),
        **{key: report.get(key) for key in ("total_tests", "passed", "failed", "skipped", "pass_rate", "duration_ms")},
        "flaky": [one.to_dict() for one in flaky],
    }


def whole_run_view(run: Run, flaky: Sequence[Flaky] = ()) -> View:
    """With the report: every suite and case."""
    return run_view(run, flaky) | {"report": run.report}


def job_view(job: Job) -> View:
    return {
        "id": job.id,
        "kind": job.kind,
        "subject": job.subject,
        "actor": job.actor,
        "state": job.state,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "status": job.status,
        "result": job.answer,
    }


def pagination(page: int, page_size: int, total: int) -> View:
    """`page` starts at 1; a page behind the last one is empty."""
    pages = -(-total // page_size)
    return {
        "page": page,
        "page_size": page_size,
        "total_items": total,
        "total_pages": pages,
        "has_previous": page > 1,
        "has_next": page < pages,
    }


def _active(revision: Revision | None) -> View | None:
    if revision is None:
        return None
    return {
        "number": revision.number,
        "version": revision.version,
        "digest": revision.digest,
        "activated_at": revision.phase_at,
    }


def _latest(revision: Revision | None) -> View | None:
    if revision is None:
        return None
    return {
        "number": revision.number,
        "version": revision.version,
        "digest": revision.digest,
        "phase": str(revision.phase),
        "phase_at": revision.phase_at,
    }


def _candidate(revision: Revision | None) -> View | None:
    if revision is None:
        return None
    waits_for = list(revision.waits_for) if revision.phase == Phase.WAITING else []
    return {"number": revision.number, "phase": str(revision.phase), "waits_for": waits_for}


def _tests(run: Run | None) -> View | None:
    if run is None:
        return None
    report = run.report or {}
    return {
        "status": run.status or "running",
        "reason": report.get("reason"),
        **{name: report.get(key) for name, key in _COUNTED.items()},
        "run_id": run.id,
        "revision": run.number,
        "at": run.finished_at or run.started_at,
    }


def _problems(drop: Drop | None) -> tuple[dict[str, Any], ...]:
    return drop.problems if drop else ()


def _text(fields: Mapping[str, Any], *keys: str) -> str:
    """The first of these that pack.yaml says; it may say anything."""
    return next((value for key in keys if isinstance(value := fields.get(key), str)), "")


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
