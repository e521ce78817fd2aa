"""Rows as the parts of events that speak of them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from packd.domain.event_data import PackTestFailed, PackTestPassed
from packd.domain.event_parts import Counts, FailureInfo, PackInfo, ProblemInfo, RevisionInfo
from packd.domain.events import failed_reason, met_limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packd.domain.problems import Problem
    from packd.domain.reports import Report
    from packd.registry.rows import Revision


def about(revision: Revision, previous: Revision | None = None) -> PackInfo:
    """The `pack` member of every pack event; `previous` is what was in use before."""
    return _pack_info(
        revision.ref, revision.version, revision.number, revision.path, revision.digest, label_or_null(previous)
    )


@lru_cache(maxsize=256)  # a revision is spoken of four times on its way, mostly in the same words
def _pack_info(
    ref: str, version: str | None, number: int, path: str, digest: str, previous: RevisionInfo | None
) -> PackInfo:
    return PackInfo(ref=ref, version=version, revision=number, path=path, digest=digest, previous=previous)


def about_unread(ref: str, path: str, active: Revision | None) -> PackInfo:
    """The same for a drop whose content could not be fixed: it has no revision and no digest."""
    return PackInfo(ref=ref, version=None, revision=None, path=path, digest=None, previous=label_or_null(active))


def label(revision: Revision) -> RevisionInfo:
    """A revision in short."""
    return RevisionInfo(version=revision.version, revision=revision.number, digest=revision.digest)


def label_or_null(revision: Revision | None) -> RevisionInfo | None:
    return None if revision is None else label(revision)


def problems(found: Iterable[Problem]) -> tuple[ProblemInfo, ...]:
    """What validation found, the suggestion as part of the message."""
    return tuple(
        ProblemInfo(
            code=problem.code,
            file=problem.file,
            line=problem.line,
            column=problem.column,
            message=problem.sentence,
        )
        for problem in found
    )


def run_ended(pack: PackInfo, run_id: str, report: Report) -> PackTestPassed | PackTestFailed:
    """Passed or failed, as the report says; whether that was accepted is another matter."""
    ended: dict[str, Any] = {
        "pack": pack,
        "run_id": run_id,
        "duration_ms": report.duration_ms,
        "tests": Counts(**report.counts()),
        "pass_rate": round(report.pass_rate, 4),
        "notes": report.notes,
    }
    if report.status == "passed":
        return PackTestPassed(**ended)
    return PackTestFailed(
        **ended,
        reason=failed_reason(report.reason),
        limit=met_limit(report.reason),
        failures=tuple(
            FailureInfo(suite=suite, case=case.name, message=case.error_message)
            for suite, case in report.failing_cases()
        ),
        output_tail=report.output_tail(),
    )


NOTHING = RevisionInfo(version=None, revision=None, digest=None)  # a drop that never became a revision
