"""Which versions are chosen, and how an impossible set is explained."""

from __future__ import annotations

import pytest

from packd.domain.dependencies import Party
from packd.domain.manifest import Need
from packd.sources.catalogue import Catalogue
from packd.sources.errand import SourceFailure
from packd.sources.index import Listing, Offer, read_needs
from packd.sources.resolve import Resolved, resolve


def needs(*texts: str) -> tuple[Need, ...]:
    return read_needs(list(texts))


def offers(*texts: str, index: str = "main") -> Listing:
    """`netops 1.0.0: core@>=2, utils` for each."""
    made = []
    for text in texts:
        name, _, wanted = text.partition(": ")
        ref, version = name.split()
        made.append(Offer(ref=ref, version=version, index=index, needs=needs(*filter(None, wanted.split(", ")))))
    return Listing(name=index, offers=tuple(made))


def party(text: str) -> Party:
    (offer,) = offers(text).offers
    return Party(ref=offer.ref, version=offer.version, needs=offer.needs)


def solve(
    asked: list[str],
    *listings: Listing,
    active: tuple[str, ...] = (),
    fetched: str | None = None,
    renew: tuple[str, ...] = (),
) -> Resolved:
    return resolve(
        needs(*asked),
        catalogue=Catalogue(listings=listings),
        active={one.ref: one for one in map(party, active)},
        fetched=party(fetched) if fetched else None,
        renew=renew,
    )


def chosen(resolved: Resolved) -> list[str]:
    return [f"{choice.ref} {choice.version}{' in use' if choice.in_use else ''}" for choice in resolved.choices]


def impossible(*arguments: object, **more: object) -> str:
    with pytest.raises(SourceFailure) as caught:
        solve(*arguments, **more)  # type: ignore[arg-type]
    return caught.value.sentence


def test_the_newest_that_fits_in_order() -> None:
    """What is needed comes first, each at its newest version that fits everybody."""
    main = offers(
        "netops 1.0.0: core@>=1, utils@^2", "netops 1.1.0: core@<3, utils", "core 1.0.0", "core 2.0.0: utils@<3",
        "core 3.0.0", "utils 2.5.0", "utils 3.0.0",
    )  # fmt: skip
    resolved = solve(["netops"], main)
    assert chosen(resolved) == ["utils 2.5.0", "core 2.0.0", "netops 1.1.0"]
    assert resolved.needed_by == {"utils": ("core", "netops"), "core": ("netops",), "netops": ()}


def test_pre_releases_come_last() -> None:
    """They are taken when nothing else fits, or when they are asked for."""
    main = offers("core 1.0.0", "core 2.0.0-rc.1")
    assert chosen(solve(["core"], main)) == ["core 1.0.0"]
    assert chosen(solve(["core@>=2.0.0-rc.1"], main)) == ["core 2.0.0-rc.1"]


def test_what_is_in_use_and_fits_stays() -> None:
    """No update that nobody asked for."""
    main = offers("netops 1.0.0: core", "core 2.0.0")
    assert chosen(solve(["netops"], main, active=("core 1.0.0",))) == ["core 1.0.0 in use", "netops 1.0.0"]


def test_what_is_in_use_and_does_not_fit_is_updated() -> None:
    """As long as all who need it can live with the new version."""
    main = offers("netops 1.0.0: core@>=2", "core 2.0.0")
    assert chosen(solve(["netops"], main, active=("core 1.0.0", "slack 1.0.0: core"))) == [
        "core 2.0.0", "netops 1.0.0", "slack 1.0.0 in use",
    ]  # fmt: skip


def test_who_is_in_use_has_a_say() -> None:
    """An update that breaks somebody is impossible, and he is named."""
    main = offers("netops 1.0.0: core@>=2", "core 2.0.0", "slack 2.0.0: core")
    said = impossible(["netops"], main, active=("core 1.0.0", "slack 1.0.0: core@<2"))
    assert "netops 1.0.0 needs core >=2" in said
    assert "slack 1.0.0 (in use) needs core <2" in said
    assert "1.0.0 (in use), 2.0.0" in said


def test_a_fetched_pack_is_part_of_it() -> None:
    """Its version is what it is, whatever an index offers."""
    main = offers("netops 9.0.0", "core 1.0.0")
    assert chosen(solve([], main, fetched="netops 1.0.0: core")) == ["core 1.0.0", "netops 1.0.0"]


def test_renewing() -> None:
    """Upgrade takes the newest that everybody can live with, and no pre-release."""
    main = offers("core 1.5.0", "core 2.0.0", "core 3.0.0-rc.1", "slack 2.0.0: core@>=2")
    active = ("core 1.0.0", "slack 1.0.0: core@<2")
    assert chosen(solve(["core"], main, active=active, renew=("core",))) == ["core 1.5.0", "slack 1.0.0 in use"]
    both = solve(["core", "slack"], main, active=active, renew=("core", "slack"))
    assert chosen(both) == ["core 2.0.0", "slack 2.0.0"]


def test_packs_that_need_each_other() -> None:
    """A circle has an answer, each pack in it once."""
    assert chosen(solve(["a"], offers("a 1.0.0: b", "b 1.0.0: a"))) == ["b 1.0.0", "a 1.0.0"]


def test_packs_that_need_each_other_and_were_given_up() -> None:
    """A newer version led to a circle of packs and did not fit: the circle is not part of the outcome."""
    main = offers("core 2.0.0: netops@1.0.0, utils@1.0.0", "netops 1.0.0: core@>=2", "utils 1.0.0", "utils 2.0.0: core")
    assert chosen(solve(["utils"], main)) == ["utils 1.0.0"]


def test_the_first_index_with_a_pack_has_it_alone() -> None:
    """A pack of the same name elsewhere does not get in by a greater version."""
    assert chosen(solve(["core"], offers("core 1.0.0"), offers("core 99.0.0", index="other"))) == ["core 1.0.0"]


def test_impossible_sets_name_who_asks_for_what() -> None:
    """Every need in the conflict, who has it, and what there is."""
    main = offers("netops 1.0.0: core@>=2, slack", "slack 1.0.0: core@<2", "core 1.0.0", "core 2.0.0")
    said = impossible(["netops"], main)
    assert "netops 1.0.0 needs core >=2" in said
    assert "slack 1.0.0 needs core <2" in said
    assert "of 'core' there is 2.0.0, 1.0.0: none fits all" in said
    assert impossible(["zzz"], main) == "you ask for zzz, but no index has 'zzz' (asked: main)"
    assert impossible(["cor"], main).endswith("no index has 'cor' (asked: main); did you mean 'core'?")
    assert "none fits" in impossible(["core@^3"], main)
    assert "no index is configured" in impossible([], fetched="a 1.0.0: b")
