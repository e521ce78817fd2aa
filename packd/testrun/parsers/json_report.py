"""Results as JSON: packd's own report, or `{total, passed, failed, skipped, tests: [{name, status, …}]}`.

Whatever a document says as a whole, or of one of its suites (counts, a status, `success`), has to be borne out by what
it lists there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from packd.domain.reports import Case
from packd.testrun.parsers.tally import COUNT_LIMIT, Tally, counted, tally_of, together, unreadable
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
_GRAVEST_FIRST: Final[tuple[CaseStatus, ...]] = ("error", "failed", "skipped", "passed")
_SAID: Final = ("status", "outcome", "result")
# Of a whole that is neither failed nor an error, and did not go well all the same.
_NOT_WELL: Final = frozenset({"partial", "timeout", "crashed", "aborted", "cancelled", "interrupted"})
_COUNTS: Final = {
    "total": ("total", "total_tests", "tests"),
    "passed": ("passed",),
    "failed": ("failed", "failures"),
    "skipped": ("skipped",),
    "errors": ("errors", "error"),
}
_SUMMARIES: Final = ("summary", "stats", "totals")
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
        return _report(_document(text))
    except _UnreadableError as trouble:
        return unreadable(f"its JSON report can't be read: {trouble}")
    except RecursionError:
        return unreadable("its JSON report is nested too deeply")


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
    """A document, or one of its suites."""
    parts = [_report(_object(suite, "suites")) for suite in _listed(document, _SUITES)]
    cases = [_case(_object(case, "tests")) for case in _listed(document, _CASES)]
    if cases:
        parts.append(tally_of(cases))
    listing = bool(parts) or _lists_nothing(document)
    tally = _agreeing(_counts(document), together(parts)) if listing else _of_counts(_counts(document))
    return _borne_out(document, tally)


def _listed(document: dict[str, Any], keys: tuple[str, ...]) -> list[Any]:
    return [entry for key in keys if isinstance(document.get(key), list) for entry in document[key]]


def _lists_nothing(document: dict[str, Any]) -> bool:
    """Has it an empty list of cases that stands for no test? In packd's own report it also stands beside counts, where
    only those are known."""
    empty = [key for key in _CASES if document.get(key) == []]
    return bool(empty) and not (empty == ["test_cases"] and "passed" in document)


def _object(entry: object, kind: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _UnreadableError(f"one of its {kind} is not an object")
    return entry


def _of_counts(counts: dict[str, int]) -> Tally:
    if "passed" not in counts and "failed" not in counts:
        raise _UnreadableError("it has neither a list of tests nor counts (total, passed, failed, skipped)")
    shown = ", ".join(f"{word} {count}" for word, count in counts.items())
    return counted(counts) or unreadable(f"the counts in its JSON report do not add up ({shown})")


def _agreeing(counts: dict[str, int], listed: Tally) -> Tally:
    """The listed cases, with trouble where the document's own counts say something else."""
    found = {"total": listed.total, "passed": listed.passed, "failed": listed.failed, "skipped": listed.skipped}
    errors = counts.get("errors", 0)
    beside = {errors, sum(case.status == "error" for case in listed.cases)}
    for word, count in found.items():
        allowed = {count, *(count - number for number in beside if word == "failed")}
        if counts.get(word, count) not in allowed:
            return _doubted(listed, f"says {word} {counts[word]}, but lists {count}")
    if errors > listed.failed:
        return _doubted(listed, f"says errors {errors}, but lists {listed.failed}")
    return listed


def _borne_out(document: dict[str, Any], tally: Tally) -> Tally:
    """With trouble where it says of itself that it did not go well, and shows no failure, or fewer than it sums up."""
    for place in _SUMMARIES:
        for word, count in _bad_counts(document.get(place)):
            if count > tally.failed:
                return _doubted(tally, f"says {word} {count} in its {place!r}, but lists {tally.failed}")
    said = [f"{key} {name_of(value)!r}" for key in _SAID if _is_bad(value := document.get(key))]
    said += [f"{key} false" for key in ("success", "ok") if document.get(key) is False]
    said += ["that there was an error"] if _is_told(document.get("error")) else []
    return tally if tally.failed or not said else _doubted(tally, f"says {said[0]}, but shows no failure")


def _bad_counts(summary: object) -> list[tuple[str, int]]:
    """(word, count) of failures and errors in an object of counts."""
    words = _COUNTS["failed"] + _COUNTS["errors"]
    found = [(word, summary.get(word)) for word in words] if isinstance(summary, dict) else []
    return [(word, count) for word, count in found if isinstance(count, int)]


def _is_told(error: object) -> bool:
    return bool(error) and not isinstance(error, int)


def _is_bad(said: object) -> bool:
    word = said.strip().lower() if isinstance(said, str) else ""
    return word in _NOT_WELL or _STATUSES.get(word) in ("failed", "error")


def _doubted(tally: Tally, what: str) -> Tally:
    return replace(tally, trouble=tally.trouble or f"its JSON report {what}")


def _counts(document: dict[str, Any]) -> dict[str, int]:
    """Those of `_COUNTS` that are there; what failed may be given as a list."""
    counts: dict[str, int] = {}
    for word, keys in _COUNTS.items():
        for key in keys:
            count = document.get(key)
            if count is None or (key in ("tests", "error") and not isinstance(count, int)):
                continue
            if key in ("failures", "errors"):
                count = len(count) if isinstance(count, list) else count or 0
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= COUNT_LIMIT:
                raise _UnreadableError(f"its {key!r} is not a count")
            if counts.setdefault(word, count) != count:
                raise _UnreadableError(f"it gives two numbers for {word!r} ({counts[word]} and {count})")
    return counts


def _case(entry: dict[str, Any]) -> Case:
    said = (entry.get(key) for key in _SAID)
    statuses = {_STATUSES.get(word.strip().lower()) for word in said if isinstance(word, str)}
    status = next((status for status in _GRAVEST_FIRST if status in statuses), None)
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
