"""What the parsers make of reports as they are found in the wild."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from packd.testrun.parsers.case_stream import CaseStream
from packd.testrun.parsers.console import recognise
from packd.testrun.parsers.json_report import parse_json
from packd.testrun.parsers.junit import parse_junit
from packd.testrun.parsers.simple import parse_simple
from packd.testrun.parsers.tally import CASE_LIMIT, DETAIL_LIMIT, Tally, tally_of
from packd.testrun.parsers.tap import is_tap, parse_tap
from packd.testrun.parsers.text import plain
from packd.testrun.results import parse

if TYPE_CHECKING:
    from packd.domain.manifest import ResultFormat

Counts = tuple[int, int, int, int]


def counts(tally: Tally | None) -> Counts | None:
    return (tally.total, tally.passed, tally.failed, tally.skipped) if tally else None


def ended(tally: Tally) -> dict[str, str]:
    return {case.name: case.status for case in tally.cases}


# --- simple ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Total Tests: 36\nPassed: 36\nFailed: 0\n", (36, 36, 0, 0)),
        ("Total Tests: 36 / Passed: 34 / Failed: 2", (36, 34, 2, 0)),
        ("Total: 3, Passed: 1, Failed: 1, Skipped: 1", (3, 1, 1, 1)),
        ("Tests run: 4 | Passed: 4", (4, 4, 0, 0)),
        ("total=3 passed=2 failed=1", (3, 2, 1, 0)),
        ("Total: 3 Passed: 2 Failed: 1", (3, 2, 1, 0)),
        ("Passed: 3\nFailed: 1\n", (4, 3, 1, 0)),
        ("  * Total Tests:   12\n  * Passed:        12\n", (12, 12, 0, 0)),
        ("║ Total Tests: 5 ║\n║ Passed: 5 ║\n", (5, 5, 0, 0)),
        ("Passed: 1\nFailed: 9\n...\nTotal Tests: 2\nPassed: 2\nFailed: 0\n", (2, 2, 0, 0)),
        ("Passed: 36 (100%)\nFailed: 0 (0%)", (36, 36, 0, 0)),
        ("Passed: 3, Failed: 0, Errors: 2", (5, 3, 2, 0)),
        ("Errors: 2, Passed: 3, Failed: 0", (5, 3, 2, 0)),
        ("Total Tests: 5\nPassed: 3\nFailed: 0\n\nErrors: 2\n", (5, 3, 2, 0)),
        ("Total: 5, Passed: 3, Failed: 2, Errors: 2", (5, 3, 2, 0)),
        ("Total: 5, Passed: 3, Errors: 1", (5, 3, 2, 0)),
        ("Total: 3, Passed: 3, Failed: 0, Errors: 0", (3, 3, 0, 0)),
        ("[INFO] Tests run: 9, Failures: 0, Errors: 0, Skipped: 1, Time elapsed: 0.1 s -- in a.BTest", (9, 8, 0, 1)),
        ("[ERROR] Tests run: 9, Failures: 1, Errors: 2, Skipped: 1", (9, 5, 3, 1)),
        ("Tests: 5, Assertions: 9, Errors: 1.", (5, 4, 1, 0)),
        ("Tests: 5, Assertions: 9, Failures: 1, Skipped: 1.", (5, 3, 1, 1)),
        ("Errors: 2\nlint ends\nTotal Tests: 2\nPassed: 2\nFailed: 0\n", (2, 2, 0, 0)),
        ("Passed: 2\nFailed: 0\nsee the log:\nparsing\nparsed\nErrors: 2\n", (2, 2, 0, 0)),
    ],
)
def test_a_printed_summary_is_found(text: str, expected: Counts) -> None:
    """One line or several, any separator; of several summaries the last one."""
    tally = parse_simple(text)
    assert counts(tally) == expected
    assert tally is not None
    assert tally.trouble is None


def test_colours_do_not_hide_a_summary() -> None:
    """Terminal sequences are not part of the text."""
    assert counts(
        parse_simple(plain("\x1b[1mTotal Tests:\x1b[0m \x1b[33m36\x1b[0m\r\n\x1b[32mPassed: 36\x1b[0m\n"))
    ) == (36, 36, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "login failed: 3 times\n",
        "Total: 3\n",
        "Passed: yes, Failed: no",
        "Passed: 1.5\nFailed: 2.5",
        "Tests:  2 failed, 34 passed, 36 total",
        "Failed: 3",
    ],
)
def test_what_is_no_summary_is_not_taken_for_one(text: str) -> None:
    """One number, or a number in the middle of a sentence, is not enough."""
    assert parse_simple(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Total: 5, Passed: 3, Failed: 0",
        "Total: 5, Passed: 6",
        "Total: 99999999, Passed: 99999999",
        "Total: 3, Passed: 3, Failed: 0, Errors: 2",
        "Total: 4, Passed: 3, Failed: 0, Errors: 2",
    ],
)
def test_a_summary_that_can_not_be_is_trouble(text: str) -> None:
    """Counts that do not add up, or are absurd."""
    tally = parse_simple(text)
    assert tally is not None
    assert tally.trouble is not None


def test_named_lines_are_cases_if_they_are_the_ones_counted() -> None:
    """Names are believed only where their numbers agree with the summary."""
    lines = "[PASS] makes a file\n  ✗ removes a file\nSKIP: no network\n"
    summary = "Total: 3, Passed: 1, Failed: 1, Skipped: 1\n"
    tally = parse_simple(lines + summary)
    assert tally is not None
    assert ended(tally) == {"makes a file": "passed", "removes a file": "failed", "no network": "skipped"}
    other = parse_simple("[PASS] another\n" + lines + summary)
    assert other is not None
    assert other.cases == ()


# --- console ---------------------------------------------------------------------------------------------------------

UNITTEST_311 = """\
test_a (tests.test_x.T.test_a)
Says what it does. ... ok
test_b (tests.test_x.T.test_b) ... skipped 'why not'
test_c (tests.test_x.T.test_c) ... FAIL
test_d (tests.test_x.T.test_d) ... expected failure

