"""Rules of comparing reports that hold for every pair of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from packd.domain.comparison import ITSELF, KINDS, compare

cases = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from("abcd"),
            "status": st.sampled_from(("passed", "failed", "error", "skipped")),
            "duration_ms": st.floats(0, 1000),
        }
    ),
    max_size=6,
)
suites = st.fixed_dictionaries(
    {
        "name": st.sampled_from("st"),
        "status": st.sampled_from(("passed", "failed", "timed_out", "error")),
        "reason": st.none(),
        "duration_ms": st.floats(0, 1000),
        "test_cases": cases,
    }
)
reports = st.fixed_dictionaries({"test_suites": st.lists(suites, max_size=2, unique_by=lambda suite: suite["name"])})


def names(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(suite["name"], case["name"]) for suite in report["test_suites"] for case in suite["test_cases"]}


@given(reports, reports)
def test_every_case_is_accounted_for_once(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The kinds are disjoint, and with what is unchanged they are all cases of both."""
    said = compare(before, after)
    told = [(one.suite, one.name) for kind in KINDS for one in getattr(said, kind)]
    assert len(told) == len(set(told))
    suites = {suite["name"] for report in (before, after) for suite in report["test_suites"]}
    cases = names(before) | names(after)
    assert len(cases) <= len(told) + said.unchanged <= len(cases) + len(suites)
    assert {key for key in told if key[1] != ITSELF} <= cases


@given(reports)
def test_a_report_is_not_worse_than_itself(report: dict[str, Any]) -> None:
    """Compared with itself there is only what still fails."""
    said = compare(report, report)
    assert not said.worse
    assert all(not getattr(said, kind) for kind in KINDS if kind != "still_failing")


@given(reports, reports)
def test_fixed_and_newly_failing_mirror_each_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What is fixed one way is newly failing the other way, unless it was skipped."""
    there, back = compare(before, after), compare(after, before)
    fixed = {(one.suite, one.name) for one in there.fixed}
    assert fixed == {(one.suite, one.name) for one in back.newly_failing if one.before == "passed"}
