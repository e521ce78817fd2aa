"""Do the registry, the store and the links still say the same? And making them, as far as it can be rebuilt.

The registry is the truth. A snapshot that it names and that is missing or damaged can be taken again only while the
content lies in the packs directory; links follow from the registry and can always be made anew.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from packd.domain.lifecycle import UNFINISHED, Phase
from packd.flow.links import Links
from packd.registry import queries
from packd.snapshot.space import StoreFull, StoreUnwritable
from packd.snapshot.taken import Snapshot
from packd.snapshot.tree import is_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from packd.domain.ignore import Ignore
    from packd.registry.database import Database
    from packd.registry.rows import Revision
    from packd.snapshot.store import Store

log = structlog.get_logger(__name__)

Where = Literal["database", "store", "links"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    where: Where
    severity: Literal["error", "warning"]  # error: something in use is affected
    message: str
    cure: str  # what to do, where it was not repaired
    repaired: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was looked at, and what was found."""

    findings: tuple[Finding, ...]
    snapshots: int  # read whole and compared with their digests
    links: int
    unused: int  # snapshots that nothing names

    @property
    def good(self) -> bool:
        """Nothing is wrong any more."""
        return all(finding.repaired or finding.severity == "warning" for finding in self.findings)


class Checkup:
    """Over the parts of a state directory. Repairing needs it for itself; looking does not."""

    def __init__(self, *, database: Database, store: Store, active: Path, packs_dir: Path, ignore: Ignore) -> None:
        self._database = database
        self._store = store
        self._active = active
        self._packs_dir = packs_dir
        self._ignore = ignore

    def run(self, *, repair: bool, on_snapshot: Callable[[str], None] = lambda _: None) -> Result:
        """Read everything that is kept. `on_snapshot` is told of each snapshot before it is read. Raises OSError."""
        with self._database.read() as connection:
            needed, named = _needed(connection), queries.digests_in_use(connection)
            in_use = queries.active_digests(connection)
        stored = self._store.digests()
        findings = [
            *self._missing(needed, repair=repair),
            *self._damaged([digest for digest in stored if digest in named], needed, repair, on_snapshot),
            *self._links(in_use, repair=repair),
        ]
        return Result(
            findings=tuple(findings),
            snapshots=sum(1 for digest in stored if digest in named),
            links=len(in_use),
            unused=sum(1 for digest in stored if digest not in named),
        )

    def missing(self) -> list[str]:
        """What the registry needs and the store has not, as `hello#2 (in use)`; nothing is read for that."""
        with self._database.read() as connection:
            needed = _needed(connection)
        return sorted(map(_whose, self._lost(needed)))

    def _missing(self, needed: dict[str, Revision], *, repair: bool) -> Iterator[Finding]:
        for revision in self._lost(needed):
            found = Finding(
                where="store",
                severity="error",
                message=f"the content of {_whose(revision)} is missing from the store",
                cure=_LOST,
            )
            yield replace(found, repaired=repair and self._taken_again(revision))

    def _lost(self, needed: dict[str, Revision]) -> list[Revision]:
        """Of these, what is not there, and was not swept before it was needed again."""
        gone = [revision for digest, revision in needed.items() if not self._store.has(digest)]
        with self._database.read() as connection:
            return [one for one in gone if one.phase != Phase.SUPERSEDED or queries.was_in_use_until(connection, one)]

    def _damaged(
        self,
        digests: list[str],
        needed: dict[str, Revision],
        repair: bool,
        on_snapshot: Callable[[str], None],
    ) -> Iterator[Finding]:
        for digest in digests:
            on_snapshot(digest)
            if self._store.verify(digest) or not self._store.has(digest):  # a daemon may have swept it meanwhile
                continue
            revision = needed.get(digest)
            whose = f"the content of {_whose(revision)}" if revision else "content not in use"
            found = Finding(
                where="store",
                severity="error" if revision else "warning",
                message=f"{whose} was changed in the store: {digest} is not what its name says",
                cure=_LOST if revision else "`packd db check --repair` removes it",
            )
            yield replace(found, repaired=repair and self._replaced(digest, revision))

    def _replaced(self, digest: str, revision: Revision | None) -> bool:
        """Damaged content that nobody needs is removed; what is needed gives way only to the same content, taken again.

        What lies there may have been changed since it was last looked at.
        """
        if revision is None:
            return self._store.remove(digest)
        return self._lies_there(revision) and self._taken_again(revision)

    def is_whole(self, revision: Revision) -> bool:
        """Is its content what its digest says, now that it was put right where that could be done?"""
        return self._store.verify(revision.digest) or self.take_again(revision)

    def take_again(self, revision: Revision) -> bool:
        """Put the content of a revision right, whole, from the packs directory. False when it does not lie there."""
        return self._replaced(revision.digest, revision)

    def _lies_there(self, revision: Revision) -> bool:
        """Was its content what lay in the packs directory when that was last looked at?"""
        with self._database.read() as connection:
            pack = queries.pack(connection, revision.ref)
            drop = queries.drop(connection, pack.drop_name) if pack and pack.drop_name else None
        return drop is not None and drop.digest == revision.digest

    def _taken_again(self, revision: Revision) -> bool:
        place = self._place(revision.ref)
        try:
            taken = self._store.take(place, self._ignore) if place is not None else None
        except (StoreFull, StoreUnwritable, OSError) as failure:  # what is wrong with the others is told all the same
            if isinstance(failure, OSError) and is_shortage(failure):
                raise
            log.error("store.failed", pack=revision.ref, error=str(failure))
            return False
        return isinstance(taken, Snapshot) and taken.digest == revision.digest

    def _place(self, ref: str) -> Path | None:
        """Where the drop of a pack lies; None when there is none. Whoever looks without a daemon may not know its packs
        directory, which can have been named on its command line."""
        with self._database.read() as connection:
            pack = queries.pack(connection, ref)
        if pack is None or pack.drop_name is None:
            return None
        places = (self._packs_dir / pack.drop_name, Path(pack.path))
        return next((place for place in places if os.path.lexists(place)), None)

    def _links(self, in_use: dict[str, str], *, repair: bool) -> Iterator[Finding]:
        wanted = {ref: self._store.path(digest) for ref, digest in in_use.items()}
        wrong = _wrong_links(self._active, wanted)
        if repair and wrong:
            Links(self._active).rebuild(wanted)
        left = {name for name, _ in _wrong_links(self._active, wanted)} if repair else wrong
        for name, why in wrong:
            message, repaired = f"{self._active / name} {why}", repair and name not in left
            yield Finding(where="links", severity="error", message=message, cure=_REBUILD, repaired=repaired)