======================================================================
FAIL: test_c (tests.test_x.T.test_c)
----------------------------------------------------------------------
Ran 4 tests in 0.001s

FAILED (failures=1, skipped=1, expected failures=1)
"""
PYTEST_V = """\
============================= test session starts ==============================
collected 3 items

tests/test_a.py::test_x PASSED                                           [ 33%]
tests/test_a.py::TestB::test_y[a b] FAILED                               [ 66%]
tests/test_a.py::test_z SKIPPED (no network)                             [100%]

=================================== FAILURES ===================================
=========================== short test summary info ============================
FAILED tests/test_a.py::TestB::test_y[a b] - assert 0
=================== 1 failed, 1 passed, 1 skipped in 0.12s ====================
"""


def test_verbose_unittest_is_recognised() -> None:
    """Cases by name; an expected failure neither passed nor failed."""
    tally = recognise(UNITTEST_311)
    assert counts(tally) == (4, 1, 1, 2)
    assert tally is not None
    assert ended(tally) == {
        "tests.test_x.T.test_a": "passed",
        "tests.test_x.T.test_b": "skipped",
        "tests.test_x.T.test_c": "failed",
        "tests.test_x.T.test_d": "skipped",
    }


def test_verbose_unittest_of_older_pythons_is_recognised() -> None:
    """Before Python 3.11 the place in brackets did not end in the method."""
    tally = recognise("test_a (tests.test_x.T) ... ok\n\n------\nRan 1 test in 0.000s\n\nOK\n")
    assert tally is not None
    assert ended(tally) == {"tests.test_x.T.test_a": "passed"}


def test_verbose_pytest_is_recognised() -> None:
    """Cases by their node ids."""
    tally = recognise(PYTEST_V)
    assert counts(tally) == (3, 1, 1, 1)
    assert tally is not None
    assert ended(tally) == {
        "tests/test_a.py::test_x": "passed",
        "tests/test_a.py::TestB::test_y[a b]": "failed",
        "tests/test_a.py::test_z": "skipped",
    }


PROVE = """\
t/a.t (Wstat: 256 (exited 1) Tests: 2 Failed: 2)
  Failed tests:  1-2
  Non-zero exit status: 1
t/b.t (Wstat: 768 (exited 3) Tests: 3 Failed: 3)
  Failed tests:  1-3
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("..\nRan 36 tests in 1.234s\n\nOK\n", (36, 36, 0, 0)),
        ("Ran 3 tests in 1.2s\n\nFAILED (failures=1, errors=4)\n", (5, 0, 5, 0)),
        ("Ran 0 tests in 0.000s\n\nNO TESTS RAN\n", (0, 0, 0, 0)),
        ("....\n36 passed, 2 failed in 1.2s\n", (38, 36, 2, 0)),
        ("===== 1 passed, 1 xfailed, 1 xpassed, 2 errors, 3 warnings in 61.20s (0:01:01) =====", (5, 2, 2, 1)),
        ("no tests ran in 0.01s", (0, 0, 0, 0)),
        ("2 passed in 0.1s\nRan 3 tests in 0.1s\n\nOK\n", (5, 5, 0, 0)),
        ("2 passed in 0.1s\nTotal Tests: 1, Passed: 1\n", (1, 1, 0, 0)),
        ("Total Tests: 1, Passed: 1\n2 passed in 0.1s\n", (2, 2, 0, 0)),
        ("1..2\nok 1 - a\nnot ok 2 - b\n", (2, 1, 1, 0)),
        ("1..2\nok 1 - a\nok 2 - b\nnext\n1..1\nnot ok 1 - c\n", (3, 2, 1, 0)),
        ("ok 1 - a\nok 2 - b\n1..2\nok 1 - c\n1..1\n1..1\nok 1 - d\n", (4, 4, 0, 0)),
        ("TAP version 13\n1..1\nok 1\nTAP version 14\n    ok 1\n    1..1\nok 1\n1..1\n", (2, 2, 0, 0)),
        (PROVE + "Files=3, Tests=9,  1 wallclock secs ( 0.02 usr )\nResult: FAIL\n", (9, 4, 5, 0)),
        ("1..2\nok 1 - a\nok 2\nok\nFiles=1, Tests=2,  0 wallclock secs\nResult: PASS\n", (2, 2, 0, 0)),
    ],
)
def test_summaries_of_programs_are_recognised_and_added_up(text: str, expected: Counts) -> None:
    """Each is about one program that the script ran; a summary that the script prints after them is about all."""
    tally = recognise(text)
    assert (counts(tally), tally and tally.trouble) == (expected, None)


