"""The way into use of a pack that was taken out of it: why it is out, and the command that puts it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.lifecycle import Phase
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.registry.rows import Drop


def way_in(connection: Connection, ref: str) -> tuple[str, str] | None:
    """(why it is out, the command); None: nobody took it out, or what was taken out lies nowhere any more."""
    pack = queries.pack(connection, ref)
    if pack is None:
        return None
    if pack.unregistered_at is not None:
        held = held_drop(connection, ref)
        return None if held is None else (f"an operator removed '{ref}'", f"packd retry {ref}")
    if pack.disabled_at is not None:
        return f"'{ref}' is disabled", f"packd enable {ref}"
    drop = queries.drop(connection, pack.drop_name) if pack.drop_name is not None else None
    if drop is not None and is_passed_over(connection, drop):
        return f"'{ref}' was taken out before it came into use", f"packd retry {ref}"
    return None


def held_drop(connection: Connection, ref: str) -> Drop | None:
    """What an operator removed, and what lies there all the same."""
    return next((drop for drop in queries.drops_claiming(connection, ref) if drop.held), None)


def awaited_drop(connection: Connection, ref: str) -> Drop | None:
    """What an operator removed and asks for again, until it is read."""
    claiming = [drop for drop in queries.drops_claiming(connection, ref) if drop.gone_at_s is None]
    return next((drop for drop in claiming if drop.digest is None and not drop.problems), None)


def is_passed_over(connection: Connection, drop: Drop) -> bool:
    """Does the newest content lie there, taken out of the pipeline before its verdict, and nothing newer in its place?"""
    pack = queries.pack(connection, drop.ref) if drop.ref is not None else None
    if pack is None or not pack.is_present or pack.disabled_at is not None:
        return False
    latest = queries.latest_revision(connection, pack.ref)
    return latest is not None and latest.phase == Phase.SUPERSEDED and latest.digest == drop.digest
