"""JUnit XML, as Ant, Maven, pytest, jest, gtest and others write it: there is no standard, only dialects.

Read through defusedxml: entities, external references and document types that declare them are refused. What decides
is the test cases; a suite's own attributes only raise doubt when they speak of failures or tests that are not listed.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError  # the exception; parsing is done by defusedxml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from packd.domain.reports import Case
from packd.testrun.parsers.tally import tally_of, unreadable
from packd.testrun.parsers.text import message_of, milliseconds, name_of, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from packd.domain.reports import CaseStatus
    from packd.testrun.parsers.tally import Tally

# An end that a child element stands for, the gravest first: one case may carry several.
_ENDS: Final[tuple[tuple[str, CaseStatus], ...]] = (
    ("failure", "failed"),
    ("error", "error"),
    ("skipped", "skipped"),
    ("disabled", "skipped"),
)
_NOT_RUN: Final = frozenset({"notrun", "disabled", "skipped", "suppressed"})
_MOST: Final = 400_000  # starts and ends of elements; a case has a handful
_DEEPEST: Final = 200  # nested elements; writers need five


def parse_junit(data: bytes) -> Tally:
    """The tally of one XML document."""
    try:
        root = _tree(data)
    except DefusedXmlException:
        return unreadable(
            "its JUnit report can't be read: it declares entities or refers to other files, which packd refuses"
        )
    except (ParseError, ValueError, LookupError, RecursionError) as trouble:
        return unreadable(f"its JUnit report can't be read: {name_of(str(trouble))}")
    if _local(root) not in ("testsuites", "testsuite", "testcase", "testrun", "assemblies"):
        return unreadable(
            f"its JUnit report starts with <{name_of(_local(root))}>, not with <testsuites> or <testsuite>"
        )
    suites: list[tuple[Element, int, int]] = []
    cases: list[Case] = []
    for element, depth in _walk(root):
        if depth > _DEEPEST:
            return unreadable("its JUnit report is nested too deeply")
        if _local(element) == "testcase":
            cases.append(_case(element))
        elif _local(element) == "testsuite":
            suites.append(_claims(element))
    return tally_of(cases, trouble=_contradiction(suites, cases))


def _tree(data: bytes) -> Element:
    """The root. Small elements take many times their size in memory, so they are counted while they are read."""
    root: Element | None = None
    for number, (_, element) in enumerate(iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=False)):
        root = element if root is None else root
        if number > _MOST:
            raise ValueError("it has too many elements")
    if root is None:
        raise ValueError("it is empty")
    return root


def _walk(root: Element) -> Iterator[tuple[Element, int]]:
    """Every element with its depth, in document order, without recursion."""
    todo = [(root, 0)]
    while todo:
        element, depth = todo.pop()
        yield element, depth
        if _local(element) != "testcase":
            todo.extend((child, depth + 1) for child in reversed(element))


def _local(element: Element) -> str:
    """The tag without its namespace; comments have no tag of text."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _case(element: Element) -> Case:
    children = {_local(child): child for child in reversed(element)}
    tag, status = next(((tag, status) for tag, status in _ENDS if tag in children), ("", None))
    said = (element.get("status") or element.get("result") or "").lower()
    if status is None:
        status = "skipped" if said in _NOT_RUN else "failed" if said in ("failed", "failure") else "passed"
    return Case(
        name=_name(element),
        status=status,
        duration_ms=milliseconds(element.get("time"), per=1000.0),
        error_message=_explanation(children[tag]) if tag else None,
        stdout=output_of(_text(children.get("system-out"))),
        stderr=output_of(_text(children.get("system-err"))),
    )


def _name(element: Element) -> str:
    name, place = element.get("name") or "", element.get("classname") or ""
    return name_of(f"{place}.{name}" if place and not name.startswith(place) else name or place)


def _explanation(element: Element) -> str | None:
    """The text, which usually repeats the message; else the message, else the type."""
    text, message = _text(element).strip(), (element.get("message") or "").strip()
    whole = text if message in text else f"{message}\n{text}"
    return message_of(whole) or message_of(element.get("type"))


def _text(element: Element | None) -> str:
    return "".join(element.itertext()) if element is not None else ""


def _claims(suite: Element) -> tuple[Element, int, int]:
    """(suite, tests, failures and errors) as its attributes say; -1 where they don't."""
    tests = _count(suite.get("tests"))
    failures = [_count(suite.get(word)) for word in ("failures", "errors")]
    return suite, tests, sum(max(count, 0) for count in failures)


def _count(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 10 else -1


def _contradiction(suites: list[tuple[Element, int, int]], cases: list[Case]) -> str | None:
    """A sentence when the attributes speak of more than is listed (as a report cut short does)."""
    outermost = _outermost(suites)
    promised = sum(max(tests, 0) for _, tests, _ in outermost)
    failing = sum(failures for _, _, failures in outermost)
    if promised > len(cases):
        return f"its JUnit report says that there are {promised} tests, but lists {len(cases)}"
    if failing and not any(case.status in ("failed", "error") for case in cases):
        return f"its JUnit report says that {failing} failed, but lists no failure"
    return None


def _outermost(suites: list[tuple[Element, int, int]]) -> list[tuple[Element, int, int]]:
    """Suites that are in no other suite: what an outer one says includes the inner ones."""
    inner = {id(child) for suite, _, _ in suites for child in suite.iter() if child is not suite}
    return [claim for claim in suites if id(claim[0]) not in inner]