@pytest.mark.parametrize("text", ["1..0\n", "1..0 # skip no server\n# nothing\n", "1..0\n\n1..0\n"])
def test_a_plan_of_no_test_has_executed_none(text: str) -> None:
    """Where nothing else is printed: a suite that lost its tests does not pass by its exit status."""
    tally = recognise(text)
    assert tally is not None
    assert (tally.passed, tally.failed, tally.trouble) == (0, 0, None)
    assert recognise(f"all well\n{text}") is None


@pytest.mark.parametrize("text", ["1..2\nok 1\n1..1\nok 1\n", "1..1\nok 1\n1..2\nok 1\nok 1\n", "ok 1\n1..1\nok 1\n"])
def test_each_of_several_plans_is_to_be_kept(text: str) -> None:
    """That there is another does not mend it."""
    tally = recognise(text)
    assert tally is not None
    assert "inconsistent" in (tally.trouble or "")


@pytest.mark.parametrize(
    "text", ["", "hello\n", "everything ok\n", "3 passed the exam in 2 hours\n", "Ran 3 miles in 20 minutes\nOK"]
)
def test_plain_output_is_not_recognised(text: str) -> None:
    """The exit status will have to do."""
    assert recognise(text) is None


# --- TAP -------------------------------------------------------------------------------------------------------------

TAP_14 = """\
TAP version 14
1..4
# Subtest: group
    1..2
    ok 1 - in
      ---
      duration_ms: 1.5
      ...
    not ok 2 - bad
      ---
      message: 'one is not two'
      ...
not ok 1 - group
  ---
  message: '1 subtest failed'
  ...
ok 2 - later # TODO not needed
not ok 3 - soon # TODO
ok 4 - never # SKIP no network
"""


def test_nested_tap_yields_its_leaves() -> None:
    """A point that sums up its sub-tests is not counted beside them; what is to do neither passed nor failed."""
    tally = parse_tap(TAP_14)
    assert tally.trouble is None
    assert ended(tally) == {
        "group > in": "passed",
        "group > bad": "failed",
        "later": "passed",
        "soon": "skipped",
        "never": "skipped",
    }
    by_name = {case.name: case for case in tally.cases}
    assert by_name["group > in"].duration_ms == 1.5
    assert "one is not two" in (by_name["group > bad"].error_message or "")
    assert by_name["never"].error_message == "skip no network"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1..2\nok 1\nok 2\n", (2, 2, 0, 0)),
        ("ok 1 - a\nok 2 - b\n1..2\n", (2, 2, 0, 0)),
        ("ok\nnot ok\n1..2\n", (2, 1, 1, 0)),
        ("1..0 # SKIP no database\n", (1, 0, 0, 1)),
        ("1..1\nok 1 - a \\# b # skip\nnoise\n    more noise\n", (1, 0, 0, 1)),
        ("1..1\n    ok 1 - in\n    ok 2 - too\n    1..2\nnot ok 1 - around\n", (3, 2, 1, 0)),
        ("1..1\nokay then\nok 1\n", (1, 1, 0, 0)),
        ("1..3\nok 2 - side\nok 3 - by\nok 1 - side\n", (3, 3, 0, 0)),
        ("1..3\nok 1 - a\nok - b\nok 3 - c\n", (3, 3, 0, 0)),
        ("1..2\nok 1 removes 3 files in 12ms\nok 2 skips # skip root only\n", (2, 1, 0, 1)),
        ("1..2\n    1..1\n    ok 1\nok 1 - a\n    1..1\n    ok 1\nok 2 - b\n", (2, 2, 0, 0)),
        ("1..1\n    ok 1\n    ok 1\nok 1 - prints what others report\n", (2, 2, 0, 0)),
        ("1..1\n    not ok 1\n    1..1\nnot ok 1 - later # TODO soon\n", (1, 0, 0, 1)),
        ("1..1\n    not ok 1\n    1..1\nok 1 - later # TODO soon\n", (1, 0, 1, 0)),
    ],
)
def test_tap_is_counted(text: str, expected: Counts) -> None:
    """Plans first or last, descriptions or not, noise in between."""
    tally = parse_tap(text)
    assert counts(tally) == expected
    assert tally.trouble is None


@pytest.mark.parametrize(
    "text",
    [
        "1..3\nok 1\nok 2\n",
        "1..1\nok 1\nok 2\n",
        "ok 1\n",
        "1..1\n1..1\nok 1\n",
        "1..1\n    1..3\n    ok 1\nok 1\n",
        "",
    ],
)
def test_a_plan_that_is_not_kept_is_trouble(text: str) -> None:
    """Too few, too many, none, two; at any level."""
    assert parse_tap(text).trouble is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1..2\nok 1\nok 7\n", "test 7 was reported, but its plan is 1..2"),
        ("1..2\nok 0\nok 1\n", "test 0 was reported, but its plan is 1..2"),
        ("1..2\nok 1\nok 99999999999\n", "test 99999999999 was reported, but its plan is 1..2"),
        ("ok 1 - a\nok 1 - b\nok 1 - c\n1..3\n", "test 1 was reported more than once"),
        ("1..1\n    1..2\n    ok 2\n    ok 2\nok 1\n", "test 2 was reported more than once"),
    ],
)
def test_a_number_stands_for_one_test_of_the_plan(text: str, said: str) -> None:
    """As many points as promised, but not the promised ones."""
    assert parse_tap(text).trouble == f"its TAP output is inconsistent: {said}"


