"""JUnit XML, as Ant, Maven, pytest, jest, gtest and others write it: there is no standard, only dialects.

Read through defusedxml: entities, external references and document types that declare them are refused. What decides
is the test cases; the attributes of what holds them, at every level, raise doubt when they speak of failures or tests
that are not listed there. That less is counted than is listed raises none: Node.js counts children only, and others
leave out what they ran again.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError  # the exception; parsing is done by defusedxml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from packd.domain.reports import Case
from packd.testrun.parsers.tally import tally_of, unreadable
from packd.testrun.parsers.text import NAME_LIMIT, message_of, milliseconds, name_of, output_of

if TYPE_CHECKING:
    from collections.abc import Iterable
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
_BAD: Final[dict[str, CaseStatus]] = {"failure": "failed", "error": "error"}
_PROSE: Final = frozenset({"system-out", "system-err", "properties"})
_NOT_RUN: Final = frozenset({"notrun", "disabled", "skipped", "suppressed", "ignored", "inconclusive"})
_WORDS: Final[dict[str, CaseStatus]] = {
    "failed": "failed", "failure": "failed", "fail": "failed", "timeout": "failed", "timed_out": "failed",
    "error": "error", "errored": "error", "broken": "error", "crashed": "error", "aborted": "error",
}  # fmt: skip
# Neither passed nor failed in NUnit, whose converter counts as errors all that did neither.
_UNDECIDED: Final = frozenset({"inconclusive", "warning"})
# In Surefire: the case was run once more.
_AGAIN: Final = frozenset({"flakyFailure", "flakyError", "rerunFailure", "rerunError"})
_SUITES: Final = frozenset({"testsuite", "testsuites", "testrun"})
_NUMBER: Final = re.compile(r"\s{0,9}(\d{1,99})(?:\.\d{0,9})?\s{0,9}", re.ASCII)
_MOST: Final = 400_000  # starts and ends of elements; a case has a handful
_DEEPEST: Final = 100  # nested elements; writers need five


def parse_junit(data: bytes) -> Tally:
    """The tally of one XML document."""
    reader = _Reader()
    try:
        root = _tree(data)
        reader.read([root], root)
    except DefusedXmlException:
        return unreadable(
            "its JUnit report can't be read: it declares entities or refers to other files, which packd refuses"
        )
    except (ParseError, ValueError, LookupError, RecursionError) as trouble:
        return unreadable(f"its JUnit report can't be read: {name_of(str(trouble))}")
    if _local(root) not in (*_SUITES, "testcase", "assemblies"):
        return unreadable(
            f"its JUnit report starts with <{name_of(_local(root))}>, not with <testsuites> or <testsuite>"
        )
    return tally_of(reader.cases, trouble=reader.trouble)


@dataclass(frozen=True)
class _Listed:
    """What an element holds, at any depth."""

    cases: int = 0
    failing: int = 0  # failures and errors that are told of; one case may have several
    undecided: int = 0  # cases that may be counted as errors, and are none
    again: int = 0  # runs of cases that are listed once

    def __add__(self, other: _Listed) -> _Listed:
        return _Listed(
            self.cases + other.cases,
            self.failing + other.failing,
            self.undecided + other.undecided,
            self.again + other.again,
        )


_NOTHING: Final = _Listed()


class _Reader:
    """Walks the tree once, and compares what every suite says with what it lists."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.trouble: str | None = None  # the first contradiction

    def read(self, children: Iterable[Element], parent: Element, depth: int = 0) -> _Listed:
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        within = [(child, self._listed(child, parent, depth)) for child in children]
        for at, (child, listed) in enumerate(within):
            if _local(child) in _SUITES and _contradiction(child, listed):
                self.trouble = self.trouble or _contradiction(child, listed + _set_apart(within, at))
        return sum((listed for _, listed in within if listed is not _NOTHING), _NOTHING)

    def _listed(self, element: Element, parent: Element, depth: int) -> _Listed:
        tag = _local(element)
        if tag in _PROSE:
            return _NOTHING
        if tag == "testcase":
            self.cases.append(_case(element))
            within = self.read(element, element, depth + 1) if len(element) else _NOTHING
            return _of_case(element) + within
        if tag in _BAD and _local(parent) != "testcase":
            name = name_of(parent.get("name"), fallback="the suite")
            self.cases.append(Case(name=name, status=_BAD[tag], error_message=_explanation(element)))
            return _Listed(cases=1, failing=1)
        return self.read(element, element, depth + 1) if len(element) else _NOTHING


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


