"""Looking only at the candidates that matter gives the same answer as looking at all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from packd.domain.dependencies import Party, standing, who_matters
from packd.domain.manifest import Need

REFS = ("a", "b", "c", "d", "e")
VERSIONS = st.sampled_from(("1.0.0", "1.5.0", "2.0.0"))
RANGES = st.sampled_from(("*", ">=1", "^1.0", ">=2"))


@st.composite
def parties(draw: st.DrawFn) -> dict[str, Party]:
    made = {}
    for ref in sorted(draw(st.sets(st.sampled_from(REFS)))):
        needed = draw(st.sets(st.sampled_from([other for other in REFS if other != ref]), max_size=2))
        needs = tuple(Need(ref=other, range=draw(RANGES)) for other in sorted(needed))
        made[ref] = Party(ref=ref, version=draw(VERSIONS), needs=needs)
    return made


@given(active=parties(), candidates=parties())
def test_nobody_else_matters(active: dict[str, Party], candidates: dict[str, Party]) -> None:
    """Who has nothing to do with a candidate, over any number of others, may be left out of the question."""
    for ref, party in candidates.items():
        near = who_matters(party, active=active, candidate_of=candidates.get)
        assert standing(ref, active=active, candidates=near) == standing(ref, active=active, candidates=candidates)


def test_a_stranger_is_not_asked_for() -> None:
    """What a candidate costs does not grow with the number of others that are on their way."""
    asked: list[str] = []
    lone = Party(ref="lone", version="1.0.0", needs=(Need(ref="core", range="*"),))

    def candidate_of(ref: str) -> Party | None:
        asked.append(ref)
        return None

    assert who_matters(lone, active={}, candidate_of=candidate_of) == {"lone": lone}
    assert asked == ["core"]