@pytest.mark.parametrize("number", ["10000001", "999999999999", "9" * 30])
def test_a_plan_that_can_not_be_is_named(number: str) -> None:
    """It is there, so nobody is told that there is none."""
    text = f"1..{number}\nok 1\n"
    assert is_tap(text)
    assert f"its plan promises {number} tests, which can't be" in (parse_tap(text).trouble or "")


def test_bailing_out_is_a_failure() -> None:
    """With the reason; what was still to come does not matter."""
    tally = parse_tap("1..9\nok 1 - a\nBail out! no database\nok 2\n")
    assert ended(tally) == {"a": "passed", "Bail out!": "error"}
    assert tally.cases[1].error_message == "no database"


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"total": 3, "passed": 2, "failed": 1}, (3, 2, 1, 0)),
        ({"passed": 2}, (2, 2, 0, 0)),
        ({"tests": 3, "failed": 0}, (3, 3, 0, 0)),
        ({"tests": [{"name": "a", "status": "passed"}, {"nodeid": "b", "outcome": "FAILED"}]}, (2, 1, 1, 0)),
        (
            {"failed": 1, "test_cases": [{"name": "a", "status": "error"}, {"name": "b", "status": "fail"}]},
            (2, 0, 2, 0),
        ),
        (
            {"test_suites": [{"test_cases": [{"name": "a", "status": "ok"}]}, {"total": 1, "skipped": 1, "passed": 0}]},
            (2, 1, 0, 1),
        ),
        ({"total_tests": 0, "passed": 0, "failed": 0, "test_suites": []}, (0, 0, 0, 0)),
        ({"total": 5, "passed": 3, "failed": 0, "errors": 2}, (5, 3, 2, 0)),
        ({"total": 5, "passed": 3, "failed": 2, "errors": 2}, (5, 3, 2, 0)),
        ({"passed": 3, "errors": 2}, (5, 3, 2, 0)),
        ({"total": 3, "passed": 3, "failed": 0, "errors": 0, "error": None, "success": True}, (3, 3, 0, 0)),
        ({"tests": 3, "passed": 3, "failures": [], "errors": []}, (3, 3, 0, 0)),
        ({"status": "failed", "total": 3, "passed": 2, "failed": 1}, (3, 2, 1, 0)),
        ({"failed": 0, "errors": 1, "tests": [{"name": "a", "status": "error"}]}, (1, 0, 1, 0)),
        ({"failed": 1, "errors": 1, "tests": [{"name": "a", "status": "failed"}]}, (1, 0, 1, 0)),
        ({"tests": [{"name": "a", "status": "passed", "result": "error"}]}, (1, 0, 1, 0)),
        ({"suites": [{"passed": 1}], "tests": [{"name": "a", "status": "fail"}]}, (2, 1, 1, 0)),
        ({"suites": [{"tests": [{"name": "a", "status": "ok"}], "suites": [{"failed": 1}]}]}, (2, 1, 1, 0)),
    ],
)
def test_json_is_counted(document: object, expected: Counts) -> None:
    """Counts, cases, suites, packd's own report."""
    tally = parse_json(json.dumps(document))
    assert counts(tally) == expected
    assert tally.trouble is None


PACKD_REPORT = {
    "pack_ref": "core", "pack_version": "1.0.0", "status": "passed", "reason": None, "total_tests": 39, "passed": 38, "failed": 0, "skipped": 1,
    "pass_rate": 1.0, "test_suites": [
        {"name": "shell", "status": "passed", "total": 36, "passed": 36, "failed": 0, "skipped": 0, "exit_code": 0, "test_cases": []},
        {"name": "python", "status": "passed", "total": 3, "passed": 2, "failed": 0, "skipped": 1, "exit_code": 0, "test_cases": [
            {"name": "a", "status": "passed", "duration_ms": 1.5, "error_message": None, "stdout": None, "stderr": None},
            {"name": "b", "status": "passed"}, {"name": "c", "status": "skipped"}]},
    ],
}  # fmt: skip
PYTEST_JSON = {
    "created": 1.5, "duration": 0.1, "exitcode": 0, "root": "/", "summary": {"passed": 1, "xfailed": 1, "xpassed": 1, "total": 3, "collected": 3},
    "tests": [{"nodeid": f"t.py::{word}", "outcome": word} for word in ("passed", "xfailed", "xpassed")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "expected"), [(PACKD_REPORT, (39, 38, 0, 1)), (PYTEST_JSON, (3, 2, 0, 1))], ids=["packd", "pytest"]
)
def test_json_of_real_writers_is_believed(document: object, expected: Counts) -> None:
    """packd's own report, where some suites list their cases and some only count; and pytest-json-report."""
    tally = parse_json(json.dumps(document))
    assert counts(tally) == expected
    assert tally.trouble is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (PACKD_REPORT | {"status": "failed"}, "status 'failed'"),
        (PACKD_REPORT | {"status": "partial"}, "status 'partial'"),
        ({"test_suites": [{"name": "s", "status": "error", "total": 1, "passed": 1, "failed": 0}]}, "status 'error'"),
        ({"total": 3, "passed": 3, "failed": 0, "success": False}, "success false"),
        ({"result": "FAILURE", "tests": [{"name": "a", "status": "passed"}]}, "result 'FAILURE'"),
        ({"passed": 3, "error": "no such module: x"}, "that there was an error"),
    ],
)
def test_json_that_says_it_failed_and_shows_no_failure_is_trouble(document: object, said: str) -> None:
    """What is said of the whole, or of a suite, has to be borne out."""
    assert parse_json(json.dumps(document)).trouble == f"its JSON report says {said}, but shows no failure"


