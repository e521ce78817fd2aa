"""A page of packs with all that is said of each, by one question a kind of row instead of some for each pack.

A page is a stretch of refs in their order, so that every question names its two ends and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, or_, select, text

from packd.domain.lifecycle import UNFINISHED, Phase
from packd.registry.conditions import IS_ACTIVE, IS_CANDIDATE, IS_PRESENT, IS_REFUSED
from packd.registry.prepared import Prepared
from packd.registry.queries.reading import many
from packd.registry.rows import Drop, Pack, Revision, Run
from packd.registry.tables import components, drops, packs, revisions, runs

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, Connection

_LOW: BindParameter[str] = bindparam("low")
_HIGH: BindParameter[str] = bindparam("high")
_PRESENT = text(IS_PRESENT)
_newest = revisions.alias("newest")

_COUNT = Prepared(select(func.count().label("number")).select_from(packs).where(_PRESENT))
_PACKS = Prepared(
    select(packs).where(_PRESENT).order_by(packs.c.ref).limit(bindparam("size")).offset(bindparam("first"))
)
_REFUSED = Prepared(
    select(drops)
    .outerjoin(packs, packs.c.drop_name == drops.c.name)
    .where(text(IS_REFUSED), packs.c.ref.is_(None))
    .order_by(drops.c.name)
)
_DROPS = Prepared(select(drops).join(packs, packs.c.drop_name == drops.c.name).where(packs.c.ref.between(_LOW, _HIGH)))
_LATEST = select(func.max(_newest.c.number)).where(_newest.c.ref == revisions.c.ref).scalar_subquery()
_REVISIONS = Prepared(
    select(revisions).where(
        revisions.c.ref.between(_LOW, _HIGH),
        or_(text(IS_ACTIVE), text(IS_CANDIDATE), revisions.c.number == _LATEST),
    )
)
# What a list shows of a run; whole reports are long.
_COUNTS = ("total_tests", "passed", "failed", "skipped")
_OF_RUN = select(func.max(_newest.c.number)).where(_newest.c.ref == runs.c.ref).scalar_subquery()
_RUNS = Prepared(
    select(
        runs.c.id,
        runs.c.ref,
        runs.c.number,
        runs.c.started_at,
        runs.c.finished_at,
        runs.c.status,
        runs.c.report["reason"].as_string().label("reason"),
        *(runs.c.report[name].as_integer().label(name) for name in _COUNTS),
    )
    .where(runs.c.ref.between(_LOW, _HIGH), runs.c.number == _OF_RUN)
    .order_by(runs.c.started_at, runs.c.id)
)
_COMPONENTS = Prepared(
    select(components.c.ref, components.c.number, components.c.kind, func.count().label("counted"))
    .where(components.c.ref.between(_LOW, _HIGH))
    .group_by(components.c.ref, components.c.number, components.c.kind)
)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What is said of the packs between two refs, by ref; drops by name."""

    latest: dict[str, Revision]
    active: dict[str, Revision]
    candidates: dict[str, Revision]
    runs: dict[str, Run]  # the last one of the newest revision; of its report only the reason and the counts
    components: dict[tuple[str, int], dict[str, int]]  # by ref and revision: kind → how many
    drops: dict[str, Drop]


def present_count(connection: Connection) -> int:
    """How many packs are in the packs directory, or were registered."""
    found = _COUNT.first(connection, {})
    return int(found[0]) if found else 0


def present_page(connection: Connection, *, first: int, size: int) -> list[Pack]:
    """So many of them, in the order of their refs."""
    return many(connection, Pack, _PACKS, size=size, first=first)


def refused_drops(connection: Connection) -> list[Drop]:
    """What lies in the packs directory and never became a pack."""
    return many(connection, Drop, _REFUSED)


def stretch(connection: Connection, low: str, high: str) -> Stretch:
    """What is said of every pack from `low` to `high`."""
    ends = {"low": low, "high": high}
    found = many(connection, Revision, _REVISIONS, **ends)
    latest: dict[str, Revision] = {}
    for one in found:
        if one.ref not in latest or latest[one.ref].number < one.number:
            latest[one.ref] = one
    counted: dict[tuple[str, int], dict[str, int]] = {}
    for ref, number, kind, count in _COMPONENTS.rows(connection, ends):
        counted.setdefault((ref, number), {})[kind] = count
    return Stretch(
        latest=latest,
        active={one.ref: one for one in found if one.phase == Phase.ACTIVE},
        candidates={one.ref: one for one in found if one.phase in UNFINISHED},
        runs={row[1]: _run(row) for row in _RUNS.rows(connection, ends)},
        components=counted,
        drops={one.name: one for one in many(connection, Drop, _DROPS, **ends)},
    )


def _run(row: Any) -> Run:
    run_id, ref, number, started_at, finished_at, status, reason, *counts = row
    return Run(
        id=run_id,
        ref=ref,
        number=number,
        trigger_reason="",
        source="",
        actor="",
        started_at=started_at,
        finished_at=finished_at,
        status=status,
        accepted=None,
        verdict=None,
        report={"reason": reason, **dict(zip(_COUNTS, counts, strict=True))},
    )
