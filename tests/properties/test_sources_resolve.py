"""The resolver against trying everything: on small worlds it finds a set exactly when there is one."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from packd.domain.dependencies import Party, meets
from packd.domain.manifest import Need
from packd.sources.catalogue import Catalogue
from packd.sources.errand import SourceFailure
from packd.sources.index import Listing, Offer
from packd.sources.resolve import resolve

REFS = ("a", "b", "c")
VERSIONS = ("1.0.0", "2.0.0", "3.0.0-rc.1")
RANGES = ("*", "<2", ">=2", "1.0.0", ">=3.0.0-rc.1")

needs = st.dictionaries(st.sampled_from(REFS), st.sampled_from(RANGES), max_size=2)
some_needs = st.dictionaries(st.sampled_from(REFS), st.sampled_from(RANGES), min_size=1, max_size=2)
worlds = st.dictionaries(st.tuples(st.sampled_from(REFS), st.sampled_from(VERSIONS)), needs, max_size=8)


def _needs(ref: str, wanted: dict[str, str]) -> tuple[Need, ...]:
    return tuple(Need(ref=name, range=spec) for name, spec in sorted(wanted.items()) if name != ref)


def _fits(chosen: dict[str, tuple[str, tuple[Need, ...]]]) -> bool:
    return all(
        need.ref in chosen and meets(chosen[need.ref][0], need) for _, wanted in chosen.values() for need in wanted
    )


@settings(max_examples=100, deadline=None)
@given(world=worlds, asked=some_needs)
def test_it_finds_a_set_when_there_is_one(world: dict[tuple[str, str], dict[str, str]], asked: dict[str, str]) -> None:
    """Nothing is in use: every need of every chosen pack is met, in order where that is possible; else there is none."""
    offers = tuple(
        Offer(ref=ref, version=version, index="main", needs=_needs(ref, wanted))
        for (ref, version), wanted in world.items()
    )
    wanted = _needs("", asked)
    choices = [[None, *((offer.version, offer.needs) for offer in offers if offer.ref == ref)] for ref in REFS]
    possible = any(
        _fits(picked) and all(need.ref in picked and meets(picked[need.ref][0], need) for need in wanted)
        for combination in product(*choices)
        for picked in [{ref: one for ref, one in zip(REFS, combination, strict=True) if one is not None}]
    )
    try:
        resolved = resolve(wanted, catalogue=Catalogue(listings=(Listing(name="main", offers=offers),)), active={})
    except SourceFailure as failure:
        assert not possible
        assert any(ref in failure.sentence for ref in REFS)
        return
    picked = {choice.ref: (choice.version, choice.needs) for choice in resolved.choices}
    assert _fits(picked)
    assert all(meets(picked[need.ref][0], need) for need in wanted)


@settings(max_examples=100, deadline=None)
@given(world=worlds, running=worlds, asked=st.sampled_from(REFS))
def test_nobody_in_use_is_broken(
    world: dict[tuple[str, str], dict[str, str]], running: dict[tuple[str, str], dict[str, str]], asked: str
) -> None:
    """Whoever is in use and had what it needs still has it afterwards."""
    active = {
        ref: Party(ref=ref, version=version, needs=_needs(ref, wanted)) for (ref, version), wanted in running.items()
    }
    offers = tuple(
        Offer(ref=ref, version=version, index="main", needs=_needs(ref, wanted))
        for (ref, version), wanted in world.items()
    )
    catalogue = Catalogue(listings=(Listing(name="main", offers=offers),))
    try:
        resolved = resolve([Need(ref=asked)], catalogue=catalogue, active=active, renew=[asked])
    except SourceFailure:
        return
    after = {ref: (party.version, party.needs) for ref, party in active.items()}
    after |= {choice.ref: (choice.version, choice.needs) for choice in resolved.choices}
    for ref, (version, wanted) in after.items():
        unchanged = ref in active and active[ref].version == version
        for need in wanted:
            had = need.ref in active and meets(active[need.ref].version, need)
            if had or not unchanged:
                assert need.ref in after
                assert meets(after[need.ref][0], need)