def test_the_last_line_of_output_may_be_the_report() -> None:
    """A script that talks and then reports."""
    assert counts(parse_json('working…\n{"total": 1, "passed": 1}\n')) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "", "nothing", "[]", "3", '"x"', "{", "{}", '{"total": 3}', '{"passed": -1}', '{"passed": true}', '{"passed": 1e3}', '{"passed": "3"}',
        '{"total": 3, "passed": 1, "failed": 1}', '{"total": 2, "passed": 3}', '{"tests": [{"name": "a"}]}', '{"tests": ["a"]}',
        '{"tests": [{"name": "a", "status": "perhaps"}]}', '{"total": 9, "tests": [{"name": "a", "status": "ok"}]}',
        '{"total": 3, "passed": 3, "failed": 0, "errors": 2}', '{"total": 4, "passed": 3, "failed": 0, "errors": 2}',
        '{"passed": 1, "failures": 2, "total": 1}', '{"passed": 3, "errors": "2"}', '{"passed": 3, "total": 3, "total_tests": 10}',
        '{"errors": 2, "tests": [{"name": "a", "status": "ok"}]}', '{"failures": [1, 2], "tests": [{"name": "a", "status": "ok"}]}',
        '{"summary": {"error": 2}, "passed": 3}', '{"stats": {"failures": 6}, "tests": [{"name": "a", "status": "failed"}]}',
        '{"test_suites": [{"passed": 1, "total": 1, "errors": 1}]}', '{"passed": 3, "tests": []}', '{"suites": [' * 400 + "]}" * 400,
        '{"test_suites": [1]}', "[" * 100_000, '{"a":' * 100_000, '{"passed": 1' + "0" * 5000 + "}",
    ],
)  # fmt: skip
def test_json_that_is_no_report_is_trouble(text: str) -> None:
    """Malformed, meaningless, contradictory or hostile: a sentence, never an exception."""
    assert parse_json(text).trouble is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("null", "it is null, not an object"),
        ("[]", "it is an array, not an object"),
        ('"x"', "it is a string, not an object"),
        ("3", "it is a number, not an object"),
        ("{", "it is not valid JSON"),
    ],
)
def test_what_is_there_instead_of_an_object_is_named_in_the_words_of_json(text: str, said: str) -> None:
    """The pack's author may know no Python."""
    assert parse_json(text).trouble == f"its JSON report can't be read: {said}"


# --- JUnit -----------------------------------------------------------------------------------------------------------

JUNIT = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="all"><testsuite name="s" tests="5" failures="1" errors="1" skipped="1" time="1.5">
  <properties><property name="a" value="b"/></properties>
  <testcase classname="pkg.T" name="passes" time="0.25"><system-out>hello</system-out></testcase>
  <testcase classname="pkg.T" name="fails" time="1,000.5"><failure message="not equal" type="AssertionError">1 != 2</failure></testcase>
  <testcase classname="pkg.T" name="breaks"><error type="OSError"/><system-err>trace</system-err></testcase>
  <testsuite name="inner"><testcase name="skips"><skipped message="no"/></testcase></testsuite>
  <testcase name="off" status="notrun"/>
