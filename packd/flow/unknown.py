"""What to say of a name that no pack has, with what was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from packd.domain.failures import Code, Failure
from packd.domain.printing import typed
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.registry.rows import Drop


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
    dropped = queries.pack_of_drop(connection, name)
    if dropped is not None:
        return f"what lies there is the pack '{dropped.ref}', by which it is named"
    refused = next((drop for drop in _read_as(connection, name) if drop.problems), None)
    if refused is not None:
        return f"what lies in '{refused.name}' was refused: see `packd why {typed(name)}`"
    drops = [drop.name for drop in queries.all_drops(connection) if drop.name != name]
    near = get_close_matches(name, [*refs, *drops], n=1)
    return f"did you mean '{near[0]}'?" if near else None


def _read_as(connection: Connection, name: str) -> list[Drop]:
    """The drop of that name, and those that go by it until they can be read."""
    named = queries.drop(connection, name)
    return [*([named] if named is not None else []), *queries.refused_claiming(connection, name)]
