"""The Test Anything Protocol, versions 12 to 14 (testanything.org), with nested sub-tests.

A test point that sums up sub-tests is not counted beside them. `todo` points and points of a skipped plan are skipped:
they neither passed nor failed, and no more did the sub-tests of such a point. Numbers may be left out, but one that is
there stands for one point of the plan.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from packd.domain.reports import Case
from packd.testrun.parsers.tally import COUNT_LIMIT, Tally, tally_of
from packd.testrun.parsers.text import message_of, milliseconds, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import CaseStatus

_VERSION: Final = re.compile(r"^TAP version 1[234]\s*$", re.MULTILINE)
_PROMISED: Final = r"1\.\.(\d{1,99})"  # a number that can't be is a plan, too
_PLAN: Final = re.compile(rf"{_PROMISED}\s*(?:#\s*(.{{0,400}}))?")
_OUTERMOST: Final = re.compile(
    rf"^(?:(?P<version>TAP version 1[234])|(?P<plan>{_PROMISED})(?=\s|$)|(?:not )?ok(?P<first> 1\b)?(?=\s|$))",
    re.MULTILINE,
)
_POINT: Final = re.compile(r"(not )?ok(?=\s|$)(?:[ \t]{1,8}(\d{1,99})\b)?(?:[ \t]{0,8}-)?(.*)")
_DIRECTIVE: Final = re.compile(r"(?<!\\)#[ \t]{0,8}(skip|todo)\S{0,20}[ \t]{0,8}(.*)", re.IGNORECASE)
_BAIL: Final = re.compile(r"Bail out!(.*)", re.IGNORECASE)
_DURATION: Final = re.compile(r"^\s{0,80}duration_ms: ['\"]?([\d.]{1,30})", re.MULTILINE)
_DOCUMENTS: Final = 1000  # of one suite that are told apart
_DEEPEST: Final = 20  # levels of sub-tests that are told apart
_LONGEST_LINE: Final = 4096
_LONGEST_BLOCK: Final = 400  # lines of a diagnostic block that are kept


@dataclass
class _Level:
    """One nesting level while it is being read."""

    cases: list[Case] = field(default_factory=list)
    points: int = 0  # test points seen, sums of sub-tests included
    numbers: set[int] = field(default_factory=set)  # of those points that have one
    repeated: int | None = None  # the first number that came again
    plan: int | None = None  # how many points were promised
    plan_skip: str | None = None  # why the plan is empty, when it is

    def count(self, number: str | None) -> None:
        """One more test point. Of numbers the order does not matter: tests may run side by side."""
        self.points += 1
        if number is None:
            return
        if int(number) in self.numbers and self.repeated is None:
            self.repeated = int(number)
        self.numbers.add(int(number))

    def contradiction(self) -> str | None:
        """A sentence when the points are not those that the plan promises."""
        if self.plan is None:
            return None
        if self.plan != self.points:
            return f"its plan promises {self.plan} tests, but {self.points} were reported"
        if self.repeated is not None:
            return f"test {self.repeated} was reported more than once"
        outside = next((number for number in sorted(self.numbers) if not 1 <= number <= self.plan), None)
        return f"test {outside} was reported, but its plan is 1..{self.plan}" if outside is not None else None


def is_tap(text: str) -> bool:
    """Does the output as a whole look like TAP? Its version line, or both a plan and a test point at line starts; or
    nothing but plans of no test."""
    if _VERSION.search(text) or ("1..0" in text and _plans_nothing(text)):
        return True
    return bool(re.search(rf"^{_PROMISED}\s*(?:#|$)", text, re.MULTILINE)) and bool(
        re.search(r"^(?:not )?ok \d{1,9}\b", text, re.MULTILINE)
    )


def _plans_nothing(text: str) -> bool:
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return all((plan := _PLAN.fullmatch(line.strip())) and int(plan[1]) == 0 for line in lines)


def documents(text: str) -> Iterator[str]:
    """What each of several programs printed one after another: the next begins with its version line, with a plan where
    there was one, or with its first point after a plan that came last."""
    starts, points, plan_after = [0], 0, -1  # how many points there were before the plan; -1: there was none yet
    for match in _OUTERMOST.finditer(text):
        if match["version"]:
            is_next = points > 0 or plan_after >= 0
        else:
            is_next = plan_after >= 0 if match["plan"] else plan_after > 0 and bool(match["first"])
        if is_next and len(starts) < _DOCUMENTS:
            starts.append(match.start())
            points, plan_after = 0, -1
        if match["plan"]:
            plan_after = points
        elif not match["version"]:
            points += 1
    yield from (text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True))


def parse_tap(text: str) -> Tally:
    """The tally of plain TAP output; a plan that is missing or not kept, at any level, is trouble."""
    return _Reader().read(text)


class _Reader:
    """Walks the lines once. The stack holds the levels that are open, outermost first."""

    def __init__(self) -> None:
        self._stack = [_Level()]
        self._trouble: str | None = None
        self._told: list[Case] | None = None  # ends in the case that a diagnostic block on the next line is about
        self._block: list[str] | None = None  # lines of the diagnostic block that is open
        self._bail: Case | None = None

    def read(self, text: str) -> Tally:
        for line in text.split("\n"):
            if self._bail:
                break
            self._line(line[:_LONGEST_LINE])
        while len(self._stack) > 1:
            self._leave_open_level()
        outermost = self._stack[0]
        if self._bail:
            return tally_of([*outermost.cases, self._bail])
        self._check(outermost, outermost=True)
        if outermost.plan_skip and not outermost.cases:
            outermost.cases.append(Case(name="all tests", status="skipped", error_message=outermost.plan_skip))
        return tally_of(outermost.cases, trouble=self._trouble)

    def _line(self, line: str) -> None:
        words = line.strip()
        if self._block is not None:
            self._in_block(self._block, words, line)
            return
        told, self._told = self._told, None
        depth = min((len(line) - len(line.lstrip(" "))) // 4, _DEEPEST)
        aligned = line.rstrip()[depth * 4 :] == words
        if words == "---" and told is not None:
            self._told, self._block = told, []
        elif bail := _BAIL.match(words):
            self._bail = Case(name="Bail out!", status="error", error_message=message_of(bail[1]) or "bailed out")
        elif aligned and (plan := _PLAN.fullmatch(words)):
            self._plan(depth, int(plan[1]), plan[2])
        elif aligned and (point := _POINT.match(words)):
            self._point(depth, point)

    def _level(self, depth: int) -> _Level:
        while len(self._stack) <= depth:
            self._stack.append(_Level())
        return self._stack[depth]

    def _plan(self, depth: int, count: int, directive: str | None) -> None:
        level = self._level(depth)
        if level.plan is not None:
            self._complain("it has two plans")
        elif count > COUNT_LIMIT:
            self._complain(f"its plan promises {count} tests, which can't be")
        level.plan = count
        if count == 0:
            level.plan_skip = message_of(directive) or "nothing to run"

    def _point(self, depth: int, match: re.Match[str]) -> None:
        level = self._level(depth)
        level.count(match[2])
        point = _case(match)
        inner = self._inner_cases(depth)
        if point.status == "skipped" and match[1]:
            inner = [_excused(case, point.error_message) for case in inner]
        level.cases.extend(replace(case, name=name_of(f"{point.name} > {case.name}")) for case in inner)
        explained = any(case.status in ("failed", "error") for case in inner)
        own = not inner or (point.status == "failed" and not explained)
        if own:
            level.cases.append(point)
        self._told = level.cases if own else []

    def _inner_cases(self, depth: int) -> list[Case]:
        """The cases of the sub-tests that the point just read at `depth` sums up."""
        while len(self._stack) > depth + 2:
            self._leave_open_level()
        if len(self._stack) == depth + 2:
            inner = self._stack.pop()
            self._check(inner, outermost=False)
            return inner.cases
        return []

    def _leave_open_level(self) -> None:
        """A level whose summing point never came: its cases count for the level around it."""
        inner = self._stack.pop()
        self._check(inner, outermost=False)
        self._stack[-1].cases.extend(inner.cases)

    def _check(self, level: _Level, *, outermost: bool) -> None:
        if level.plan is None and outermost:
            self._complain("it has no plan (a line such as 1..3), so nobody knows whether all tests ran")
        elif contradiction := level.contradiction():
            self._complain(contradiction)

    def _complain(self, sentence: str) -> None:
        self._trouble = self._trouble or f"its TAP output is inconsistent: {sentence}"

    def _in_block(self, block: list[str], words: str, line: str) -> None:
        if words != "...":
            if len(block) < _LONGEST_BLOCK:
                block.append(line)
            return
        cases, self._told, self._block = self._told, None, None
        if cases:
            cases[-1] = _with_block(cases[-1], "\n".join(block))


def _case(match: re.Match[str]) -> Case:
    failed, number, rest = match[1], match[2], match[3]
    directive = _DIRECTIVE.search(rest)
    said = (rest[: directive.start()] if directive else rest).replace("\\#", "#").replace("\\\\", "\\")
    status: CaseStatus = "failed" if failed else "passed"
    message = None
    if directive and (directive[1].lower() == "skip" or failed):
        status, message = "skipped", message_of(f"{directive[1].lower()} {directive[2]}".strip())
    name = name_of(said, fallback=f"test {number}" if number else "unnamed test")
    return Case(name=name, status=status, error_message=message)


def _excused(case: Case, why: str | None) -> Case:
    """A sub-test of a point whose failure is expected: its own is, too."""
    return replace(case, status="skipped", error_message=why) if case.status in ("failed", "error") else case


def _with_block(case: Case, text: str) -> Case:
    """The case with what its diagnostic block says."""
    duration = _DURATION.search(text)
    message = message_of(text) if case.status == "failed" else case.error_message
    return replace(case, duration_ms=milliseconds(duration[1]) if duration else 0.0, error_message=message)