</testsuite></testsuites>"""


def test_junit_is_read() -> None:
    """Nested suites, errors, skips, output, times with separators."""
    tally = parse_junit(JUNIT)
    assert tally.trouble is None
    assert ended(tally) == {
        "pkg.T.passes": "passed",
        "pkg.T.fails": "failed",
        "pkg.T.breaks": "error",
        "skips": "skipped",
        "off": "skipped",
    }
    by_name = {case.name: case for case in tally.cases}
    assert by_name["pkg.T.passes"].duration_ms == 250.0
    assert by_name["pkg.T.passes"].stdout == "hello"
    assert by_name["pkg.T.fails"].duration_ms == 1_000_500.0
    assert by_name["pkg.T.fails"].error_message == "not equal\n1 != 2"
    assert by_name["pkg.T.breaks"].error_message == "OSError"
    assert by_name["pkg.T.breaks"].stderr == "trace"


@pytest.mark.parametrize(
    "text",
    [
        '<testsuite xmlns="urn:x"><testcase name="a"/></testsuite>',
        '<!DOCTYPE testsuite><testsuite><testcase name="a"/></testsuite>',
        '<testcase name="a"/>',
        '<testsuite tests="x" failures=""><!-- a --><testcase name="a" time="NaN"/></testsuite>',
    ],
)
def test_junit_dialects_are_read(text: str) -> None:
    """Namespaces, document types, bare cases, attributes that make no sense."""
    tally = parse_junit(text.encode())
    assert counts(tally) == (1, 1, 0, 0)
    assert tally.trouble is None


@pytest.mark.parametrize(
    "text",
    [
        "", "not xml", "<html/>", "<testsuite>", "<testsuite tests='2'><testcase name='a'/></testsuite>",
        "<testsuite failures='1'><testcase name='a'/></testsuite>",
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite>&b;</testsuite>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite>&a;</testsuite>',
        "<a>" * 5000, "<testsuite>" + "<a>" * 5000 + "</a>" * 5000 + "</testsuite>",
        "<testsuite>" + "<a/>" * 300_000 + "</testsuite>", "<?xml version='1.0' encoding='no-such'?><testsuite/>",
    ],
)  # fmt: skip
def test_junit_that_is_no_report_is_trouble(text: str) -> None:
    """Cut short, contradictory, a bomb, a spy: a sentence, never an exception."""
    assert parse_junit(text.encode()).trouble is not None


# As these tools write them, cut down. Each is the report of a run that ended well.
HONEST_JUNIT = {
    "pytest, which counts sub-tests": (
        """<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="0" skipped="3" tests="14" time="1.4" hostname="vm">
        <testcase classname="t.T" name="test_s" time="0.002"/><testcase classname="t" name="test_sub" time="0.01"/>
        <testcase classname="t" name="test_some"><skipped type="pytest.skip" message="no"/><skipped type="pytest.skip" message="no"/></testcase>
        <testcase classname="t" name="test_xf"><skipped type="pytest.xfail" message=""/></testcase></testsuite></testsuites>""",
        (4, 2, 0, 2),
    ),
    "Node.js, which counts children, and tells of a failure that is still to do": (
        """<testsuites><testcase name="a" time="0.0009" classname="test"/>
        <testsuite name="g" time="0.0016" disabled="0" errors="0" tests="2" failures="1" skipped="0" hostname="vm">
          <testcase name="x" time="0.0001" classname="test"/>
          <testsuite name="h" time="0.0011" disabled="0" errors="0" tests="3" failures="1" skipped="1" hostname="vm">
            <testcase name="y" classname="test"/><testcase name="s" classname="test"><skipped type="skipped" message="true"/></testcase>
            <testcase name="t" classname="test" failure="0"><skipped type="todo" message="true"/><failure type="testCodeFailure" message="0">at x</failure></testcase>
          </testsuite></testsuite><!-- fail 0 --></testsuites>""",
        (5, 3, 0, 2),
    ),
    "Surefire, with a test that passed when it was run again": (
        """<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="3.0" name="a.BTest" time="0.031" tests="4" errors="0" skipped="1" failures="1" flakes="1">
        <properties><property name="java.version" value="17"/></properties><testcase name="one" classname="a.BTest" time="0.001"/>
        <testcase name="two" classname="a.BTest" time="0"><skipped message="later"/></testcase>
        <testcase name="three" classname="a.BTest" time="0.001"><flakyFailure message="x" type="E"><stackTrace>x</stackTrace></flakyFailure></testcase></testsuite>""",
        (3, 2, 0, 1),
    ),
    "gtest, with disabled tests": (
        """<testsuites tests="3" failures="0" disabled="1" errors="0" time="0.001" timestamp="2026-01-01T00:00:00.000" name="AllTests">
        <testsuite name="S" tests="3" failures="0" disabled="1" skipped="1" errors="0" time="0.001"><testcase name="A" status="run" result="completed" time="0." classname="S"/>
        <testcase name="DISABLED_B" status="notrun" result="suppressed" time="0." classname="S"/>
        <testcase name="C" status="run" result="skipped" time="0." classname="S"><skipped message="x"/></testcase></testsuite></testsuites>""",
        (3, 1, 0, 2),
    ),
    "Jest": (
        """<testsuites name="jest tests" tests="2" failures="0" errors="0" time="1.2"><testsuite name="sum" errors="0" failures="0" skipped="1" timestamp="2026-01-01T00:00:00" time="0.4" tests="2">
        <testcase classname="sum adds" name="sum adds" time="0.002"/><testcase classname="sum later" name="sum later" time="0"><skipped/></testcase></testsuite></testsuites>""",
        (2, 1, 0, 1),
    ),
    "go-junit-report": (
        """<testsuites tests="3" skipped="1"><testsuite name="example.org/a" tests="3" failures="0" errors="0" id="0" hostname="vm" skipped="1" time="0.010">
        <testcase name="TestA" classname="example.org/a" time="0.000"/><testcase name="TestA/sub" classname="example.org/a" time="0.000"/>
        <testcase name="TestB" classname="example.org/a" time="0.000"><skipped message="short"/></testcase></testsuite></testsuites>""",
        (3, 2, 0, 1),
    ),
    "PHPUnit, whose outer suites count what the inner ones list": (
        """<testsuites><testsuite name="" tests="3" assertions="4" errors="0" failures="0" skipped="0" time="0.01"><testsuite name="ATest" file="ATest.php" tests="3" assertions="4" errors="0" failures="0" skipped="0">
        <testcase name="testOne" class="ATest" classname="ATest" assertions="2"/><testsuite name="ATest::testMany" tests="2" assertions="2" errors="0" failures="0" skipped="0">
        <testcase name="testMany with data set #0" assertions="1"/><testcase name="testMany with data set #1" assertions="1"/></testsuite></testsuite></testsuite></testsuites>""",
        (3, 3, 0, 0),
    ),
    "NUnit's converter, with parametrised tests beside their class, and errors that are undecided": (
        """<testsuites tests="4" failures="0" disabled="0" time="0.3"><testsuite tests="4" time="0.2" errors="1" failures="0" skipped="0" name="A.dll.Calc.">
        <testcase name="Adds" status="Passed" classname="Calc"/><testcase name="Guesses" status="Inconclusive" classname="Calc"/></testsuite>
        <testsuite tests="2" time="0.1" errors="0" failures="0" skipped="0" name="A.dll.Calc.Divides."><testcase name="Divides(4,2)" status="Passed" classname="Calc"/>
        <testcase name="Divides(9,3)" status="Passed" classname="Calc"/></testsuite></testsuites>""",
        (4, 3, 0, 1),
    ),
    "CTest": (
        """<testsuite name="all" tests="3" failures="0" disabled="1" skipped="1" hostname="" time="0" timestamp="2026-01-01T00:00:00"><testcase name="a" classname="a" time="0.001" status="run"/>
        <testcase name="b" classname="b" time="0" status="disabled"/><testcase name="c" classname="c" time="0" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase></testsuite>""",
        (3, 1, 0, 2),
    ),
    "Catch2, which counts assertions": (
        """<testsuites><testsuite name="unit" errors="0" failures="0" skipped="0" tests="27" hostname="tbd" time="0.01" timestamp="2026-01-01T00:00:00Z"><testcase classname="unit.global" name="adds" time="0" status="run"/></testsuite></testsuites>""",
        (1, 1, 0, 0),
    ),
    "doctest, which counts assertions": (
        """<testsuites><testsuite name="unit" errors="0" failures="0" tests="27" time="0.01" timestamp="x" doctest_version="2.4.11"><testcase classname="a.cpp" name="adds" time="0" status="run"/></testsuite></testsuites>""",
        (1, 1, 0, 0),
    ),
    "Eclipse": (
        """<testrun name="A" project="a" tests="1" started="1" failures="0" errors="0" ignored="0"><testsuite name="a.A" time="0.1"><testcase name="x" classname="a.A" time="0.1"/></testsuite></testrun>""",
        (1, 1, 0, 0),
    ),
    "numbers of a style sheet": (
        """<testsuites tests="1.0" failures="0.0" errors="" time=""><testsuite tests="NaN" failures="-1"><testcase name="a"/></testsuite></testsuites>""",
        (1, 1, 0, 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), HONEST_JUNIT.values(), ids=HONEST_JUNIT.keys())
def test_junit_of_real_writers_is_believed(text: str, expected: Counts) -> None:
    """Whatever they mean by their counts."""
    tally = parse_junit(text.encode())
    assert tally.trouble is None
    assert counts(tally) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<testsuites tests="10" failures="3"><testsuite><testcase name="a"/></testsuite></testsuites>', "3 failed, but lists no failure"),
        ('<testsuites tests="10"><testsuite><testcase name="a"/></testsuite></testsuites>', "there are 10 tests, but lists 1"),
        ('<testrun errors="1"><testcase name="a"/></testrun>', "1 failed, but lists no failure"),
        ('<testsuite name="o"><testcase name="a"/><testsuite name="i" tests="2"/></testsuite>', "there are 2 tests in 'i', but lists 0"),
        ('<testsuite tests="1"><testcase name="a"/><testsuite name="i" failures="1"/></testsuite>', "1 failed in 'i', but lists no failure"),
        ('<testsuites><testsuite name="s" tests="3"><testcase name="a"/></testsuite><testsuite name="t" tests="1"><testcase name="b"/><testcase name="c"/><testcase name="d"/></testsuite></testsuites>', "there are 3 tests in 's', but lists 1"),
        ('<testsuites><testsuite name="s" failures="1"><testcase name="a"/></testsuite><testsuite name="t"><testcase name="b"><failure/></testcase></testsuite></testsuites>', "1 failed in 's', but lists no failure"),
        ('<testsuite failures="6"><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>', "6 failed, but lists 1"),
        ('<testsuite failures="1" errors="1"><testcase name="b"><failure/></testcase></testsuite>', "2 failed, but lists 1"),
        ('<testsuite failures="1.0"><testcase name="a"/></testsuite>', "1 failed, but lists no failure"),
        ('<testsuite name="pytest" tests="3"/>', "there are 3 tests in 'pytest', but lists 0"),
        ('<testsuite name="pytest" tests="3" errors="1"><testcase name="a"/></testsuite>', "1 failed in 'pytest', but lists no failure"),
        ('<testsuite errors="2"><testcase name="a" status="Inconclusive"/></testsuite>', "2 failed, but lists no failure"),
        ('<testsuites><testsuite name="A.B." tests="3"><testcase name="a"/></testsuite><testsuite name="A.Bc." tests="2"><testcase name="b"/><testcase name="c"/></testsuite></testsuites>', "there are 3 tests in 'A.B.', but lists 1"),
    ],
)  # fmt: skip
def test_junit_that_speaks_of_more_than_it_lists_is_trouble(text: str, said: str) -> None:
    """At the root, in any suite, in every suite for itself."""
    assert parse_junit(text.encode()).trouble == f"its JUnit report says that {said}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<testsuite name="s" tests="1"><error message="no set-up"/><testcase name="a"/></testsuite>', {"s": "error", "a": "passed"}),
        ('<testsuites><testsuite name="s" errors="1"><failure/></testsuite></testsuites>', {"s": "failed"}),
        ('<testsuite><testcase name="a" result="error"/></testsuite>', {"a": "error"}),
        ('<testsuite><testcase name="a" status="run" result="Failed"/></testsuite>', {"a": "failed"}),
        ('<testsuite><testcase name="a" status="fail"><skipped/></testcase></testsuite>', {"a": "failed"}),
        ('<testsuite><testcase name="a"><testcase name="b"><failure/></testcase></testcase></testsuite>', {"a": "passed", "b": "failed"}),
        ('<testsuite><testcase name="a"><skipped/><failure/></testcase></testsuite>', {"a": "failed"}),
    ],
)  # fmt: skip
def test_a_failure_in_junit_is_found_wherever_it_stands(text: str, expected: dict[str, str]) -> None:
    """In a suite itself, in an attribute, in a case within a case."""
    tally = parse_junit(text.encode())
    assert ended(tally) == expected
    assert tally.failed == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<testsuite>", "no element found: line 1, column 11"),
        ("<?xml version='1.0' encoding='no-such'?><a/>", "unknown encoding: no-such"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><a/>', "it declares entities or refers to other files, which packd refuses"),
    ],
)
def test_why_junit_can_not_be_read_is_said_without_names_of_python(text: str, said: str) -> None:
    """A sentence and a place; classes of exceptions mean nothing to the pack's author."""
    assert parse_junit(text.encode()).trouble == f"its JUnit report can't be read: {said}"


