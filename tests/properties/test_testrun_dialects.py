"""What a report says in any dialect is what is read: written by the book here, with every ornament that writers use."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packd.testrun.parsers.console import recognise
from packd.testrun.parsers.json_report import parse_json
from packd.testrun.parsers.junit import parse_junit
from packd.testrun.parsers.simple import parse_simple
from packd.testrun.parsers.tap import parse_tap

if TYPE_CHECKING:
    from packd.testrun.parsers.tally import Tally

NAMES = st.text(alphabet="abcxyz", min_size=1, max_size=8)
PROSE = st.text(
    alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc")), max_size=30
)
STATUSES = st.sampled_from(["passed", "failed", "error", "skipped"])
CASES = st.lists(st.tuples(NAMES, STATUSES, PROSE), min_size=1, max_size=8)


def statuses(tally: Tally) -> list[str]:
    assert tally.trouble is None, tally.trouble
    return [case.status for case in tally.cases]


def counted(found: list[str]) -> tuple[int, int, int]:
    """(passed, failed, skipped)."""
    return found.count("passed"), found.count("failed") + found.count("error"), found.count("skipped")


# --- JUnit XML -------------------------------------------------------------------------------------------------------


@st.composite
def junit_cases(draw: st.DrawFn, cases: list[tuple[str, str, str]]) -> str:
    """As Ant, surefire, pytest, Jest, Go and .NET write them: attributes or text, CDATA or not, output or none."""
    written = []
    for name, status, prose in cases:
        time = draw(st.sampled_from(["", ' time="0.1"', ' time="1,234.5"', ' time=""']))
        place = draw(st.sampled_from(["", ' classname="a.B"', ' classname="a.B" file="a.py" line="3"']))
        text = draw(st.sampled_from([escape(prose), f"<![CDATA[{prose.replace(']]>', '')}]]>", ""]))
        message = draw(st.sampled_from(["", f" message={quoteattr(prose)}"]))
        inner = {
            "passed": "",
            "failed": f"<failure{message} type='E'>{text}</failure>",
            "error": f"<error{message}>{text}</error>",
            "skipped": draw(st.sampled_from(["<skipped/>", f"<skipped{message}>{text}</skipped>"])),
        }[status]
        more = draw(
            st.sampled_from(
                ["", f"<system-out>{text}</system-out>", "<properties><property name='a' value='b'/></properties>"]
            )
        )
        written.append(f"<testcase name={quoteattr(name)}{place}{time}>{inner}{more}</testcase>")
    return "".join(written)


@settings(max_examples=120, deadline=None)
@given(st.data(), CASES, CASES)
def test_junit_dialects(
    data: st.DataObject, outer: list[tuple[str, str, str]], inner: list[tuple[str, str, str]]
) -> None:
    """Bare, wrapped or nested suites; with counts or without, with a namespace or a byte-order mark: the same cases."""
    first, second = data.draw(junit_cases(outer)), data.draw(junit_cases(inner))
    nested = data.draw(st.booleans())
    counts = ""
    if data.draw(st.booleans()):
        everything = [*outer, *inner] if nested else outer
        found = [status for _, status, _ in everything]
        counts = (
            f' tests="{len(found)}" failures="{found.count("failed")}" errors="{found.count("error")}"'
            f' skipped="{found.count("skipped")}"'
        )
    within = f"<testsuite name='inner'>{second}</testsuite>" if nested else ""
    suite = f"<testsuite name='outer'{counts}><properties/>{first}{within}<system-err>x</system-err></testsuite>"
    beside = "" if nested else f"<testsuite>{second}</testsuite>"
    text = f"<testsuites>{suite}{beside}</testsuites>"
    head = data.draw(st.sampled_from(["", '<?xml version="1.0" encoding="UTF-8"?>\n', "\ufeff"]))
    expected = [status for _, status, _ in (*outer, *inner)]
    assert sorted(statuses(parse_junit((head + text).encode()))) == sorted(expected)


@settings(max_examples=120, deadline=None)
@given(st.data(), st.lists(CASES, min_size=1, max_size=4), st.booleans())
def test_a_junit_count_that_is_not_borne_out(
    data: st.DataObject, groups: list[list[tuple[str, str, str]]], nested: bool
) -> None:
    """True at every level, it is believed; raised at any one level, whatever the others make of it, it never is."""
    everything = [case for group in groups for case in group]
    raised = data.draw(st.integers(min_value=-1, max_value=len(groups)))
    word = data.draw(st.sampled_from(["tests", "failures", "errors"]))

    def counts(cases: list[tuple[str, str, str]], level: int) -> str:
        found = [status for _, status, _ in cases]
        claimed = {"tests": len(found), "failures": found.count("failed"), "errors": found.count("error")}
        claimed[word] += level == raised
        return "".join(f' {key}="{count}"' for key, count in claimed.items())

    text = ""
    for level, group in enumerate(groups):
        inner = data.draw(junit_cases(group))
        if nested:
            so_far = [case for cases in groups[: level + 1] for case in cases]
            text = f"<testsuite name='s{level}'{counts(so_far, level)}>{text}{inner}</testsuite>"
        else:
            text += f"<testsuite name='s{level}'{counts(group, level)}>{inner}</testsuite>"
    tally = parse_junit(f"<testsuites{counts(everything, len(groups))}>{text}</testsuites>".encode())
    assert tally.total == len(everything)
    assert bool(tally.trouble) is (raised >= 0)


# --- TAP -------------------------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(
    CASES,
    st.sampled_from(["", "TAP version 12\n", "TAP version 13\n", "TAP version 14\n"]),
    st.booleans(),
    st.booleans(),
)
def test_tap_versions(cases: list[tuple[str, str, str]], version: str, plan_first: bool, blocks: bool) -> None:
    """Plan first or last, skip and todo, diagnostics and blocks: the same points."""
    lines, expected = [], []
    for number, (name, status, prose) in enumerate(cases, start=1):
        failed = "not " if status in ("failed", "error") else ""
        todo = status == "error"
        directive = " # SKIP not here" if status == "skipped" else " # TODO later" if todo else ""
        lines.append(f"{failed}ok {number} - {name}{directive}")
        if blocks and version[-3:-1] in ("13", "14"):
            lines += ["  ---", f"  message: {prose.strip()!r}", "  ..."]
        else:
            lines.append(f"# {prose.strip()}")
        expected.append("skipped" if directive else "failed" if failed else "passed")
    plan = f"1..{len(cases)}"
    text = version + "\n".join([plan, *lines] if plan_first else [*lines, plan]) + "\n"
    assert statuses(parse_tap(text)) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(CASES, min_size=1, max_size=4))
def test_tap_subtests(groups: list[list[tuple[str, str, str]]]) -> None:
    """A point that sums up sub-tests is not counted beside them; their names say whose they are."""
    lines, expected = ["TAP version 14"], []
    for number, cases in enumerate(groups, start=1):
        bad = False
        for inner, (name, status, _) in enumerate(cases, start=1):
            failed = status in ("failed", "error")
            bad = bad or failed
            lines.append(
                f"    {'not ' if failed else ''}ok {inner} - {name}{' # SKIP x' if status == 'skipped' else ''}"
            )
            expected.append("failed" if failed else "skipped" if status == "skipped" else "passed")
        lines += [f"    1..{len(cases)}", f"{'not ' if bad else ''}ok {number} - group {number}"]
    tally = parse_tap("\n".join([*lines, f"1..{len(groups)}"]))
    assert statuses(tally) == expected
    assert all(case.name.startswith("group ") for case in tally.cases)


@settings(max_examples=60, deadline=None)
@given(CASES, st.integers(min_value=1, max_value=5))
def test_a_tap_plan_that_is_not_kept(cases: list[tuple[str, str, str]], missing: int) -> None:
    """Fewer points than promised is trouble, never a pass."""
    lines = [f"ok {number} - {name}" for number, (name, _, _) in enumerate(cases, start=1)]
    assert parse_tap("\n".join([f"1..{len(cases) + missing}", *lines])).trouble


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(min_value=2, max_value=12))
def test_tap_numbers(data: st.DataObject, points: int) -> None:
    """In any order, some of them left out: fine. One that is there twice, or is not in the plan, is trouble."""
    numbers = data.draw(st.permutations(range(1, points + 1)))
    shown = [data.draw(st.sampled_from([f"ok {number} - a", "ok - a"])) for number in numbers]
    assert parse_tap("\n".join([f"1..{points}", *shown])).trouble is None
    wrong = data.draw(st.sampled_from([numbers[1], 0, points + 1, 10**12]))
    shown[:2] = [f"ok {wrong} - a", f"ok {numbers[1]} - b"]
    assert parse_tap("\n".join([f"1..{points}", *shown])).trouble


@settings(max_examples=60, deadline=None)
@given(CASES, PROSE)
def test_tap_that_bails_out(cases: list[tuple[str, str, str]], prose: str) -> None:
    """Bailing out fails the suite, whatever was well before and whatever follows."""
    lines = [f"ok {number} - {name}" for number, (name, _, _) in enumerate(cases, start=1)]
    tally = parse_tap("\n".join([f"1..{len(cases)}", *lines, f"Bail out! {prose}", "ok 99 - later"]))
    assert tally.failed == 1
    assert tally.total == len(cases) + 1


# --- JSON and simple -------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(CASES, st.booleans(), st.sampled_from(["tests", "test_cases", "cases"]))
def test_json_reports(cases: list[tuple[str, str, str]], totals: bool, key: str) -> None:
    """With counts or without them, under any of the names that writers give the list."""
    document: dict[str, object] = {
        key: [{"name": name, "status": status, "message": prose} for name, status, prose in cases]
    }
    expected = [status for _, status, _ in cases]
    if totals:
        passed, failed, skipped = counted(expected)
        document |= {"total": len(cases), "passed": passed, "failed": failed, "skipped": skipped}
    assert counted(statuses(parse_json(json.dumps(document)))) == counted(expected)


@settings(max_examples=80, deadline=None)
@given(
    CASES,
    st.booleans(),
    st.sampled_from([{"errors": 100}, {"failed": 100}, {"status": "failed"}, {"status": "error"}, {"success": False}]),
)
def test_json_that_speaks_of_failures(cases: list[tuple[str, str, str]], whole: bool, word: dict[str, object]) -> None:
    """Of the whole or of one suite: it never passes, whatever is listed."""
    tests = [{"name": name, "status": status} for name, status, _ in cases]
    suite: dict[str, object] = {"name": "s", "tests": tests}
    document = {"suites": [suite]} | word if whole else {"suites": [suite | word]}
    tally = parse_json(json.dumps(document))
    assert tally.trouble or tally.failed


COUNT = st.integers(min_value=0, max_value=5000)


@settings(max_examples=80, deadline=None)
@given(
    passed=COUNT,
    failed=COUNT,
    skipped=COUNT,
    errors=st.none() | COUNT,
    separator=st.sampled_from(["\n", " / ", ", ", " | "]),
    colour=st.booleans(),
)
def test_simple_summaries(
    passed: int, failed: int, skipped: int, errors: int | None, separator: str, colour: bool
) -> None:
    """In one line or several, errors beside failures; the last summary counts, not one that came before it."""
    from packd.testrun.parsers.text import plain

    def summary(good: int, bad: int, left: int, broken: int | None = None) -> str:
        total = good + bad + left + (broken or 0)
        parts = [f"Total Tests: {total}", f"Passed: {good}", f"Failed: {bad}", f"Skipped: {left}"]
        parts += [] if broken is None else [f"Errors: {broken}"]
        return separator.join(f"\x1b[32m{part}\x1b[0m" if colour else part for part in parts)

    text = plain(f"{summary(1, 2, 3)}\n\nand again:\n{summary(passed, failed, skipped, errors)}\n")
    for parse in (parse_simple, recognise):
        tally = parse(text)
        assert tally is not None
        assert (tally.passed, tally.failed, tally.skipped) == (passed, failed + (errors or 0), skipped)


# --- guided by coverage ----------------------------------------------------------------------------------------------


def test_nothing_crashes_guided_by_coverage(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where atheris is installed it looks for inputs that Hypothesis would not think of, for some seconds."""
    pytest.importorskip("atheris", reason="NO ATHERIS: `pip install atheris` to fuzz the parsers guided by coverage")
    import subprocess

    corpus = tmp_path_factory.mktemp("corpus")
    (corpus / "junit").write_text("<testsuite tests='1'><testcase name='a'><failure>x</failure></testcase></testsuite>")
    (corpus / "tap").write_text(
        "TAP version 14\n1..2\nok 1 - a\n    ok 1\n    1..1\nnot ok 2 - b # TODO x\n  ---\n  a: b\n  ...\n"
    )
    (corpus / "json").write_text('{"total": 1, "tests": [{"name": "a", "status": "passed"}]}')
    (corpus / "simple").write_text("Total Tests: 36 / Passed: 36 / Failed: 0\n")
    ran = subprocess.run(
        [sys.executable, "-c", _FUZZ, str(corpus), "-max_total_time=10", "-max_len=4096", "-timeout=5"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]


_FUZZ = """
import atheris, sys
with atheris.instrument_imports(include=["packd.testrun.parsers"]):
    from packd.testrun.parsers.case_stream import CaseStream
    from packd.testrun.parsers.console import recognise
    from packd.testrun.parsers.json_report import parse_json
    from packd.testrun.parsers.junit import parse_junit
    from packd.testrun.parsers.simple import parse_simple
    from packd.testrun.parsers.tap import parse_tap
    from packd.testrun.parsers.text import decoded

def one(data):
    text = decoded(data)
    parse_junit(data)
    CaseStream().feed(data)
    for parse in (parse_json, parse_tap, parse_simple, recognise):
        parse(text)

atheris.Setup(sys.argv, one)
atheris.Fuzz()
"""
