"""In words: why a pack is, or is not, the one in use. Read by people at the terminal and in the markers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from packd.domain.lifecycle import REFUSED, Phase
from packd.domain.moments import in_a_sentence
from packd.domain.problems import Problem
from packd.domain.reports import notes, reservations
from packd.flow import standing
from packd.flow.probation import ACTOR as PROBATION
from packd.flow.restore import kept_name
from packd.flow.revalidation import ACTOR as REVALIDATION
from packd.flow.second_chances import is_excusable
from packd.flow.way_in import awaited_drop, held_drop, is_passed_over, way_in
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from packd.registry.rows import Drop, Pack, Revision, Run

_FAILURES_SHOWN = 10
_TAIL_SHOWN = 4096  # characters


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What became of a pack or a drop."""

    ref: str | None  # None: the drop never became a pack
    headline: str  # one sentence
    lines: tuple[str, ...]  # the details, ready to be printed one below the other
    active: bool  # a revision is in use, and it is the newest
    refused: bool = False  # the newest content was refused

    def text(self) -> str:
        return "\n".join((self.headline, *(f"  {line}" if line else "" for line in self.lines))) + "\n"


def explain(connection: Connection, name: str) -> Explanation | None:
    """Of what people mean by `name`: a pack's ref, else a drop's name, else the ref that a refused drop claims."""
    pack = queries.pack(connection, name)
    if pack is not None:
        return _pack_and_rivals(connection, pack)
    drop = queries.drop(connection, name) or next(iter(queries.refused_claiming(connection, name)), None)
    return None if drop is None else explain_drop(connection, drop)


def explain_drop(connection: Connection, drop: Drop) -> Explanation | None:
    """Of what lies in the packs directory under one name; None when it is no pack, and was not refused either."""
    if drop.problems:
        return _refused_drop(connection, drop)
    pack = queries.pack(connection, drop.ref) if drop.ref is not None else None
    return None if pack is None else _pack(connection, pack)


def is_refused(connection: Connection, drop: Drop) -> bool:
    """Would `explain_drop` say that the newest content of this drop was refused?"""
    if drop.problems:
        return True
    return drop.ref is not None and queries.latest_phase(connection, drop.ref) in REFUSED


def _pack_and_rivals(connection: Connection, pack: Pack) -> Explanation:
    """A pack with its own drop; others that can't be it, or can't be told from it by their names, are not hidden."""
    own = queries.drop(connection, pack.drop_name) if pack.drop_name is not None else None
    said = _pack(connection, pack) if own is None else explain_drop(connection, own) or _pack(connection, pack)
    return replace(said, lines=(*_rivals(connection, pack), *said.lines))


def _rivals(connection: Connection, pack: Pack) -> Iterator[str]:
    namesake = queries.drop(connection, pack.ref)
    namesakes = [namesake] if namesake is not None and namesake.problems and namesake.gone_at_s is None else []
    rivals = {drop.name: drop for drop in (*namesakes, *queries.refused_claiming(connection, pack.ref))}
    for name, drop in sorted(rivals.items()):
        if name != pack.drop_name:
            yield f"What lies in '{name}' was refused: {drop.problems[0]['message']}"


def _refused_drop(connection: Connection, drop: Drop) -> Explanation:
    pack = queries.pack_of_drop(connection, drop.name)
    active = queries.active_revision(connection, pack.ref) if pack is not None else None
    stays = f"; {_named(active)} stays in use" if active else ""
    return Explanation(
        ref=pack.ref if pack is not None else None,
        headline=f"What lies in '{drop.name}' was refused{stays}.",
        lines=(*_problem_lines(drop.problems), "", _CHANGE_IT),
        active=False,
        refused=True,
    )


def _pack(connection: Connection, pack: Pack) -> Explanation:
    latest = queries.latest_revision(connection, pack.ref)
    active = queries.active_revision(connection, pack.ref)
    if latest is None or pack.unregistered_at is not None:
        return _unregistered(connection, pack)
    if pack.disabled_at is not None:
        return Explanation(
            ref=pack.ref,
            headline=f"'{pack.ref}' is disabled by an operator since {in_a_sentence(pack.disabled_at)}; nothing of it is in use.",
            lines=(f"Changes are not tested meanwhile. To put it back: packd enable {pack.ref}",),
            active=False,
        )
    told_of = queries.deciding_run if latest.phase in REFUSED else queries.latest_run
    run = told_of(connection, pack.ref, latest.number)
    drop = queries.drop(connection, pack.drop_name) if pack.drop_name is not None else None
    details = _details(latest, run, was_put_back=_was_put_back(drop, latest, active))
    lines = (*_lacking(connection, active), *_waits_for(connection, latest), *details)
    return Explanation(
        ref=pack.ref,
        headline=_headline(connection, latest, active, run),
        lines=(*lines, *_what_lies_there(connection, drop, latest, active)),
        active=latest.phase == Phase.ACTIVE,
        refused=latest.phase in REFUSED,
    )