# --- what all share --------------------------------------------------------------------------------------------------


def test_text_is_made_fit_to_be_stored_and_shown() -> None:
    """No terminal sequences, no control characters, no lone surrogates, Unix line ends."""
    assert plain("a\x1b[31mb\x1b]0;title\x07c\x00\x9b\ud800\r\nd\te") == "abc?\nd\te"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", '{"total": 1, "passed": 1, "failed": 0}'),
        ("tap", "1..1\nok 1\n"),
        ("junit-xml", '<testsuite tests="1"><testcase name="a"/></testsuite>'),
        ("simple", "Total: 1\nPassed: 1\n"),
    ],
)
def test_a_report_may_begin_with_the_mark_of_utf_8(kind: ResultFormat, text: str) -> None:
    """As programs of .NET and PowerShell write it."""
    tally = parse(text.encode("utf-8-sig"), kind)
    assert (tally.passed, tally.trouble) == (1, None)


def test_only_so_many_cases_are_kept_and_all_are_counted() -> None:
    """A report may have a million cases; the counts are true."""
    stream = CaseStream()
    line = json.dumps({"case": {"name": "a", "status": "passed"}}).encode() + b"\n"
    stream.feed(line * (CASE_LIMIT + 10))
    tally = stream.tally()
    assert tally.total == CASE_LIMIT + 10
    assert len(tally.cases) == CASE_LIMIT


