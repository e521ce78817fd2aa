"""One pack, one owner: a drop, or whoever registered it from elsewhere. It changes hands only when somebody asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.domain.failures import Code, Failure
from packd.domain.printing import typed
from packd.domain.problems import Problem
from packd.registry import queries
from packd.snapshot.store import Snapshot, Unsettled

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.flow.drop_reader import DropReader
    from packd.flow.packs_folder import PacksFolder
    from packd.flow.pipeline import Pipeline
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Drop, Pack


REF_TAKEN: Final = "manifest.ref_taken"  # the code of the problem that another one has the ref


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


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The other drop that a pack belongs to, by what lies in the packs directory now."""

    drop: str | None  # None: there is none
    has_it: bool = False  # what lies there still is this pack, or can't be told from it
    is_unsettled: bool = False  # it is being written to: what it is can be said later


NOBODY: Final = Holder(drop=None)


class Holders:
    """Looks at the drops that packs belong to. What was written down of them may be older than what lies there: when
    two drops swap their names, or several move up, each is looked at while the others still count as what they were."""

    def __init__(self, *, folder: PacksFolder, registry: Registry, reader: DropReader, pipeline: Pipeline) -> None:
        self._folder = folder
        self._registry = registry
        self._reader = reader
        self._pipeline = pipeline

    def of(self, ref: str, name: str) -> Holder:
        """Who has the pack, as far as the drop `name` is concerned."""
        with self._registry.read() as connection:
            owner = owner_besides(queries.pack(connection, ref), name)
            known = queries.drop(connection, owner) if owner is not None else None
        if owner is None:
            return NOBODY
        try:
            kind = self._folder.kind_of(owner)
        except OSError:
            return Holder(drop=owner, has_it=True)  # until it may be looked at again
        if kind is None:
            return Holder(drop=owner)
        if known is not None and self._reader.is_unchanged(kind, known):
            return Holder(drop=owner, has_it=known.ref == ref)
        return self._read(owner, ref)

    def _read(self, owner: str, ref: str) -> Holder:
        """What can't be read keeps its pack: that is how a bad edit is treated."""
        taken = self._reader.read(owner)
        said = self._pipeline.examine(taken.digest, owner).ref if isinstance(taken, Snapshot) else None
        return Holder(drop=owner, has_it=said in (None, ref), is_unsettled=isinstance(taken, Unsettled))


def owner_besides(pack: Pack | None, name: str) -> str | None:
    """The drop that the pack belongs to, unless that is `name`."""
    return None if pack is None or not pack.is_present or pack.drop_name == name else pack.drop_name


def is_without(connection: Connection, drop: Drop) -> bool:
    """Was it read as a pack that belongs to another drop by now, or to none, without being refused for that?"""
    if drop.problems or drop.held or drop.ref is None:
        return False
    pack = queries.pack(connection, drop.ref)
    if pack is None or not pack.is_present or pack.drop_name == drop.name:
        return False
    return pack.drop_name is not None or pack.origin == "dropped"


def is_left_behind(pack: Pack) -> bool:
    """It lost its drop, and is in use until it is clear that no other drop is it."""
    return pack.is_present and pack.drop_name is None and pack.origin == "dropped"


def rival(tx: Writer, pack: Pack | None, name: str, folder: PacksFolder, holder: Holder) -> Problem | None:
    """Why the drop `name` can't be this pack: another drop is it and still there, or it was registered from elsewhere."""
    if pack is None or not pack.is_present or pack.drop_name == name:
        return None
    if pack.drop_name is not None and holder.has_it:
        way_out = "give this one another ref, or remove one of the two"
        return _taken(f"the pack '{pack.ref}' is already here, in '{pack.drop_name}': {way_out}")
    if pack.origin == "registered" and exists(tx.reader, pack):
        way_out = f"`packd register --replace {typed(str(folder.path / name))}` puts this one in its place"
        return _taken(f"the pack '{pack.ref}' was registered from {pack.path}: {way_out}")
    return None


def _taken(message: str) -> Problem:
    return Problem(code=REF_TAKEN, file="pack.yaml", message=message)