def _unregistered(connection: Connection, pack: Pack) -> Explanation:
    when = f" since {in_a_sentence(pack.unregistered_at)}" if pack.unregistered_at else ""
    why, *follows = _why_gone(connection, pack)
    return Explanation(
        ref=pack.ref,
        headline=f"'{pack.ref}' is not registered any more{when}: {why}",
        lines=(f"Its revisions and reports are kept: packd history {pack.ref}", *follows),
        active=False,
    )


def _why_gone(connection: Connection, pack: Pack) -> tuple[str, ...]:
    """Why, and where that does not say it already, how to have it back."""
    held = held_drop(connection, pack.ref)
    if held is not None:
        return (
            f"an operator removed it. '{held.name}' is left alone until its content changes, "
            f"or until `packd retry {pack.ref}`.",
        )
    awaited = awaited_drop(connection, pack.ref)
    if awaited is not None:
        return (f"an operator removed it. '{awaited.name}' is about to be read again, as was asked for.",)
    why = "it was removed." if pack.origin == "registered" else "it is gone from the packs directory."
    return why, "To have it back: drop it, or register it, again."


def _headline(connection: Connection, latest: Revision, active: Revision | None, run: Run | None) -> str:
    if latest.phase == Phase.ACTIVE:
        return f"{_named(latest)} is active since {in_a_sentence(latest.phase_at)}."
    stays = f"{_named(active)} stays in use" if active else "nothing of this pack is in use"
    if latest.phase == Phase.ROLLED_BACK:
        return f"{_named(latest)} was rolled back {_by_whom(connection, latest)}; {stays}."
    if latest.phase == Phase.VALIDATED and (run is None or run.finished_at is not None):
        return f"{_named(latest)} waits for its turn to be tested; {stays}."
    if latest.phase == Phase.FAILED and _could_not_be_run(run):
        return f"{_named(latest)} could not be tested and was rolled back; {stays}."
    return f"{_named(latest)} {_BECAUSE[latest.phase]}; {stays}."


def _could_not_be_run(run: Run | None) -> bool:
    return run is not None and run.report is not None and run.report["reason"] == "unavailable"


def _by_whom(connection: Connection, withdrawn: Revision) -> str:
    history = queries.activation_history(connection, withdrawn.ref)
    actor = next((one.actor for one in history if one.previous_number == withdrawn.number), "")
    return _WITHDRAWN_BY.get(actor, "by an operator")


_WITHDRAWN_BY = {
    PROBATION: "because its health command did not pass while it was on probation",
    REVALIDATION: "because it did not pass its own tests any more",
}
_BECAUSE = {
    Phase.SNAPSHOTTED: "is being validated",
    Phase.VALIDATED: "is being tested",
    Phase.WAITING: "waits for other packs",
    Phase.TESTED: "passed its tests and is about to become active",
    Phase.SUPERSEDED: "was superseded",
    Phase.REJECTED: "was rejected by validation",
    Phase.FAILED: "did not pass its own tests and was rolled back",
    Phase.ROLLED_BACK: "was rolled back",
}


def _lacking(connection: Connection, active: Revision | None) -> Iterator[str]:
    """Somebody went back with --force, or took away what it needs."""
    if active is None:
        return
    for need in standing.unmet(connection, active):
        version = queries.active_versions(connection, {need.ref}).get(need.ref)
        if version is not None:
            yield f"warning: {active.name} needs {need}, but version {version} is in use"
        else:
            how = _standing(connection, need.ref)
            yield f"warning: {active.name} needs {need}, but nothing of that pack is in use: {how}"


def _waits_for(connection: Connection, latest: Revision) -> Iterator[str]:
    """Each pack that it needs, how that one stands, and so what would help."""
    if latest.phase != Phase.WAITING:
        return
    for need in latest.waits_for:
        wanted = need["ref"] if need["version"] == "*" else f"{need['ref']} {need['version']}"
        yield f"needs {wanted}: {_standing(connection, need['ref'])}"
    yield "It goes on by itself when that has changed."


def _standing(connection: Connection, ref: str) -> str:
    out = way_in(connection, ref)
    pack, active = queries.pack(connection, ref), queries.active_revision(connection, ref)
    if out is not None and active is None:
        return ": ".join(out)
    newest = queries.latest_revision(connection, ref) if pack is not None and pack.is_present else None
    if newest is not None and newest.phase in REFUSED:
        in_use = f", version {active.version} is in use" if active else ""
        return f"{newest.name} {_BECAUSE[newest.phase]}{in_use}; see `packd why {ref}`"
    if active is not None:
        return f"version {active.version} is in use"
    if newest is None or newest.phase == Phase.SUPERSEDED:
        refused = next(iter(queries.refused_claiming(connection, ref)), None)
        if refused is not None:
            return f"what lies in '{refused.name}' was refused; see `packd why {ref}`"
        return "no such pack is here; drop it, too"
    return f"{newest.name} {_BECAUSE[newest.phase]}"