def _local(element: Element) -> str:
    """The tag without its namespace; comments have no tag of text."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _case(element: Element) -> Case:
    children = {_local(child): child for child in reversed(element)}
    tag = next((tag for tag, _ in _ENDS if tag in children), "")
    if "skipped" in children and children["skipped"].get("type") == "todo":
        tag = "skipped"  # Node.js tells of the failure, too; it is expected
    said = _said(element)
    bad = next((status for word, status in _WORDS.items() if word in said), None) if said else None
    status: CaseStatus = dict(_ENDS).get(tag) or ("skipped" if _NOT_RUN & said else "passed")
    return Case(
        name=_name(element),
        status=bad if bad and status not in _BAD.values() else status,
        duration_ms=milliseconds(element.get("time"), per=1000.0),
        error_message=_explanation(children[tag]) if tag else None,
        stdout=output_of(_text(children.get("system-out"))),
        stderr=output_of(_text(children.get("system-err"))),
    )


def _of_case(element: Element) -> _Listed:
    tags, said = [_local(child) for child in element], _said(element)
    told = sum(tag in _BAD or tag in _AGAIN for tag in tags)
    return _Listed(
        cases=1,
        failing=told or int(not said.isdisjoint(_WORDS)),
        undecided=int(not said.isdisjoint(_UNDECIDED)),
        again=sum(tag in _AGAIN for tag in tags),
    )


def _said(element: Element) -> frozenset[str]:
    """How a case ended by its attributes, in lower case; writers use one, or both."""
    return frozenset(word.strip().lower() for key in ("status", "result") if (word := element.get(key)))


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


def _contradiction(suite: Element, listed: _Listed) -> str | None:
    """A sentence when its attributes speak of more than it lists."""
    tests, failing = _count(suite, "tests"), _count(suite, "failures") + _count(suite, "errors")
    where = f" in '{name_of(suite.get('name'))}'" if suite.get("name") else ""
    if failing > listed.failing + listed.undecided:
        return f"its JUnit report says that {failing} failed{where}, but lists {listed.failing or 'no failure'}"
    if tests > listed.cases + listed.again and not (listed.cases and _counts_parts_of_cases(suite)):
        return f"its JUnit report says that there are {tests} tests{where}, but lists {listed.cases}"
    return None


def _count(suite: Element, attribute: str) -> int:
    """0 where it says nothing, or nothing that is a number."""
    number = _NUMBER.fullmatch((suite.get(attribute) or "").replace(",", ""))
    return int(number[1]) if number else 0


def _counts_parts_of_cases(suite: Element) -> bool:
    """Is it by a writer whose `tests` are more than the cases in an honest report? Those of pytest include sub-tests;
    those of Catch2 (which has no host name yet) and of doctest are assertions."""
    pytest = suite.get("name") in ("pytest", "pytest tests")
    return pytest or suite.get("hostname") == "tbd" or "doctest_version" in suite.attrib


def _set_apart(within: list[tuple[Element, _Listed]], at: int) -> _Listed:
    """What stands in the suites after one that belong to it by name: NUnit's converter puts a class's parametrised tests
    beside the class, and counts them there, too."""
    prefix = f"{(within[at][0].get('name') or '').rstrip('.')[:NAME_LIMIT]}."
    found = _Listed()
    while (at := at + 1) < len(within) and (within[at][0].get("name") or "").startswith(prefix):
        found += within[at][1]
    return found
