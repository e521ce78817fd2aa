"""Asking the registry who is active and who is a candidate, as far as it matters for dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.dependencies import BREAKS_DEPENDENT, Party, Standing, meets, standing, who_matters
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
    candidates = who_matters(_party(revision), active=needy, candidate_of=lambda ref: _counted_on(connection, ref))
    return standing(revision.ref, active=_active(connection, needy, candidates), candidates=candidates)


def if_put_back(connection: Connection, revision: Revision) -> Standing:
    """What an earlier revision would miss, and whom it would break, if it were in use again now.

    What is broken already counts for nothing: putting it back makes that no worse.
    """
    needy = {one.ref: _party(one) for one in queries.active_with_needs(connection)}
    party = _party(revision)
    active = _active(connection, needy, {party.ref: party})
    in_use = queries.active_versions(connection, {party.ref}).get(party.ref)
    found = standing(party.ref, active=active, candidates={party.ref: party})
    sound = tuple((ref, need) for ref, need in found.breaks if in_use is None or meets(in_use, need))
    return Standing(missing=found.missing, breaks=sound, group=found.group)


def unmet(connection: Connection, revision: Revision) -> tuple[Need, ...]:
    """What a revision needs and nothing in use gives it."""
    party = _party(revision)
    versions = queries.active_versions(connection, {need.ref for need in party.needs})
    return tuple(need for need in party.needs if need.ref not in versions or not meets(versions[need.ref], need))


def get_along(one: Revision, other: Revision) -> bool:
    """Could both be in use, as far as they need each other?"""
    mine, theirs = _party(one), _party(other)
    pairs = ((mine, theirs), (theirs, mine))
    return all(meets(given.version, need) for needy, given in pairs for need in needy.needs if need.ref == given.ref)


def refused_for_others(connection: Connection, ref: str) -> Revision | None:
    """The newest revision of a pack, where nothing is wrong with it but whom it would break.

    With the others it may come into use after all, so it counts as a candidate: who was read first must not matter.
    """
    latest = queries.latest_revision(connection, ref)
    if latest is None or not is_refused_for_others(latest):
        return None
    return latest if _still_wanted(connection, latest) else None


def is_refused_for_others(revision: Revision) -> bool:
    codes = {problem["code"] for problem in revision.problems}
    return revision.phase == Phase.REJECTED and codes == {BREAKS_DEPENDENT}


def _still_wanted(connection: Connection, refused: Revision) -> bool:
    """It still lies there, and nobody has taken its pack out of use or gone back to an earlier one since."""
    pack = queries.pack(connection, refused.ref)
    if pack is None or not pack.is_present or pack.disabled_at is not None:
        return False
    newest = next(iter(queries.activation_history(connection, refused.ref)), None)
    if newest is not None and newest.reason == "rolled_back" and newest.at > refused.phase_at:
        return False
    if refused.origin == "registered":
        return True
    drop = queries.drop(connection, pack.drop_name) if pack.drop_name is not None else None
    return drop is not None and not drop.problems and drop.digest in (None, refused.digest)


def _counted_on(connection: Connection, ref: str) -> Party | None:
    candidate = queries.candidate(connection, ref)
    if candidate is None:
        candidate = refused_for_others(connection, ref)
    elif candidate.phase not in _JUDGED and not candidate.fields:  # what is tried again has said what it must before
        candidate = None
    return _party(candidate) if candidate is not None else None


def _active(connection: Connection, needy: dict[str, Party], candidates: dict[str, Party]) -> dict[str, Party]:
    """The active packs that need something, and those that somebody needs: the others have no say."""
    needed = {need.ref for party in (*needy.values(), *candidates.values()) for need in party.needs}
    versions = queries.active_versions(connection, needed - needy.keys())
    return needy | {ref: Party(ref=ref, version=version) for ref, version in versions.items()}


def _party(revision: Revision) -> Party:
    needs = tuple(Need(ref=need["ref"], range=need["range"]) for need in revision.needs)
    return Party(ref=revision.ref, version=revision.version or "0.0.0", needs=needs)
