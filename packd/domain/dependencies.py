"""Who needs whom: which candidates may become active now, together with which others, and which must wait or be refused.

The world is small: the version that is active of each pack with what it needs, and at most one candidate of each pack.
A candidate is held up by a need that nothing active meets, and by an active dependent whose range it would leave. Both
can be cured by another candidate (the needed one; the dependent's own next version), so candidates form a graph of
"must come along"; what can go ahead is a strongly connected group whose every member's hold-ups are cured inside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from semantic_version import SimpleSpec, Version

from packd.domain.manifest import Need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BREAKS_DEPENDENT: Final = "dependency.breaks_dependent"  # the problem of a version that would break an active pack


@dataclass(frozen=True, kw_only=True)
class Party:
    """One revision as the others see it."""

    ref: str
    version: str
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a candidate may do now."""

    missing: tuple[Need, ...] = ()  # what must become active before it: wait
    breaks: tuple[tuple[str, Need], ...] = ()  # (dependent, its need) that it would break
    group: frozenset[str] = frozenset()  # the refs that must be activated in the same step, itself included

    @property
    def may_go(self) -> bool:
        return not self.missing and not self.breaks

    @property
    def forbidden_by(self) -> tuple[tuple[str, Need], ...]:
        """Whom it would break, without those that it waits for anyway: what they need then is not known yet. Refuse."""
        awaited = {need.ref for need in self.missing}
        return tuple((dependent, need) for dependent, need in self.breaks if dependent not in awaited)


def meets(version: str, need: Need) -> bool:
    """Is `version` inside the range of `need`? Pre-releases count, ranked below their release (SemVer 2.0.0, 11)."""
    if need.range == "*":
        return True
    return Version.coerce(version) in SimpleSpec(need.range)


def standing(ref: str, *, active: Mapping[str, Party], candidates: Mapping[str, Party]) -> Standing:
    """What the candidate `ref` may do, given who is active and who else is a candidate.

    A need that only another candidate could meet is still missing (that one goes first, on its own), unless the two
    need each other: then neither can go first, and they go together.
    """
    able = _able(active, candidates)
    group = _tied(ref, active, candidates, able) if ref in able else frozenset({ref})
    members = [candidates[member] for member in sorted(group)]
    afterwards = {**active, **{member.ref: member for member in members}}
    broken = [(dependent, need, member) for member in members for dependent, need in _broken_by(member, active)]
    return Standing(
        missing=(
            *(need for member in members for need in member.needs if not _met_by(need, afterwards)),
            *(
                Need(ref=dependent.ref, range=f">={candidates[dependent.ref].version}")
                for dependent, _, member in broken
                if _cures(dependent.ref, member, candidates, able - group)
            ),
        ),
        breaks=tuple(
            (dependent.ref, need)
            for dependent, need, member in broken
            if not _cures(dependent.ref, member, candidates, able | group)
        ),
        group=group,
    )


def who_matters(
    party: Party, *, active: Mapping[str, Party], candidate_of: Callable[[str], Party | None]
) -> dict[str, Party]:
    """The candidates without which nothing changes for `standing` of this one: itself, those that it needs, those whose
    active version needs it, and so on from each of them. Thousands may be on their way that have nothing to do with it.

    `candidate_of` is asked once for each ref; None: there is none.
    """
    asked: dict[str, Party | None] = {party.ref: party}
    todo = [party]
    while todo:
        one = todo.pop()
        dependents = {other.ref for other in active.values() if any(need.ref == one.ref for need in other.needs)}
        for ref in ({need.ref for need in one.needs} | dependents) - asked.keys():
            asked[ref] = found = candidate_of(ref)
            if found is not None:
                todo.append(found)
    return {ref: found for ref, found in asked.items() if found is not None}


def _able(active: Mapping[str, Party], candidates: Mapping[str, Party]) -> frozenset[str]:
    """The largest set of candidates of which each one's hold-ups are cured by what is active or by the set itself."""
    able = frozenset(candidates)
    while True:
        fit = frozenset(
            ref
            for ref in able
            if all(_met(need, active, candidates, able) for need in candidates[ref].needs)
            and all(
                _cures(dependent.ref, candidates[ref], candidates, able)
                for dependent, _ in _broken_by(candidates[ref], active)
            )
        )
        if fit == able:
            return able
        able = fit


def _met(need: Need, active: Mapping[str, Party], candidates: Mapping[str, Party], able: frozenset[str]) -> bool:
    return _met_by(need, active) or (need.ref in able and meets(candidates[need.ref].version, need))


def _met_by(need: Need, parties: Mapping[str, Party]) -> bool:
    party = parties.get(need.ref)
    return party is not None and meets(party.version, need)


def _broken_by(party: Party, active: Mapping[str, Party]) -> Iterable[tuple[Party, Need]]:
    for dependent in active.values():
        if dependent.ref == party.ref:
            continue
        for need in dependent.needs:
            if need.ref == party.ref and not meets(party.version, need):
                yield dependent, need


def _cures(dependent: str, party: Party, candidates: Mapping[str, Party], able: frozenset[str]) -> bool:
    """Does the dependent's own candidate go along with the new version of `party`?"""
    if dependent not in able:
        return False
    return all(meets(party.version, need) for need in candidates[dependent].needs if need.ref == party.ref)


def _comes_along(
    ref: str, active: Mapping[str, Party], candidates: Mapping[str, Party], able: frozenset[str]
) -> frozenset[str]:
    """The other candidates without which `ref` cannot go."""
    needed = {need.ref for need in candidates[ref].needs if not _met_by(need, active)}
    replaced = {dependent.ref for dependent, _ in _broken_by(candidates[ref], active)}
    return frozenset((needed | replaced) & able)


def _reach(
    ref: str, active: Mapping[str, Party], candidates: Mapping[str, Party], able: frozenset[str]
) -> frozenset[str]:
    """Everything that `ref` cannot go without, directly or through others, itself included."""
    reached: set[str] = set()
    todo = [ref]
    while todo:
        current = todo.pop()
        if current not in reached:
            reached.add(current)
            todo.extend(_comes_along(current, active, candidates, able))
    return frozenset(reached)


def _tied(
    ref: str, active: Mapping[str, Party], candidates: Mapping[str, Party], able: frozenset[str]
) -> frozenset[str]:
    """The candidates that `ref` needs and that need `ref`: they can only be activated in one step."""
    reached = _reach(ref, active, candidates, able)
    return frozenset(other for other in reached if ref in _reach(other, active, candidates, able))
