"""A report as JUnit XML, in the dialect that CI systems read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, ElementTree, SubElement

from packd.cli.text import gist

if TYPE_CHECKING:
    from pathlib import Path

# What XML 1.0 can't hold, not even escaped.
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(report: dict[str, Any], path: Path) -> None:
    """`report` in its JSON form. Raises OSError when `path` can't be written."""
    root = Element("testsuites", _counts(report["pack_ref"], report, "total_tests"))
    for suite in report["test_suites"]:
        _suite(root, suite)
    if not report["test_suites"]:
        element = SubElement(root, "testsuite", _counts(report["pack_ref"], report, "total_tests"))
        _broken(element, report["pack_ref"], "(the run itself)", report["detail"] or report["status"], "")
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _suite(root: Element, suite: dict[str, Any]) -> None:
    element = SubElement(root, "testsuite", _counts(suite["name"], suite, "total"))
    for case in suite["test_cases"]:
        _case(element, suite["name"], case)
    told = any(case["status"] in ("failed", "error") for case in suite["test_cases"])
    if suite["status"] not in ("passed", "skipped") and not told:
        _broken(element, suite["name"], "(the suite itself)", suite["detail"] or suite["status"], suite["output_tail"])
    if suite["output_tail"]:
        SubElement(element, "system-out").text = _text(suite["output_tail"])


def _broken(parent: Element, of: str, name: str, why: str, printed: str) -> None:
    """What ended badly without a case that did must not look well."""
    _child(SubElement(parent, "testcase", {"classname": _text(of), "name": name}), "error", why, printed)


def _case(parent: Element, suite: str, case: dict[str, Any]) -> None:
    attributes = {"classname": _text(suite), "name": _text(case["name"]), "time": _seconds(case["duration_ms"])}
    element = SubElement(parent, "testcase", attributes)
    message = case["error_message"] or ""
    if case["status"] == "failed":
        _child(element, "failure", message, message)
    elif case["status"] == "error":
        _child(element, "error", message, message)
    elif case["status"] == "skipped":
        SubElement(element, "skipped", {"message": _text(message)})
    for stream, tag in (("stdout", "system-out"), ("stderr", "system-err")):
        if case[stream]:
            SubElement(element, tag).text = _text(case[stream])


def _child(parent: Element, tag: str, message: str, text: str) -> None:
    SubElement(parent, tag, {"message": _text(gist(message))}).text = _text(text)


def _counts(name: str, counted: dict[str, Any], total: str) -> dict[str, str]:
    return {
        "name": _text(name),
        "tests": str(counted[total]),
        "failures": str(counted["failed"]),
        "skipped": str(counted["skipped"]),
        "time": _seconds(counted["duration_ms"]),
    }


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3f}"


def _text(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
