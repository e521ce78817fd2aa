"""Nothing that a report can contain crashes a parser, makes it slow, or makes it say something that does not add up."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packd.testrun.parsers.case_stream import CaseStream
from packd.testrun.parsers.console import recognise
from packd.testrun.parsers.json_report import parse_json
from packd.testrun.parsers.junit import parse_junit
from packd.testrun.parsers.simple import parse_simple
from packd.testrun.parsers.tap import parse_tap
from packd.testrun.parsers.text import MESSAGE_LIMIT, NAME_LIMIT, OUTPUT_LIMIT, decoded, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.testrun.parsers.tally import Tally

WORDS = st.sampled_from(
    [
        "ok", "not ok", "ok 1", "ok 7", "1..2", "1..0", "# SKIP", "# TODO x", " - ", "Bail out!", "    ", "  ---", "  ...", "\n", " ", "TAP version 14",
        "Total Tests: 3", "Passed: ", "Failed: ", "Skipped: 1", "Errors: 1", "/", ",", "0", "1", "2", "36 passed", "in 1.2s", "=====", "Ran 3 tests in 0.1s\n\n",
        "OK", "FAILED (failures=1)", "test_a (m.T) ... ", "a.py::test_b PASSED", "[PASS] a", "✗ b", "\x1b[31m", "\x00", "é", "\u2028", "\r",
        "duration_ms: 1", "99999999999999999999", "-1", "#", "\\#",
    ]
)  # fmt: skip
TEXTS = st.lists(WORDS | st.text(max_size=5), max_size=40).map("".join)
XML = st.lists(
    st.sampled_from(
        [
            "<testsuite>", "</testsuite>", "<testsuites>", "</testsuites>", '<testsuite tests="1" failures="1">', '<testcase name="a" time="1">',
            '<testcase name="&#x41;"/>', "</testcase>", '<failure message="m">', "</failure>", "<error/>", "<skipped/>", "<testsuite failures='2' errors='1.5'>", '<testcase name="c" result="error"/>', "text", "&amp;", "&bogus;",
            "<!DOCTYPE x>", "<!--", "-->", "<![CDATA[", "]]>", "<?xml version='1.0'?>", "\x00", '<testcase name="b" status="notrun"/>',
        ]
    ),
    max_size=25,
).map("".join)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["passed", "failed", "skipped", "error"])
)
KEYS = st.sampled_from(
    [
        "total",
        "passed",
        "failed",
        "skipped",
        "tests",
        "test_cases",
        "test_suites",
        "name",
        "status",
        "outcome",
        "duration",
        "stdout",
        "error_message",
        "errors",
        "success",
        "summary",
    ]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=25
)


def sound(tally: Tally | None) -> None:
    """Counts that add up (or trouble), cases within the limits, all of it storable."""
    if tally is None:
        return
    assert min(tally.total, tally.passed, tally.failed, tally.skipped) >= 0
    assert tally.trouble or tally.passed + tally.failed + tally.skipped == tally.total
    assert len(tally.cases) <= tally.total
    for case in tally.cases:
        assert 0 < len(case.name) <= NAME_LIMIT
        assert "\n" not in case.name
        assert len(case.error_message or "") <= MESSAGE_LIMIT
        assert len(case.stdout or "") <= OUTPUT_LIMIT
        for text in (case.name, case.error_message or "", case.stdout or "", case.stderr or ""):
            assert "\x00" not in text
            assert "\x1b" not in text
            text.encode()
    json.dumps([case.duration_ms for case in tally.cases], allow_nan=False)
    (tally.trouble or "").encode()


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_text_parsers_are_sound(text: str) -> None:
    """Simple, TAP, JSON, and whatever is recognised."""
    cleaned = plain(text)
    for parse in (parse_simple, recognise, parse_tap, parse_json):
        sound(parse(cleaned))


@settings(max_examples=150, deadline=None)
@given(XML.map(str.encode) | st.binary(max_size=200))
def test_the_junit_parser_is_sound(data: bytes) -> None:
    """Pieces of XML in any order, and bytes that are none."""
    sound(parse_junit(data))


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_the_json_parser_is_sound(document: object) -> None:
    """Known keys with values of every kind."""
    sound(parse_json(json.dumps(document)))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | VALUES.map(lambda value: json.dumps({"case": value, "start": value}).encode() + b"\n"),
        max_size=8,
    )
)
def test_the_stream_of_cases_is_sound(pieces: list[bytes]) -> None:
    """A pack may find the pipe and write to it."""
    stream = CaseStream()
    for piece in pieces:
        stream.feed(piece)
    sound(stream.interrupted("interrupted"))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_cleaning_is_final(data: bytes) -> None:
    """What was cleaned needs no more cleaning, and can be encoded."""
    text = decoded(data)
    text.encode()
    assert plain(text) == text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(alphabet="abc xyz", min_size=1, max_size=8), st.sampled_from(["ok", "not ok"])),
        min_size=1,
        max_size=12,
    )
)
def test_tap_round_trip(points: list[tuple[str, str]]) -> None:
    """What is written by the book is read as it was meant."""
    text = "\n".join(
        [f"1..{len(points)}", *(f"{word} {number} - {name}" for number, (name, word) in enumerate(points, 1))]
    )
    tally = parse_tap(text)
    assert tally.trouble is None
    assert [case.status for case in tally.cases] == ["passed" if word == "ok" else "failed" for _, word in points]


@pytest.mark.parametrize(
    "parse", [parse_simple, recognise, parse_tap, parse_json, plain], ids=lambda parse: parse.__name__
)
@pytest.mark.parametrize(
    "unit",
    ["a", " ", "\n", "=", "=" * 50 + "\n", "Total: 1 ", "Total: 1\n", "Errors: 1\n", "Passed: 1, Errors: 1\n", "ok 1 - a\n", "    " * 30 + "ok 1\n", "a.py::", "a.py::b ", "1 passed, ", "test_a (m.T) ... ", "test_a (m.T)\n",
     "\x1b[", "\x1b]", "\x1b]a", "{", '{"a":\n', "[PASS] ", "| ", "1..1\n", "ok 1\n  ---\n", "a (b)\nc ", "Ran 1 test in 1s\n\n", "gw0 ", "[gw0] [ 5%] PASSED a::b"],
)  # fmt: skip
def test_no_input_is_slow(parse: Callable[[str], object], unit: str) -> None:
    """An eighth of a mebibyte of anything repeated is read in a bearable time (quadratic behaviour would take minutes)."""
    text = unit * (131_072 // len(unit))
    began = time.process_time()
    parse(text)
    assert time.process_time() - began < 5.0
