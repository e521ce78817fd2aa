"""Asking the registry who is active and who is a candidate, as far as it matters for dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.dependencies import Party, Standing, standing, who_matters
from packd.domain.lifecycle import Phase
from packd.domain.manifest import Need
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.registry.rows import Revision

# Only what says what it must may be counted on to come along.
_JUDGED = (Phase.VALIDATED, Phase.WAITING, Phase.TESTED)


def of(connection: Connection, revision: Revision) -> Standing:
    """What this candidate may do now."""
    needy = {one.ref: _party(one) for one in queries.active_with_needs(connection)}
    candidates = who_matters(_party(revision), active=needy, candidate_of=lambda ref: _judged(connection, ref))
    return standing(revision.ref, active=_active(connection, needy, candidates), candidates=candidates)


def _judged(connection: Connection, ref: str) -> Party | None:
    candidate = queries.candidate(connection, ref)
    return _party(candidate) if candidate is not None and candidate.phase in _JUDGED else None


def _active(connection: Connection, needy: dict[str, Party], candidates: dict[str, Party]) -> dict[str, Party]:
    """The active packs that need something, and those that somebody needs: the others have no say."""
    needed = {need.ref for party in (*needy.values(), *candidates.values()) for need in party.needs}
    versions = queries.active_versions(connection, needed - needy.keys())
    return needy | {ref: Party(ref=ref, version=version) for ref, version in versions.items()}


def _party(revision: Revision) -> Party:
    needs = tuple(Need(ref=need["ref"], range=need["range"]) for need in revision.needs)
    return Party(ref=revision.ref, version=revision.version or "0.0.0", needs=needs)
