"""One pack, one owner: a drop, or whoever registered it from elsewhere. It changes hands only when somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.failures import Code, Failure
from packd.domain.problems import Problem
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.flow.packs_folder import PacksFolder
    from packd.registry.registry import Writer
    from packd.registry.rows import Pack


def exists(connection: Connection, pack: Pack | None) -> bool:
    """Is anything of this pack in use, on its way, or kept for when it is enabled again?"""
    if pack is None or not pack.is_present:
        return False
    if pack.disabled_at is not None:
        return True
    return bool(queries.active_revision(connection, pack.ref) or queries.candidate(connection, pack.ref))


def already_exists(ref: str) -> Failure:
    """The answer to whoever would add a pack that is there, and did not ask to replace it."""
    return Failure(
        Code.CONFLICT,
        f"Pack '{ref}' already exists. Use force=true to reinstall. "
        "With replace=true it is updated only if the new content passes its tests.",
        members={"ref": ref},
    )


def rival(tx: Writer, pack: Pack | None, name: str, folder: PacksFolder) -> Problem | None:
    """Why the drop `name` can't be this pack: another drop is it and still there, or it was registered from elsewhere."""
    if pack is None or not pack.is_present or pack.drop_name == name:
        return None
    if pack.drop_name is not None and folder.has(pack.drop_name):
        way_out = "give this one another ref, or remove one of the two"
        return _taken(f"the pack '{pack.ref}' is already here, in '{pack.drop_name}': {way_out}")
    if pack.origin == "registered" and exists(tx.reader, pack):
        way_out = f"`packd register {folder.path / name} --replace` puts this one in its place"
        return _taken(f"the pack '{pack.ref}' was registered from {pack.path}: {way_out}")
    return None


def _taken(message: str) -> Problem:
    return Problem(code="manifest.ref_taken", file="pack.yaml", message=message)
