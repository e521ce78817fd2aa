"""The order of an installation."""

from __future__ import annotations

from packd.domain.dependencies import Party
from packd.flow.plans import Plan, plan_of
from packd.sources.catalogue import Catalogue
from packd.sources.index import Listing, Offer, read_needs
from packd.sources.resolve import resolve


def offer(text: str) -> Offer:
    name, _, needs = text.partition(": ")
    ref, version = name.split()
    return Offer(ref=ref, version=version, index="main", needs=read_needs([one for one in needs.split(", ") if one]))


def party(text: str) -> Party:
    one = offer(text)
    return Party(ref=one.ref, version=one.version, needs=one.needs)


def plan(asked: list[str], offers: list[str], active: list[str]) -> Plan:
    there = {one.ref: one for one in map(party, active)}
    catalogue = Catalogue(listings=(Listing(name="main", offers=tuple(map(offer, offers))),))
    resolved = resolve(read_needs(asked), catalogue=catalogue, active=there, renew=asked)
    return plan_of(resolved, active=there, asked=asked)


def actions(made: Plan) -> list[str]:
    return [f"{step.action} {step.ref} {step.version}" for step in made.steps]


def test_what_is_needed_comes_first() -> None:
    """Whatever the names are, and what is in use stays."""
    made = plan(["a"], ["a 1.0.0: b, z", "b 1.0.0: z"], ["z 1.0.0"])
    assert actions(made) == ["keep z 1.0.0", "install b 1.0.0", "install a 1.0.0"]
    assert [step.ref for step in made.changes] == ["b", "a"]
    assert made.steps[0].needed_by == ("a", "b")


def test_who_would_be_broken_goes_first() -> None:
    """Its new version waits for what it needs; otherwise that one would be refused for breaking the old version."""
    made = plan(["core", "net"], ["core 2.0.0", "net 2.0.0: core@>=2"], ["core 1.0.0", "net 1.0.0: core@<2"])
    assert actions(made) == ["update net 2.0.0", "update core 2.0.0"]
    relaxed = plan(["core", "net"], ["core 2.0.0", "net 2.0.0: core@>=2"], ["core 1.0.0", "net 1.0.0: core"])
    assert actions(relaxed) == ["update core 2.0.0", "update net 2.0.0"]
