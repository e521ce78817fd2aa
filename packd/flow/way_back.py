"""The way back to an earlier revision: from what, to which, and whether others stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import REFUSED, Phase
from packd.flow import standing
from packd.flow.way_in import way_in
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.domain.dependencies import Standing
    from packd.registry.rows import Revision


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """One that can be gone."""

    active: Revision  # what would be withdrawn
    target: Revision  # what would be in use instead
    breaks: str  # in words, who would lack what; empty: nobody
    forward: bool  # somebody asked for a newer one by its number: nothing is said against the active one


def way_back(connection: Connection, ref: str, *, to: int | None, force: bool, only: int | None) -> WayBack:
    """From what is in use (`only` that one counts) to revision `to`, else to the one that was in use before.

    Raises Failure: NOT_FOUND for an unknown revision, CONFLICT when there is nothing to go back to, or, without
    `force`, when that would break something.
    """
    active = in_use(connection, ref, only)
    target = target_of(connection, active, to)
    outlook = standing.if_put_back(connection, target)
    if not outlook.may_go and not force:
        raise _would_break(connection, target, outlook)
    return WayBack(
        active=active,
        target=target,
        breaks=_broken(connection, target, outlook),
        forward=to is not None and target.number > active.number,
    )


def broken_by(connection: Connection, target: Revision) -> str:
    """In words, who would lack what if this one were in use again; empty: nobody."""
    return _broken(connection, target, standing.if_put_back(connection, target))


def in_use(connection: Connection, ref: str, only: int | None) -> Revision:
    """What is in use; `only` that one counts. Raises Failure CONFLICT."""
    active = queries.active_revision(connection, ref)
    if active is None:
        raise Failure(Code.CONFLICT, f"'{ref}' has no active revision to roll back; see `packd why {ref}`")
    if only not in (None, active.number):
        raise Failure(Code.CONFLICT, f"{active.name} is in use by now, and not revision {only}")
    return active


def target_of(connection: Connection, active: Revision, to: int | None) -> Revision:
    """The revision to go back to: the one asked for, or the one that was in use before."""
    if to is None:
        target = queries.rollback_target(connection, active.ref)
        if target is None:
            raise Failure(Code.CONFLICT, _nothing_left(connection, active))
        return target
    chosen = queries.revision(connection, active.ref, to)
    if chosen is None:
        raise Failure(Code.NOT_FOUND, f"'{active.ref}' has no revision {to}; see `packd history {active.ref}`")
    if chosen.number == active.number:
        raise Failure(Code.CONFLICT, f"{chosen.name} is the active one already")
    if chosen.phase != Phase.SUPERSEDED or not queries.was_ever_active(connection, active.ref, to):
        raise Failure(
            Code.CONFLICT,
            f"{chosen.name} is {chosen.phase.replace('_', ' ')} and can't be put back: only a superseded revision that was active once can; "
            f"{_way_out(connection, active.ref)}, see `packd history {active.ref}`",
        )
    return chosen


def _nothing_left(connection: Connection, active: Revision) -> str:
    ref = active.ref
    used = {one.number for one in queries.activation_history(connection, ref)} - {active.number}
    if not used:
        return f"{active.name} is the only revision of '{ref}' that was ever active: there is nothing to go back to"
    others = ", ".join(f"#{number}" for number in sorted(used))
    return (
        f"there is nothing to go back to: what else of '{ref}' was in use ({others}) was rolled back; "
        f"{_way_out(connection, ref)}"
    )


def _way_out(connection: Connection, ref: str) -> str:
    """How content that can't be put back comes into use all the same."""
    latest = queries.latest_revision(connection, ref)
    if latest is None or latest.phase not in REFUSED:
        return "drop that content again"
    return f"drop that content again, or `packd retry {ref}` for {latest.name}"


def _would_break(connection: Connection, target: Revision, outlook: Standing) -> Failure:
    dependents = [{"ref": ref, "needs": str(need)} for ref, need in outlook.breaks]
    missing = [{"ref": need.ref, "version": need.range} for need in outlook.missing]
    return Failure(
        Code.CONFLICT,
        f"going back to {target.name} (version {target.version}) would break something: "
        f"{_broken(connection, target, outlook)}; {_first(connection, target, outlook)}, "
        "choose another revision with --to, or use --force to go back all the same",
        members={"dependents": dependents, "missing": missing},
    )


def _first(connection: Connection, target: Revision, outlook: Standing) -> str:
    """What to do about the first that stands in the way. Packs that moved up together have to go back together."""
    other = outlook.breaks[0][0] if outlook.breaks else outlook.missing[0].ref
    if queries.active_revision(connection, other) is None:
        out = way_in(connection, other)
        return f"`{out[1]}` first" if out else f"drop '{other}' first"
    its_target = queries.rollback_target(connection, other)
    if its_target is None or not standing.get_along(target, its_target):
        return f"drop a version of '{other}' that goes with it first"
    if standing.if_put_back(connection, its_target).may_go:
        return f"roll '{other}' back first"
    return f"go back with both (`packd rollback {target.ref} --force`, then `packd rollback {other}`)"


def _broken(connection: Connection, target: Revision, outlook: Standing) -> str:
    """Who would lack what."""
    versions = queries.active_versions(connection, {need.ref for need in outlook.missing})
    lacking = [f"the active pack '{ref}' needs {need}" for ref, need in outlook.breaks]
    for need in outlook.missing:
        instead = f"but version {versions[need.ref]} is in use" if need.ref in versions else "which is not active"
        lacking.append(f"{target.name} needs {need}, {instead}")
    return ", and ".join(lacking)
