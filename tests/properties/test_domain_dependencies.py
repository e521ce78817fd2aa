"""Whatever the packs and their needs: going ahead never leaves a need unmet, and nobody is held up without a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from packd.domain.dependencies import Party, meets, standing
from packd.domain.manifest import Need

REFS = ("a", "b", "c", "d")
VERSIONS = st.sampled_from(("1.0.0", "1.5.0", "2.0.0"))
RANGES = st.sampled_from(("*", ">=1", "^1.0", ">=2"))


@st.composite
def parties(draw: st.DrawFn, refs: tuple[str, ...]) -> dict[str, Party]:
    chosen = draw(st.sets(st.sampled_from(refs)))
    made = {}
    for ref in sorted(chosen):
        needed = draw(st.sets(st.sampled_from([other for other in refs if other != ref]), max_size=2))
        needs = tuple(Need(ref=other, range=draw(RANGES)) for other in sorted(needed))
        made[ref] = Party(ref=ref, version=draw(VERSIONS), needs=needs)
    return made


def unmet(world: dict[str, Party]) -> set[tuple[str, str]]:
    return {
        (party.ref, need.ref)
        for party in world.values()
        for need in party.needs
        if need.ref not in world or not meets(world[need.ref].version, need)
    }


@given(active=parties(REFS), candidates=parties(REFS))
def test_activating_a_group_breaks_nothing(active: dict[str, Party], candidates: dict[str, Party]) -> None:
    """After a group has gone ahead no need is unmet that was met before, and none of the group's own."""
    for ref in candidates:
        outlook = standing(ref, active=active, candidates=candidates)
        if not outlook.may_go:
            continue
        after = active | {member: candidates[member] for member in outlook.group}
        assert unmet(after) <= {pair for pair in unmet(active) if pair[0] not in outlook.group}


@given(active=parties(REFS), candidates=parties(REFS))
def test_members_of_a_group_agree_on_it(active: dict[str, Party], candidates: dict[str, Party]) -> None:
    """ "Together" means the same to everybody who is in it."""
    for ref in candidates:
        outlook = standing(ref, active=active, candidates=candidates)
        assert ref in outlook.group
        for member in outlook.group:
            assert standing(member, active=active, candidates=candidates).group == outlook.group


@given(active=parties(REFS), candidates=parties(REFS))
def test_a_candidate_is_held_up_only_with_a_reason(active: dict[str, Party], candidates: dict[str, Party]) -> None:
    """Whoever needs nothing and breaks nobody may go."""
    for ref, party in candidates.items():
        dependents = [one for one in active.values() if one.ref != ref and any(need.ref == ref for need in one.needs)]
        if not party.needs and not dependents:
            assert standing(ref, active=active, candidates=candidates).may_go


@given(candidates=parties(REFS))
def test_candidates_alone_come_to_an_end(candidates: dict[str, Party]) -> None:
    """Activating whoever may go, again and again, stops with everybody active who could ever be."""
    active: dict[str, Party] = {}
    left = dict(candidates)
    while going := [ref for ref in left if standing(ref, active=active, candidates=left).may_go]:
        for member in standing(going[0], active=active, candidates=left).group:
            active[member] = left.pop(member)
    assert not unmet(active)
    for ref in left:
        outlook = standing(ref, active=active, candidates=left)
        assert outlook.missing or outlook.breaks
