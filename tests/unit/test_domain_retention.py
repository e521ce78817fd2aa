"""What stays in the store, and why."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from packd.domain.lifecycle import REFUSED, UNFINISHED, Phase
from packd.domain.retention import Aged, Decision, Terms, decide, removable

NOW_S = 1_000_000.0
DAY_S = 86_400.0
TERMS = Terms(revisions=2, failed_hours=24)


def aged(number: int, phase: Phase = Phase.SUPERSEDED, *, days: float = 10, digest: str | None = None) -> Aged:
    return Aged(ref="core", number=number, digest=digest or f"d{number}", phase=phase, phase_at_s=NOW_S - days * DAY_S)


def said(*revisions: Aged, terms: Terms = TERMS, target: int | None = None, busy: bool = False) -> dict[int, str]:
    """number → "keep: why" or "remove: why"."""
    decisions = decide(
        revisions,
        targets={} if target is None else {"core": target},
        busy={"core"} if busy else (),
        terms=terms,
        now_s=NOW_S,
    )
    return {one.number: f"{'keep' if one.keep else 'remove'}: {one.why}" for one in decisions}


def test_the_newest_stay() -> None:
    """Of what could be used, the newest so-and-so-many stay; refused content in between does not count."""
    found = said(aged(1), aged(2), aged(3), aged(4, Phase.FAILED), aged(5, Phase.ACTIVE))
    assert found == {
        5: "keep: is in use",
        4: "remove: was refused more than 24 h ago",
        3: "keep: is among the newest 2",
        2: "remove: is older than the newest 2",
        1: "remove: is older than the newest 2",
    }


def test_what_never_goes() -> None:
    """The active one, a candidate, the rollback target, the newest, and what is pinned stay however old they are."""
    terms = Terms(revisions=1, failed_hours=0, pinned=("core#2", "other"))
    found = said(aged(1), aged(2), aged(3, Phase.ACTIVE), aged(4, Phase.VALIDATED), aged(5, Phase.FAILED),
                 terms=terms, target=1)  # fmt: skip
    assert found == {
        5: "keep: is the pack's newest content",
        4: "keep: is on its way",
        3: "keep: is in use",
        2: "keep: is pinned by retention.pinned",
        1: "keep: is what a roll-back leads to",
    }


def test_while_tests_run_everything_of_the_pack_stays() -> None:
    """Which revision is being tested is not asked: what is not removed now is removed an hour later."""
    assert all(one.startswith("keep") for one in said(aged(1), aged(2), aged(3), aged(4), busy=True).values())


def test_refused_content_has_its_own_time() -> None:
    """It stays for `failed_hours`, so that it can be looked at."""
    found = said(aged(1, Phase.REJECTED, days=0.5), aged(2, Phase.ROLLED_BACK, days=2), aged(3, Phase.ACTIVE))
    assert found[1] == "keep: was refused less than 24 h ago"
    assert found[2].startswith("remove")


def test_shared_content_stays() -> None:
    """One content of several revisions goes only when none of them keeps it, and only if it is there."""
    decisions = decide([aged(1, digest="same"), aged(2), aged(3), aged(4, Phase.ACTIVE, digest="same")],
                       targets={}, busy=(), terms=Terms(revisions=1, failed_hours=0), now_s=NOW_S)  # fmt: skip
    assert removable(decisions, {"same", "d2"}) == ("d2",)


@given(
    st.lists(st.tuples(st.sampled_from(list(Phase)), st.floats(0, 100)), max_size=12),
    st.integers(1, 5),
    st.floats(0, 2000),
)
def test_nothing_needed_is_ever_removed(kinds: list[tuple[Phase, float]], most: int, hours: float) -> None:
    """Whatever the policy: what is in use or on its way stays, the newest stays, and every decision has a reason."""
    revisions = [aged(number, phase, days=days) for number, (phase, days) in enumerate(kinds, 1)]
    terms = Terms(revisions=most, failed_hours=hours)
    decisions = decide(revisions, targets={}, busy=(), terms=terms, now_s=NOW_S)
    assert len(decisions) == len(revisions)
    kept = {one.number for one in decisions if one.keep}
    needed = {one.number for one in revisions if one.phase in UNFINISHED or one.phase == Phase.ACTIVE}
    assert needed | ({len(kinds)} if kinds else set()) <= kept
    assert all(one.why for one in decisions)
    usable = [one for one in revisions if one.phase not in REFUSED]
    assert {one.number for one in usable[-most:]} <= kept
    assert set(removable(decisions, [one.digest for one in revisions])).isdisjoint(_digests(decisions, kept))


def _digests(decisions: tuple[Decision, ...], numbers: set[int]) -> set[str]:
    return {one.digest for one in decisions if one.number in numbers}
