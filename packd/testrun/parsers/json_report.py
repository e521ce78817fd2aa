"""Results as JSON: packd's own report, or `{total, passed, failed, skipped, tests: [{name, status, …}]}`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from packd.domain.reports import Case
from packd.testrun.parsers.tally import CASE_LIMIT, COUNT_LIMIT, Tally, tally_of, together, unreadable
from packd.testrun.parsers.text import message_of, milliseconds, name_of, output_of

if TYPE_CHECKING:
    from packd.domain.reports import CaseStatus

_STATUSES: Final[dict[str, CaseStatus]] = {
    "passed": "passed", "pass": "passed", "ok": "passed", "success": "passed", "xpassed": "passed",
    "failed": "failed", "fail": "failed", "failure": "failed", "timed_out": "failed",
    "error": "error", "errored": "error", "broken": "error",
    "skipped": "skipped", "skip": "skipped", "pending": "skipped", "todo": "skipped", "disabled": "skipped",
    "ignored": "skipped", "xfailed": "skipped",
}  # fmt: skip
_TOTALS: Final = ("total", "total_tests")
_CASES: Final = ("test_cases", "tests", "cases")
_SUITES: Final = ("test_suites", "suites")
_KINDS: Final = {
    list: "an array", str: "a string", bool: "true or false", int: "a number", float: "a number", type(None): "null",
}  # fmt: skip


class _UnreadableError(Exception):
    """The text can't be read as results; the message is the sentence."""


def parse_json(text: str) -> Tally:
    """The tally of a JSON document; of output that is not one as a whole, that of its last line that is an object."""
    try:
        document = _document(text)
        return _report(document)
    except _UnreadableError as trouble:
        return unreadable(f"its JSON report can't be read: {trouble}")


def _document(text: str) -> dict[str, Any]:
    for candidate in (text, *_object_lines(text)):
        try:
            document = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            return document
        raise _UnreadableError(f"it is {_KINDS[type(document)]}, not an object")
    raise _UnreadableError("it is not valid JSON" if text.strip() else "it is empty")


def _object_lines(text: str) -> list[str]:
    lines = (line for line in reversed(text.rsplit("\n", 50)[1:]) if line.startswith("{"))
    return list(lines)


def _report(document: dict[str, Any]) -> Tally:
    suites = _first(document, _SUITES)
    if isinstance(suites, list) and suites:
        parts = [_flat(suite) for suite in suites[:CASE_LIMIT] if isinstance(suite, dict)]
        if len(parts) != len(suites):
            raise _UnreadableError("one of its suites is not an object")
        return _agreeing(document, together(parts))
    return _flat(document)


def _flat(document: dict[str, Any]) -> Tally:
    """One list of cases, or counts alone."""
    cases = _first(document, _CASES)
    if isinstance(cases, list):
        return _agreeing(document, tally_of(_case(case) for case in cases))
    counts = _counts(document)
    if "passed" not in counts and "failed" not in counts:
        raise _UnreadableError("it has neither a list of tests nor counts (total, passed, failed, skipped)")
    skipped = counts.get("skipped", 0)
    total = counts.get("total", counts.get("passed", 0) + counts.get("failed", 0) + skipped)
    passed = counts.get("passed", total - counts.get("failed", 0) - skipped)
    failed = counts.get("failed", total - passed - skipped)
    if passed < 0 or failed < 0 or passed + failed + skipped != total:
        shown = f"total {total}, passed {passed}, failed {failed}, skipped {skipped}"
        return unreadable(f"the counts in its JSON report do not add up ({shown})")
    return Tally(total=total, passed=passed, failed=failed, skipped=skipped)


def _agreeing(document: dict[str, Any], listed: Tally) -> Tally:
    """The listed cases, with trouble where the document's own counts say something else."""
    found = {"total": listed.total, "passed": listed.passed, "failed": listed.failed, "skipped": listed.skipped}
    errors = sum(case.status == "error" for case in listed.cases)
    for word, count in _counts(document).items():
        allowed = {found[word], found[word] - errors} if word == "failed" else {found[word]}
        if count not in allowed and listed.trouble is None:
            trouble = f"its JSON report says {word} {count}, but lists {found[word]}"
            return Tally(**found, cases=listed.cases, trouble=trouble)
    return listed


def _counts(document: dict[str, Any]) -> dict[str, int]:
    named = {word: document.get(word) for word in ("passed", "failed", "skipped")}
    named["total"] = _first(document, _TOTALS)
    if named["total"] is None and isinstance(document.get("tests"), int):
        named["total"] = document["tests"]
    counts = {word: count for word, count in named.items() if count is not None}
    for word, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= COUNT_LIMIT:
            raise _UnreadableError(f"its {word!r} is not a count")
    return counts


def _case(entry: object) -> Case:
    if not isinstance(entry, dict):
        raise _UnreadableError("one of its tests is not an object")
    said = _first(entry, ("status", "outcome", "result"))
    status = _STATUSES.get(said.strip().lower()) if isinstance(said, str) else None
    name = name_of(_first(entry, ("name", "nodeid", "title", "id")))
    if status is None:
        raise _UnreadableError(f"test {name!r} has no status that is known (passed, failed, error, skipped)")
    duration = milliseconds(entry.get("duration_ms")) or milliseconds(entry.get("duration"), per=1000.0)
    return Case(
        name=name,
        status=status,
        duration_ms=duration,
        error_message=message_of(_first(entry, ("error_message", "message", "error", "longrepr"))),
        stdout=output_of(entry.get("stdout")),
        stderr=output_of(entry.get("stderr")),
    )


def _first(document: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((document[key] for key in keys if document.get(key) is not None), None)
