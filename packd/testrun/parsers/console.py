"""What a suite printed, read without its help: the words of unittest, of pytest, of prove, of TAP, or a printed summary.

A script may run several programs: summaries of unittest, pytest and prove, or TAP, are each about one of them and are added up. A
summary that the script itself prints comes after them and is about all; the last one counts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from packd.domain.reports import Case
from packd.testrun.parsers.simple import last_summary
from packd.testrun.parsers.tally import COUNT_LIMIT, Tally, tally_of, together
from packd.testrun.parsers.tap import documents, is_tap, parse_tap
from packd.testrun.parsers.text import message_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import CaseStatus

# "Ran 3 tests in 0.012s", an empty line, "OK (skipped=1)" or "FAILED (failures=1, errors=1)" or "NO TESTS RAN".
_UNITTEST: Final = re.compile(
    r"^Ran (?P<ran>\d{1,9}) tests? in [\d.]{1,20}s\n\s{1,8}(?P<word>OK|FAILED|NO TESTS RAN)(?: \((?P<extra>[\w =,]{1,200})\))?[ \t]*$",
    re.MULTILINE | re.ASCII,
)
_UNITTEST_CASE: Final = re.compile(
    r"^(?P<method>\w{1,200}) \((?P<where>[\w.]{1,400})\)(?:\n[^\n]{1,400}?)? \.\.\. "
    r"(?P<how>ok|FAIL|ERROR|skipped|expected failure|unexpected success)(?: (?P<why>[^\n]{1,400}))?$",
    re.MULTILINE,
)
_EXTRA: Final = re.compile(r"(failures|errors|skipped|expected failures|unexpected successes)=(\d{1,9})")

# "=== 36 passed, 2 failed, 1 warning in 1.20s (0:00:01) ===", bare with `-q`.
_PYTEST: Final = re.compile(
    r"^(?:=+ )?(?P<counts>\d{1,9} [a-z]{4,12}(?: [a-z]{4,12})?(?:, \d{1,9} [a-z]{4,12}(?: [a-z]{4,12})?){0,10}|no tests ran)"
    r" in \d[\d.]{0,20}s(?: \([\d:, a-z]{1,40}\))?(?: =+)?$",
    re.MULTILINE | re.ASCII,
)
_PYTEST_CASE: Final = re.compile(
    r"^(?:\[gw\d{1,4}\] \[ {0,2}\d{1,3}%\] (?P<early>PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS) )?"
    r"(?P<name>[^\s:][^\n:]{0,300}::[^\n]{1,400}?)"
    r"(?: (?P<late>PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)(?: \((?P<why>[^\n]{0,300})\))?)?(?: +\[ {0,2}\d{1,3}%\])?$",
    re.MULTILINE,
)
_PYTEST_STATUSES: Final[dict[str, CaseStatus]] = {
    "PASSED": "passed", "XPASS": "passed", "FAILED": "failed", "ERROR": "error", "SKIPPED": "skipped", "XFAIL": "skipped",
}  # fmt: skip
_PYTEST_WORDS: Final = {
    "passed": "passed", "xpassed": "passed", "failed": "failed", "error": "failed", "errors": "failed",
    "skipped": "skipped", "xfailed": "skipped",
}  # fmt: skip

# "Files=2, Tests=8,  0 wallclock secs (…)", and above it a line for each file that has something wrong.
_PROVE: Final = re.compile(r"^Files=\d{1,9}, Tests=(?P<tests>\d{1,9}), ", re.MULTILINE | re.ASCII)
_PROVE_FILE: Final = re.compile(
    r"^\S[^\n]{0,400} \(Wstat: [^\n]{1,100} Tests: \d{1,9} Failed: (\d{1,9})\)$", re.MULTILINE | re.ASCII
)


def recognise(text: str) -> Tally | None:
    """The counts, and the cases where they are named, of plain output; None when nothing in it is known."""
    programs = sorted(
        (*_unittest_summaries(text), *_pytest_summaries(text), *_prove_summaries(text)), key=lambda found: found[0]
    )
    printed = last_summary(text)
    if printed and (not programs or printed[0] >= programs[-1][0]):
        return printed[1]
    if programs:
        return together(tally for _, tally in programs)
    return together(map(parse_tap, documents(text))) if is_tap(text) else None


def _unittest_summaries(text: str) -> Iterator[tuple[int, Tally]]:
    """(where it ends, tally) of each."""
    start = 0
    for match in _UNITTEST.finditer(text):
        extra = {word: int(count) for word, count in _EXTRA.findall(match["extra"] or "")}
        failed = extra.get("failures", 0) + extra.get("errors", 0) + extra.get("unexpected successes", 0)
        skipped = extra.get("skipped", 0) + extra.get("expected failures", 0)
        # Failing sub-tests and class set-ups are counted as failures, but not as tests.
        total = max(int(match["ran"]), failed + skipped)
        cases = (_unittest_case(case) for case in _UNITTEST_CASE.finditer(text, start, match.start()))
        yield match.end(), _checked(total, total - failed - skipped, failed, skipped, tally_of(cases))
        start = match.end()


def _unittest_case(match: re.Match[str]) -> Case:
    statuses: dict[str, CaseStatus] = {
        "ok": "passed",
        "FAIL": "failed",
        "ERROR": "error",
        "unexpected success": "failed",
    }
    status = statuses.get(match["how"], "skipped")
    where, method = match["where"], match["method"]
    # Since Python 3.11 the place in brackets ends in the method.
    name = where if where.endswith(f".{method}") else f"{where}.{method}"
    why = match["why"] if match["how"] in ("ok", "skipped") else match["how"]
    return Case(name=name_of(name), status=status, error_message=message_of(why))


def _pytest_summaries(text: str) -> Iterator[tuple[int, Tally]]:
    """(where it ends, tally) of each."""
    start = 0
    for match in _PYTEST.finditer(text):
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        for part in match["counts"].split(", "):
            number, _, word = part.partition(" ")
            if word in _PYTEST_WORDS:
                counts[_PYTEST_WORDS[word]] += int(number)
        named = tally_of(_pytest_cases(text, start, match.start()))
        yield (
            match.start(),
            _checked(sum(counts.values()), counts["passed"], counts["failed"], counts["skipped"], named),
        )
        start = match.end()


def _pytest_cases(text: str, start: int, end: int) -> Iterator[Case]:
    for match in _PYTEST_CASE.finditer(text, start, end):
        word = match["early"] or match["late"]
        if word:
            yield Case(
                name=name_of(match["name"]), status=_PYTEST_STATUSES[word], error_message=message_of(match["why"])
            )


def _prove_summaries(text: str) -> Iterator[tuple[int, Tally]]:
    """(where it ends, tally) of each. What was skipped is counted with what passed."""
    start = 0
    for match in _PROVE.finditer(text):
        total = int(match["tests"])
        failed = min(total, sum(map(int, _PROVE_FILE.findall(text, start, match.start()))))
        yield match.end(), _checked(total, total - failed, failed, 0, Tally())
        start = match.end()


def _checked(total: int, passed: int, failed: int, skipped: int, named: Tally) -> Tally:
    """The counts of a summary, with the cases of the lines above it if they are exactly the ones counted."""
    if total > COUNT_LIMIT:
        return Tally(trouble=f"it printed a count that can't be one ({total})")
    counted = Tally(total=total, passed=passed, failed=failed, skipped=skipped)
    same = (named.total, named.passed, named.failed) == (total, passed, failed)
    return replace(counted, cases=named.cases) if same else counted