def _what_lies_there(
    connection: Connection, drop: Drop | None, latest: Revision, active: Revision | None
) -> Iterator[str]:
    """Where that is not what the headline is about, or waits for somebody to ask."""
    if drop is None:
        if latest.phase == Phase.SUPERSEDED and latest.origin == "registered":
            yield "It was taken out before it came into use. To try it again, register it again."
        return
    if is_passed_over(connection, drop):
        yield f"It was taken out before it came into use. To try it again: packd retry {latest.ref}"
    elif _was_put_back(drop, latest, active):
        yield (
            f"'{drop.name}' holds the content of {_named(active)} again; {latest.name} is kept in "
            f"'{kept_name(drop.name, latest.number)}' of the packs directory, for `retention.failed_hours`."
        )
    elif latest.phase == Phase.ACTIVE and drop.digest not in (None, latest.digest):
        yield f"warning: what lies in '{drop.name}' is not what is in use: it is {_content_of(connection, drop, latest.ref)}"


def _content_of(connection: Connection, drop: Drop, ref: str) -> str:
    known = [one for one in queries.revision_history(connection, ref) if one.digest == drop.digest]
    return f"the content of {_named(max(known, key=lambda one: one.number))}" if known else "other content"


def _was_put_back(drop: Drop | None, latest: Revision, active: Revision | None) -> bool:
    """Does the folder hold what is in use in place of newer content? See `rollback.folder: restore`."""
    if drop is None or active is None or latest.origin != "dropped" or latest.phase not in (*REFUSED, Phase.SUPERSEDED):
        return False
    return drop.digest == active.digest != latest.digest


def _details(latest: Revision, run: Run | None, *, was_put_back: bool) -> Iterator[str]:
    yield from _problem_lines(latest.problems)
    if latest.phase == Phase.ACTIVE and latest.forced:
        yield "it was forced: its tests did not pass"
    if latest.phase == Phase.ACTIVE and latest.tests_skipped:
        yield "its tests were skipped"
    if run is not None and run.report is not None:
        yield from _run_lines(run, run.report)
    if latest.phase in REFUSED:
        yield ""
        by_itself = run is not None and is_excusable(run)
        follows = _TRIED_AGAIN if by_itself else _DROP_IT if was_put_back else _CHANGE_IT
        yield f"{follows} To try the same content again: packd retry {latest.ref}"


def _run_lines(run: Run, report: dict[str, Any]) -> Iterator[str]:
    if report["reason"] == "cancelled":  # which says nothing about the pack
        yield f"its tests were stopped: {report['detail']}"
        return
    counts = f"{report['passed']} of {report['total_tests'] - report['skipped']} passed"
    skipped = f", {report['skipped']} skipped" if report["skipped"] else ""
    good = run.accepted and report["status"] == "passed"
    said_otherwise = good or (not run.accepted and str(run.verdict).startswith("suite '"))
    verdict = "" if said_otherwise else f" ({run.verdict})"
    if report["total_tests"] or not _could_not_be_run(run):
        yield f"tests: {counts}{skipped} in {report['duration_ms'] / 1000:.2f} s{verdict}"
    elif not said_otherwise:
        yield f"tests: {run.verdict}"
    passed = [suite for suite in report["test_suites"] if suite["status"] == "passed"]
    yield from (f"warning: {note}" for note in notes(passed))
    if good:
        return
    failing = [(suite["name"], case) for suite in report["test_suites"] for case in suite["test_cases"]
               if case["status"] in ("failed", "error")]  # fmt: skip
    for suite, case in failing[:_FAILURES_SHOWN]:
        yield f"{case['status'].upper()} {suite}: {case['name']}"
        for line in (case["error_message"] or "").splitlines()[-12:]:
            yield f"    {line}"
    if len(failing) > _FAILURES_SHOWN:
        yield f"… and {len(failing) - _FAILURES_SHOWN} more: packd tests {run.ref} --run {run.id}"
    yield from _troubled_suites(report)
    yield from reservations(report)


def _troubled_suites(report: dict[str, Any]) -> Iterator[str]:
    for suite in report["test_suites"]:
        if suite["status"] in ("passed", "skipped"):
            continue
        first, *more = (suite["detail"] or "").splitlines() or [""]
        if first:
            yield f"suite {suite['name']}: {first} [{suite['reason']}]"
        yield from (f"    {line}" for line in more)
        tail = suite["output_tail"][-_TAIL_SHOWN:].rstrip()
        if tail and tail not in (suite["detail"] or ""):
            yield f"the end of what {suite['name']} printed:"
            yield from (f"    | {line}" for line in tail.splitlines()[-40:])


def _problem_lines(problems: Iterable[dict[str, Any]]) -> Iterator[str]:
    for problem in (Problem(**stored) for stored in problems):
        kind = "warning: " if problem.severity == "warning" else ""
        yield f"{kind}{problem} [{problem.code}]"


def _named(revision: Revision | None) -> str:
    if revision is None:
        return "nothing"
    return f"{revision.name}" + (f" (version {revision.version})" if revision.version else "")


_DROP_IT = "Drop a corrected version in its place, and it is tried by itself."
_CHANGE_IT = "Change what lies there, and it is tried again by itself."
_TRIED_AGAIN = "packd tries again by itself, after a minute at first and then less and less often."
