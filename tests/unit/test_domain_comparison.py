"""Comparing two reports, and finding the cases that can't make up their mind."""

from __future__ import annotations

from typing import Any

import pytest

from packd.domain.comparison import ITSELF, KINDS, compare, flaky


def report(*cases: tuple[str, str] | tuple[str, str, float], **suite: Any) -> dict[str, Any]:
    """One suite `s` with (name, status[, ms]) cases."""
    made = [
        {"name": case[0], "status": case[1], "duration_ms": case[2] if len(case) == 3 else 1.0, "error_message": "why"}
        for case in cases
    ]
    bad = any(case[1] in ("failed", "error") for case in cases)
    usual = {"name": "s", "status": "failed" if bad else "passed", "reason": None, "duration_ms": 5.0}
    return {"reason": None, "test_suites": [usual | {"test_cases": made} | suite]}


def kinds_of(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    said = compare(before, after).to_dict()
    return {kind: [change["name"] for change in said[kind]] for kind in KINDS if said[kind]}


@pytest.mark.parametrize(
    ("was", "is_now", "kind"),
    [
        ("passed", "failed", "newly_failing"),
        ("passed", "error", "newly_failing"),
        ("skipped", "failed", "newly_failing"),
        ("failed", "passed", "fixed"),
        ("error", "passed", "fixed"),
        ("failed", "error", "still_failing"),
        ("failed", "failed", "still_failing"),
        ("passed", "skipped", "newly_skipped"),
        ("failed", "skipped", "newly_skipped"),
        ("passed", "passed", None),
        ("skipped", "passed", None),
        ("skipped", "skipped", None),
    ],
)
def test_each_pair_of_outcomes_has_its_kind(was: str, is_now: str, kind: str | None) -> None:
    """The whole table of outcomes; what changed nothing is only counted."""
    found = kinds_of(report(("a", was)), report(("a", is_now)))
    assert found == ({kind: ["a"]} if kind else {})
    assert compare(report(("a", was)), report(("a", is_now))).unchanged == (kind is None)


def test_what_is_on_one_side_only() -> None:
    """A new case is added whatever its outcome, one that is gone is removed."""
    before, after = report(("a", "passed"), ("gone", "failed")), report(("a", "passed"), ("new", "failed"))
    assert kinds_of(before, after) == {"added": ["new"], "removed": ["gone"]}


def test_the_same_name_in_another_suite_is_another_case() -> None:
    """Cases are known by suite and name."""
    assert kinds_of(report(("a", "passed")), report(("a", "passed"), name="t")) == {"added": ["a"], "removed": ["a"]}


@pytest.mark.parametrize(
    ("was_ms", "is_ms", "slower"),
    [(100, 201, True), (100, 200, False), (1, 5, False), (4, 13, False), (0, 10, True), (0, 9, False)],
)
def test_slower_is_more_than_twice_and_more_than_noise(was_ms: float, is_ms: float, slower: bool) -> None:
    """More than twice as long, and by 10 ms at least: a machine's noise is not the pack's doing."""
    found = kinds_of(report(("a", "passed", was_ms)), report(("a", "passed", is_ms)))
    assert found == ({"slower": ["a"]} if slower else {})


@pytest.mark.parametrize("was", ["skipped", "failed"])
def test_slower_is_said_only_of_what_passed_before(was: str) -> None:
    """How long it took to be skipped, or to fail, is no measure."""
    assert "slower" not in kinds_of(report(("a", was, 0)), report(("a", "passed", 1000)))


def test_a_suite_that_broke_off_removed_nothing() -> None:
    """What had no turn in a suite that timed out fails with it, and is fixed when it passes again."""
    whole = report(("a", "passed"), ("b", "passed"), ("c", "failed"))
    broken = report(("a", "passed"), status="timed_out", reason="timeout")
    assert kinds_of(whole, broken) == {"newly_failing": [ITSELF, "b"], "still_failing": ["c"]}
    assert kinds_of(broken, whole) == {"still_failing": ["c"], "fixed": [ITSELF, "b"]}
    assert compare(whole, broken).newly_failing[1].after == "not_run"


def test_a_suite_without_cases_stands_for_itself() -> None:
    """A script that only counts, and then leaves with 1, has become worse; its time is compared, too."""
    good = report(duration_ms=100.0)
    bad = report(status="failed", reason="crash", detail="it ended with exit status 1")
    assert kinds_of(good, bad) == {"newly_failing": [ITSELF]}
    assert compare(good, bad).newly_failing[0].message == "it ended with exit status 1"
    assert kinds_of(bad, good) == {"fixed": [ITSELF]}
    assert kinds_of(good, report(duration_ms=300.0)) == {"slower": [ITSELF]}
    assert compare(good, good).unchanged == 1
    assert [one.name for one in flaky([good, bad])] == [ITSELF]


def test_a_suite_whose_cases_tell_says_nothing_itself() -> None:
    """One failing case is one change, not two."""
    assert kinds_of(report(("a", "passed")), report(("a", "failed"))) == {"newly_failing": ["a"]}
    crashed = report(("a", "passed"), status="error", reason="crash")
    assert kinds_of(report(("a", "passed")), crashed) == {"newly_failing": [ITSELF]}


def test_the_worst_of_one_name_stands_for_all() -> None:
    """Parametrised cases that all have one name fail when one of them does."""
    good = report(("a", "passed"), ("a", "passed"))
    for mixed in (report(("a", "failed"), ("a", "passed")), report(("a", "passed"), ("a", "failed"))):
        assert kinds_of(good, mixed) == {"newly_failing": ["a"]}


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (report(("a", "passed")), report(("a", "failed")), True),
        (report(("a", "failed")), report(("a", "failed")), False),
        (report(("b", "passed")), report(("b", "passed"), ("a", "failed")), True),
        (report(("b", "passed")), report(("b", "passed"), ("a", "passed")), False),
        (report(("a", "passed"), ("b", "passed")), report(("b", "passed")), False),
    ],
)
def test_worse_means_that_something_fails_which_did_not(
    before: dict[str, Any], after: dict[str, Any], worse: bool
) -> None:
    """A failing case that is new counts, one that failed before doesn't."""
    assert compare(before, after).worse is worse


def test_why_it_fails_now_is_told() -> None:
    """A change to failing carries the newer message; nothing else does."""
    (change,) = compare(report(("a", "passed")), report(("a", "failed"))).newly_failing
    assert change.message == "why"
    (change,) = compare(report(("a", "failed")), report(("a", "passed"))).fixed
    assert change.message is None


def test_flaky_is_passed_here_and_failed_there() -> None:
    """On the same content; skipping is no outcome, and always failing is not flaky."""
    found = flaky([
        report(("a", "passed"), ("b", "failed"), ("c", "passed"), ("d", "passed")),
        report(("a", "error"), ("b", "failed"), ("c", "skipped"), ("d", "passed")),
        report(("a", "passed"), ("b", "failed"), ("c", "passed"), ("d", "passed")),
    ])  # fmt: skip
    assert [one.to_dict() for one in found] == [{"suite": "s", "name": "a", "passed": 2, "failed": 1}]


def test_a_stopped_run_makes_nothing_flaky() -> None:
    """What was killed half-way says nothing about the case."""
    stopped = report(("a", "error")) | {"reason": "cancelled"}
    assert flaky([report(("a", "passed")), stopped]) == ()
