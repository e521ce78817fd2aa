"""What to say of a name that no pack has, with what was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from packd.domain.failures import Code, Failure
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection


def no_such_pack(connection: Connection, name: str) -> Failure:
    """NOT_FOUND for a name that is neither a pack nor a drop."""
    hint = what_was_meant(connection, name) or "`packd list` shows what there is"
    return Failure(Code.NOT_FOUND, f"no pack is called '{name}'; {hint}")


def what_was_meant(connection: Connection, name: str) -> str | None:
    """The nearest name; of a revision, `core#7`, or a run its pack. None where nothing is near."""
    refs = [pack.ref for pack in queries.present_packs(connection)]
    ref, _, number = name.rpartition("#")
    if ref in refs and number.isdecimal():
        return f"that is a revision of '{ref}': name the pack, as in `packd why {ref}`"
    run = queries.run(connection, name)
    if run is not None:
        return f"that is a run of '{run.ref}': `packd tests {run.ref} --run {run.id}` shows it"
    drops = [drop.name for drop in queries.all_drops(connection) if drop.name != name]
    near = get_close_matches(name, [*refs, *drops], n=1)
    return f"did you mean '{near[0]}'?" if near else None
