"""Packs in use of which an index has a newer version. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from semantic_version import Version

from packd.domain.dependencies import meets
from packd.domain.manifest import Need

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packd.registry.rows import Revision
    from packd.sources.catalogue import Catalogue


@dataclass(frozen=True, kw_only=True)
class Outdated:
    """One pack, and what it could become."""

    ref: str
    version: str  # in use
    newest: str  # of the index; a pre-release only if one is in use
    fits: str | None  # the newest that every pack in use that needs it can live with; None: none newer
    held_by: tuple[str, ...]  # who can't live with the newest
    index: str
    from_index: bool  # what is in use came from an index: `packd upgrade` without names takes it along


def outdated(active: Sequence[Revision], catalogue: Catalogue) -> list[Outdated]:
    """By ref."""
    found = (_one(revision, active, catalogue) for revision in sorted(active, key=lambda one: one.ref))
    return [one for one in found if one is not None]


def _one(revision: Revision, active: Iterable[Revision], catalogue: Catalogue) -> Outdated | None:
    version = revision.version or "0.0.0"
    newer = [offer for offer in catalogue.offers(revision.ref) if _is_newer(offer.version, version)]
    if not newer:
        return None
    wanted = [
        (other.ref, Need(ref=need["ref"], range=need["range"]))
        for other in active
        for need in other.needs
        if need["ref"] == revision.ref
    ]
    fitting = (offer.version for offer in newer if all(meets(offer.version, need) for _, need in wanted))
    return Outdated(
        ref=revision.ref,
        version=version,
        newest=newer[0].version,
        fits=next(fitting, None),
        held_by=tuple(f"{ref} needs {need}" for ref, need in wanted if not meets(newer[0].version, need)),
        index=newer[0].index,
        from_index=bool(revision.provenance.get("index")),
    )


def _is_newer(version: str, than: str) -> bool:
    offered, known = Version.coerce(version), Version.coerce(than)
    return bool(offered > known and (not offered.prerelease or known.prerelease))
