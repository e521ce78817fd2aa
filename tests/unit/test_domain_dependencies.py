"""Who may go, who waits, who is refused: the cases that people meet."""

from __future__ import annotations

import pytest

from packd.domain.dependencies import Party, Standing, meets, standing
from packd.domain.manifest import Need
from packd.domain.ranges import as_range


def party(ref: str, version: str = "1.0.0", **needs: str) -> Party:
    return Party(ref=ref, version=version, needs=tuple(Need(ref=name, range=wanted) for name, wanted in needs.items()))


def world(*parties: Party) -> dict[str, Party]:
    return {one.ref: one for one in parties}


def ask(ref: str, candidates: dict[str, Party], active: dict[str, Party] | None = None) -> Standing:
    return standing(ref, active=active or {}, candidates=candidates)


def test_a_pack_without_needs_may_go() -> None:
    """Nothing holds it up."""
    assert ask("core", world(party("core"))).may_go


def test_a_need_that_is_not_active_is_waited_for() -> None:
    """The missing pack is named with the range that was asked for."""
    outlook = ask("slack", world(party("slack", core=">=1.2")))
    assert outlook.missing == (Need(ref="core", range=">=1.2"),)


def test_an_active_pack_of_the_wrong_version_does_not_meet_a_need() -> None:
    """Being there is not enough."""
    assert not ask("slack", world(party("slack", core=">=2")), world(party("core", "1.9.0"))).may_go


def test_a_needed_pack_that_is_itself_a_candidate_goes_first() -> None:
    """Only packs that need each other go together; a chain goes one after another."""
    candidates = world(party("slack", core="*"), party("core"))
    assert ask("core", candidates).may_go
    assert ask("slack", candidates).missing == (Need(ref="core", range="*"),)


def test_packs_that_need_each_other_form_one_group() -> None:
    """Neither can go first, so they go in one step."""
    candidates = world(party("a", b="*"), party("b", a=">=1"))
    assert ask("a", candidates).group == ask("b", candidates).group == frozenset({"a", "b"})
    assert ask("a", candidates).may_go


def test_a_pack_that_could_go_by_itself_is_not_tied_to_one_that_waits_for_it() -> None:
    """What it needs is active already; that a newer one is on its way is no reason to wait for that one's tests."""
    active = world(party("a"), party("b"))
    candidates = world(party("a", "2.0.0", b="*"), party("b", "2.0.0", a=">=2"))
    outlook = ask("a", candidates, active)
    assert (outlook.group, outlook.may_go) == (frozenset({"a"}), True)
    assert ask("b", candidates, active).missing == (Need(ref="a", range=">=2"),)


def test_a_candidate_of_the_wrong_version_ties_nobody() -> None:
    """Each waits for the other itself, not for what that one lacks."""
    candidates = world(party("a", b=">=2"), party("b", "1.0.0", a="*"))
    assert ask("b", candidates).missing == (Need(ref="a", range="*"),)
    assert ask("a", candidates).missing == (Need(ref="b", range=">=2"),)


def test_a_group_waits_for_what_one_member_lacks() -> None:
    """One missing need holds up all who need each other."""
    candidates = world(party("a", b="*"), party("b", a="*", core="*"))
    assert not ask("a", candidates).may_go
    assert Need(ref="core", range="*") in ask("b", candidates).missing


def test_a_dependent_that_must_move_as_well_forbids_nothing_yet() -> None:
    """What its next version accepts is not known; any other dependent forbids it at once."""
    active = world(party("a", b="^1"), party("b", a="^1"), party("c", a="^1"))
    outlook = ask("a", world(party("a", "2.0.0", b="^2")), active)
    assert [ref for ref, _ in outlook.breaks] == ["b", "c"]
    assert [ref for ref, _ in outlook.forbidden_by] == ["c"]
    assert not outlook.may_go


def test_a_version_outside_an_active_dependents_range_is_refused_by_name() -> None:
    """Whoever would be broken is named with its range."""
    active = world(party("core", "1.0.0"), party("slack", core="^1.0"))
    outlook = ask("core", world(party("core", "2.0.0")), active)
    assert outlook.breaks == (("slack", Need(ref="core", range="^1.0")),)


def test_a_dependent_that_comes_along_lifts_the_refusal() -> None:
    """The dependent's own next version accepts the new one: both go together."""
    active = world(party("core", "1.0.0"), party("slack", core="^1.0"))
    candidates = world(party("core", "2.0.0"), party("slack", "2.0.0", core="^2.0"))
    assert ask("core", candidates, active).group == frozenset({"core", "slack"})


def test_a_dependent_that_no_longer_needs_it_goes_first() -> None:
    """Its next version does not mind either way, so it need not be tied to the other."""
    active = world(party("core", "1.0.0"), party("slack", core="^1.0"))
    candidates = world(party("core", "2.0.0"), party("slack", "2.0.0"))
    assert ask("core", candidates, active).missing == (Need(ref="slack", range=">=2.0.0"),)
    assert ask("slack", candidates, active).may_go


def test_a_pre_release_meets_an_open_range_but_not_its_own_upper_bound() -> None:
    """SemVer ranks 2.0.0-rc1 below 2.0.0, and nobody who asks for <2 wants it."""
    assert meets("2.0.0-rc1", Need(ref="core", range=">=1"))
    assert not meets("2.0.0-rc1", Need(ref="core", range="<2"))


@pytest.mark.parametrize(
    ("wanted", "fits", "too_high"),
    [
        ("^2.0.0-rc.1", ["2.0.0-rc.1", "2.0.0-rc.2", "2.0.0", "2.7.1"], "3.0.0"),
        ("^0.3.0-a", ["0.3.0-b", "0.3.0", "0.3.9"], "0.4.0"),
        ("^0.0.3-a", ["0.0.3"], "0.0.4"),
        ("~1.2.0-rc.1", ["1.2.0-rc.1", "1.2.0", "1.2.9"], "1.3.0"),
        ("~=1.2.0-rc.1", ["1.2.0", "1.2.9"], "1.3.0"),
    ],
)
def test_a_range_from_a_pre_release_on_holds_the_release(wanted: str, fits: list[str], too_high: str) -> None:
    """Who is content with 2.0.0-rc.1 is content with 2.0.0."""
    need = Need(ref="core", range=as_range(wanted) or "")
    assert [version for version in fits if not meets(version, need)] == []
    assert not meets(too_high, need)


def test_next_versions_that_exclude_each_other_wait() -> None:
    """What is active now does not count where it would be replaced in the same step."""
    active = world(party("a", "1.0.0", d="^1.0"), party("d", "1.0.0"))
    candidates = world(party("a", "2.0.0", d=">=2"), party("d", "2.0.0", a="^1.0"))
    for ref in candidates:
        assert ask(ref, candidates, active).missing == (Need(ref="a", range="^1.0"),)