def test_only_so_much_text_is_kept() -> None:
    """Later cases lose their output before a report becomes too large to store."""
    cases = [
        {"name": f"c{number}", "status": "failed", "error_message": "m" * 10_000, "stdout": "o" * 8000}
        for number in range(1000)
    ]
    tally = parse_json(json.dumps({"tests": cases}))
    assert (
        sum(len(case.error_message or "") + len(case.stdout or "") for case in tally.cases) < DETAIL_LIMIT + 1000 * 200
    )
    assert tally.cases[-1].error_message is not None
    assert tally.cases[-1].stdout is None


def test_the_stream_of_cases_is_read_in_any_pieces() -> None:
    """Lines may arrive in parts; what is no line of ours is passed over."""
    data = b'noise\n{"start": "a"}\n{"case": {"name": "a", "status": "passed", "duration_ms": 3}}\n[]\n{"start": "b"}\n'
    stream = CaseStream()
    cases = [case for number in range(len(data)) for case in stream.feed(data[number : number + 1])]
    assert [(case.name, case.duration_ms) for case in cases] == [("a", 3.0)]
    assert not stream.ended
    assert ended(stream.interrupted("too late")) == {"a": "passed", "b": "error"}


def test_a_tally_counts_errors_as_failures() -> None:
    """Four states of a case, three counts."""
    assert counts(tally_of(parse_junit(JUNIT).cases)) == (5, 1, 2, 2)
