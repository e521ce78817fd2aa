"""What is asked about drops, packs, their revisions and which of these are in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, text, union

from packd.domain.lifecycle import REFUSED, Phase
from packd.registry.conditions import IS_ACTIVE, IS_ACTIVE_WITH_NEEDS, IS_CANDIDATE, IS_PRESENT, IS_REFUSED, IS_WAITING
from packd.registry.prepared import Prepared
from packd.registry.queries.reading import many, one
from packd.registry.rows import Activation, Drop, Pack, Revision
from packd.registry.tables import activations, components, drops, facts, packs, revisions

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import BindParameter, Connection

# Statements that are asked for every revision are built once: building one takes longer than running it.
_REF: BindParameter[str] = bindparam("ref")
_NUMBER: BindParameter[int] = bindparam("number")
_NAME: BindParameter[str] = bindparam("name")

_DROP = Prepared(select(drops).where(drops.c.name == _NAME))
_DROPS = Prepared(select(drops).order_by(drops.c.name))
_ACTIVE_DIGESTS = Prepared(select(revisions.c.ref, revisions.c.digest).where(text(IS_ACTIVE)))
_ACTIVE_DIGEST = Prepared(select(revisions.c.digest).where(revisions.c.ref == _REF, text(IS_ACTIVE)))
_DROPS_CLAIMING = Prepared(select(drops).where(drops.c.ref == _REF).order_by(drops.c.name))
_REFUSED_CLAIMING = Prepared(select(drops).where(drops.c.ref == _REF, text(IS_REFUSED)).order_by(drops.c.name))
_PACK = Prepared(select(packs).where(packs.c.ref == _REF))
_PACK_OF_DROP = Prepared(select(packs).where(packs.c.drop_name == _NAME))
_PACKS_LEFT_BEHIND = Prepared(
    select(packs)
    .where(
        packs.c.path == bindparam("path"),
        packs.c.ref != _REF,
        packs.c.drop_name.is_(None),
        packs.c.origin == "dropped",  # what was registered does not hang on what lies where it came from
        packs.c.unregistered_at.is_(None),
    )
    .order_by(packs.c.ref)
)
_OF_PACK = select(revisions).where(revisions.c.ref == _REF)
_REVISION = Prepared(_OF_PACK.where(revisions.c.number == _NUMBER))
_LATEST_REVISION = Prepared(_OF_PACK.order_by(revisions.c.number.desc()).limit(1))
_LATEST_PHASE = Prepared(
    select(revisions.c.phase).where(revisions.c.ref == _REF).order_by(revisions.c.number.desc()).limit(1)
)
_ACTIVE_REVISION = Prepared(_OF_PACK.where(text(IS_ACTIVE)))
_CANDIDATE = Prepared(_OF_PACK.where(text(IS_CANDIDATE)))
_CANDIDATES = Prepared(select(revisions).where(text(IS_CANDIDATE)))
_WAITING = Prepared(select(revisions.c.ref).where(text(IS_WAITING)))
_LAST_ACTIVATION = (
    select(activations.c.number, func.max(activations.c.id).label("id"))
    .where(activations.c.ref == _REF)
    .group_by(activations.c.number)
    .subquery()
)
_ROLLBACK_TARGET = Prepared(
    _OF_PACK.join(_LAST_ACTIVATION, revisions.c.number == _LAST_ACTIVATION.c.number)
    .where(revisions.c.phase == Phase.SUPERSEDED)
    .order_by(_LAST_ACTIVATION.c.id.desc())
    .limit(1)
)
# The index of what is active would do as well, and holds all of it: which one SQLite takes hangs on which was made last.
_ACTIVE_WITH_NEEDS = Prepared(select(revisions).where(text(IS_ACTIVE_WITH_NEEDS)), index="ix_revisions_needy")
_COMPONENT_COUNTS = Prepared(
    select(components.c.kind, func.count().label("number"))
    .where(components.c.ref == _REF, components.c.number == _NUMBER)
    .group_by(components.c.kind)
)
_FACT = Prepared(select(facts.c.value).where(facts.c.name == _NAME))


# --- drops ---------------------------------------------------------------------------------------------------------


def drop(connection: Connection, name: str) -> Drop | None:
    """What was last seen under this name in the packs directory."""
    return one(connection, Drop, _DROP, name=name)


def all_drops(connection: Connection) -> list[Drop]:
    """Everything last seen in the packs directory."""
    return many(connection, Drop, _DROPS)


def drops_claiming(connection: Connection, ref: str) -> list[Drop]:
    """Every drop that says it is this pack; more than one when somebody copied a folder."""
    return many(connection, Drop, _DROPS_CLAIMING, ref=ref)


def refused_claiming(connection: Connection, ref: str) -> list[Drop]:
    """Those of them that lie there and were refused."""
    return many(connection, Drop, _REFUSED_CLAIMING, ref=ref)


def names_of_refused(connection: Connection) -> set[str]:
    """Of all drops that lie there and whose newest content was refused, be it before or after it was a revision."""
    newest = select(revisions.c.ref, func.max(revisions.c.number).label("number")).group_by(revisions.c.ref).subquery()
    tried = (
        select(drops.c.name)
        .join(revisions, revisions.c.ref == drops.c.ref)
        .join(newest, (revisions.c.ref == newest.c.ref) & (revisions.c.number == newest.c.number))
        .where(revisions.c.phase.in_(REFUSED), drops.c.gone_at_s.is_(None))
    )
    return set(connection.scalars(union(select(drops.c.name).where(text(IS_REFUSED)), tried)))


# --- packs and revisions -------------------------------------------------------------------------------------------


def pack(connection: Connection, ref: str) -> Pack | None:
    return one(connection, Pack, _PACK, ref=ref)


def pack_of_drop(connection: Connection, drop_name: str) -> Pack | None:
    """The pack that this drop owns."""
    return one(connection, Pack, _PACK_OF_DROP, name=drop_name)


def present_packs(connection: Connection) -> list[Pack]:
    """Every pack that was not unregistered, by ref."""
    return many(connection, Pack, select(packs).where(packs.c.unregistered_at.is_(None)).order_by(packs.c.ref))


def revision(connection: Connection, ref: str, number: int) -> Revision | None:
    return one(connection, Revision, _REVISION, ref=ref, number=number)


def revision_history(connection: Connection, ref: str) -> list[Revision]:
    """Newest first."""
    query = select(revisions).where(revisions.c.ref == ref).order_by(revisions.c.number.desc())
    return many(connection, Revision, query)


def latest_revision(connection: Connection, ref: str) -> Revision | None:
    return one(connection, Revision, _LATEST_REVISION, ref=ref)


def latest_phase(connection: Connection, ref: str) -> Phase | None:
    """Of the newest revision."""
    found = _LATEST_PHASE.first(connection, {"ref": ref})
    return None if found is None else Phase(found[0])


def active_revision(connection: Connection, ref: str) -> Revision | None:
    """The one in use."""
    return one(connection, Revision, _ACTIVE_REVISION, ref=ref)


def candidate(connection: Connection, ref: str) -> Revision | None:
    """The unfinished revision of a pack; the schema allows one."""
    return one(connection, Revision, _CANDIDATE, ref=ref)


def candidates(connection: Connection) -> list[Revision]:
    """Every unfinished revision."""
    return many(connection, Revision, _CANDIDATES)


def waiting_candidates(connection: Connection) -> list[str]:
    """The refs of candidates that may be waiting for another pack."""
    return [ref for (ref,) in _WAITING.rows(connection, {})]


def packs_left_behind(connection: Connection, ref: str, path: str) -> list[Pack]:
    """Other packs that came from this path before what lies there took another ref, and have not been dropped elsewhere."""
    return many(connection, Pack, _PACKS_LEFT_BEHIND, ref=ref, path=path)


def all_left_behind(connection: Connection) -> list[Pack]:
    """Every pack that has no drop any more, and was not unregistered for that yet."""
    left = select(packs).where(
        packs.c.drop_name.is_(None), packs.c.origin == "dropped", packs.c.unregistered_at.is_(None)
    )
    return many(connection, Pack, left.order_by(packs.c.ref))


def active_revisions(connection: Connection) -> list[Revision]:
    return many(connection, Revision, select(revisions).where(text(IS_ACTIVE)))


def usable_revisions(connection: Connection) -> list[Revision]:
    """Those in use, and those that a roll-back could lead to as far as their content is still kept; newest first."""
    usable = select(revisions).where(revisions.c.phase.in_((Phase.ACTIVE, Phase.SUPERSEDED)))
    return many(connection, Revision, usable.order_by(revisions.c.ref, revisions.c.number.desc()))


def latest_revisions(connection: Connection, phase: Phase | None = None) -> list[Revision]:
    """The newest revision of every pack; with `phase` of those only where it is in that."""
    newest = select(revisions.c.ref, func.max(revisions.c.number).label("number")).group_by(revisions.c.ref).subquery()
    query = select(revisions).join(newest, (revisions.c.ref == newest.c.ref) & (revisions.c.number == newest.c.number))
    return many(connection, Revision, query if phase is None else query.where(revisions.c.phase == phase))


def latest_phases(connection: Connection) -> dict[Phase, int]:
    """How many of the packs that were not unregistered are where, by their newest revision.

    Those whose drop is refused are not among them: what counts of them is what lies there.
    """
    refused = select(drops.c.name).where(drops.c.name == packs.c.drop_name, text(IS_REFUSED)).exists()
    newest = (
        select(revisions.c.ref, func.max(revisions.c.number).label("number"))
        .join(packs, packs.c.ref == revisions.c.ref)
        .where(text(f"packs.{IS_PRESENT}"), ~refused)
        .group_by(revisions.c.ref)
        .subquery()
    )
    query = (
        select(revisions.c.phase, func.count())
        .join(newest, (revisions.c.ref == newest.c.ref) & (revisions.c.number == newest.c.number))
        .group_by(revisions.c.phase)
    )
    return {Phase(phase): count for phase, count in connection.execute(query)}


def counts(connection: Connection) -> tuple[int, int, int, int]:
    """(packs that were not unregistered, those in use, drops that are refused, those of them that own no pack)."""
    refused = select(func.count()).select_from(drops).where(text(IS_REFUSED))
    asked = (
        select(func.count()).select_from(packs).where(text(IS_PRESENT)),
        select(func.count()).select_from(revisions).where(text(IS_ACTIVE)),
        refused,
        refused.where(~select(packs.c.ref).where(packs.c.drop_name == drops.c.name).exists()),
    )
    present, active, all_refused, unowned = (connection.execute(query).scalar_one() for query in asked)
    return present, active, all_refused, unowned


def active_with_needs(connection: Connection) -> list[Revision]:
    """The revisions in use that need other packs."""
    return many(connection, Revision, _ACTIVE_WITH_NEEDS)


def active_versions(connection: Connection, refs: Collection[str]) -> dict[str, str]:
    """ref → version of what is in use, for these packs."""
    if not refs:
        return {}
    query = select(revisions.c.ref, revisions.c.version).where(text(IS_ACTIVE), revisions.c.ref.in_(sorted(refs)))
    return {row.ref: row.version for row in connection.execute(query)}


def active_digest(connection: Connection, ref: str) -> str | None:
    """Of what is in use."""
    found = _ACTIVE_DIGEST.first(connection, {"ref": ref})
    return None if found is None else found[0]


def active_digests(connection: Connection) -> dict[str, str]:
    """ref → digest of what is in use."""
    return dict(_ACTIVE_DIGESTS.rows(connection, {}))


def rollback_target(connection: Connection, ref: str) -> Revision | None:
    """The revision that was in use before the active one: of the superseded ones that which was in use last.

    Not the one with the highest number: after `rollback --to 1` and a new revision, that would be one which an
    operator has passed over.
    """
    return one(connection, Revision, _ROLLBACK_TARGET, ref=ref)


def was_ever_active(connection: Connection, ref: str, number: int) -> bool:
    query = select(activations.c.id).where(activations.c.ref == ref, activations.c.number == number).limit(1)
    return connection.execute(query).first() is not None


def was_in_use_until(connection: Connection, revision: Revision) -> bool:
    """Until what is in use came, or until nothing was: since then it is what a roll-back leads to, so that no sweep has
    taken its content. What became that again, because of a roll-back, may have been swept before."""
    query = select(activations).where(activations.c.ref == revision.ref).order_by(activations.c.id.desc()).limit(1)
    last = connection.execute(query).first()
    return last is not None and revision.number in (last.number, last.previous_number)


def component_counts(connection: Connection, ref: str, number: int) -> dict[str, int]:
    """kind → how many."""
    return dict(_COMPONENT_COUNTS.rows(connection, {"ref": ref, "number": number}))


def components_of(connection: Connection, ref: str, number: int) -> list[dict[str, Any]]:
    query = (
        select(components)
        .where(components.c.ref == ref, components.c.number == number)
        .order_by(components.c.kind, components.c.component_ref)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def activation_history(connection: Connection, ref: str) -> list[Activation]:
    """Newest first."""
    query = select(activations).where(activations.c.ref == ref).order_by(activations.c.id.desc())
    return many(connection, Activation, query)


def fact(connection: Connection, name: str) -> str | None:
    found = _FACT.first(connection, {"name": name})
    return None if found is None else found[0]


def all_revisions(connection: Connection) -> list[Any]:
    """Of every revision there ever was: ref, number, digest, phase, phase_at."""
    columns = (revisions.c.ref, revisions.c.number, revisions.c.digest, revisions.c.phase, revisions.c.phase_at)
    return list(connection.execute(select(*columns)))


def revisions_with(connection: Connection, digests: Collection[str]) -> list[Revision]:
    """Every revision with one of these contents."""
    return many(connection, Revision, select(revisions).where(revisions.c.digest.in_(sorted(digests))))


def digests_in_use(connection: Connection) -> set[str]:
    """Every digest that a revision names."""
    return set(connection.execute(select(revisions.c.digest)).scalars())