def _needed(connection: Connection) -> dict[str, Revision]:
    """digest → the revision that must not lose its content: in use, on its way, or the one to go back to."""
    found: dict[str, Revision] = {}
    for revision in (*queries.candidates(connection), *queries.active_revisions(connection)):
        found[revision.digest] = revision
        before = queries.rollback_target(connection, revision.ref) if revision.phase == Phase.ACTIVE else None
        if before is not None:
            found.setdefault(before.digest, before)
    return found


def _wrong_links(folder: Path, wanted: dict[str, Path]) -> list[tuple[str, str]]:
    """(name, what is wrong with it) of every link that is not as it should be."""
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    wrong = [(name, "belongs to no pack that is in use") for name in sorted(there - wanted.keys())]
    for ref, tree in sorted(wanted.items()):
        if ref not in there:
            wrong.append((ref, f"is missing; it leads to {tree.name[:12]}"))
        elif not _leads_to(folder / ref, tree):
            wrong.append((ref, f"does not lead to what is in use, {tree.name[:12]}"))
    return wrong


def _leads_to(link: Path, tree: Path) -> bool:
    try:
        return Path(os.path.normpath(link.parent / os.readlink(link))) == Path(os.path.normpath(tree))
    except OSError:
        return False


def _whose(revision: Revision) -> str:
    return f"{revision.name} ({_plain(revision.phase)})"


def _plain(phase: Phase) -> str:
    if phase in UNFINISHED:
        return "on its way"
    return "in use" if phase == Phase.ACTIVE else "to go back to"


_LOST = (
    "`packd db check --repair` takes it again if it lies in the packs directory; otherwise put that content back there"
)
_REBUILD = "`packd db check --repair` makes it anew; so does the next start of the daemon"
