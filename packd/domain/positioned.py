"""YAML text → plain values that remember where they were written. Pure; trusts nothing in the text.

The subset is what configuration needs: YAML 1.1 scalars as PyYAML's SafeLoader reads them (dates stay text, so that
every value is JSON), mappings with text keys, sequences, anchors, merge keys, one document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from packd.domain.problems import Problem, Severity
from packd.domain.yaml_compose import Composer
from packd.domain.yaml_nodes import Node

KeyPath = tuple[str | int, ...]  # keys and indexes from the top of a document, e.g. ("testing", "runners", 0)

MAX_DEPTH: Final = 64  # containers inside containers, aliases expanded
MAX_VALUES: Final = 100_000  # scalars and containers, aliases expanded

# What YAML 1.1 (5.1) leaves out of its character set, and a byte order mark that is not at the beginning.
_FOREIGN: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MOST_FOREIGN: Final = 10  # of the same kind of problem, one screen is enough
# A byte order mark, or the zeros around a first character of ASCII (YAML 1.2, 5.2).
_UTF16_32: Final = re.compile(rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff|\0{1,3}[^\0]|[^\0]\0")
# The parser compares each of these lines with all that came before it, and nothing else runs meanwhile.
_TAG_LINE: Final = re.compile(r"(?:^|(?<=[\r\n]))%(?=TAG)")
_MOST_TAG_LINES: Final = 100


@dataclass(frozen=True, kw_only=True)
class Document:
    """One YAML file after reading: the value, as far as it could be read, and what is wrong with the text."""

    file: str  # how problems name it
    value: Any = None  # JSON-able: dict (text keys), list, str, int, float, bool, None
    problems: tuple[Problem, ...] = ()
    complete: bool = True  # False: reading stopped early or guessed, and `value` is not all that was written
    values: int = 0  # scalars and containers that were read, aliases expanded
    root: Node | None = field(default=None, repr=False, compare=False)

    def at(self, path: KeyPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value at `path`, or of its key; of the nearest one around it when it isn't there."""
        node = self.root
        place = (1, 1) if node is None else (node.line, node.column)
        for depth, step in enumerate(path, 1):
            found = _child(node, step)
            if found is None:
                break
            key_line, key_column, node = found
            place = (key_line, key_column) if key and depth == len(path) else (node.line, node.column)
        return place

    def text(self, path: KeyPath) -> str | None:
        """The scalar at `path` as it was written (`1.0`, not 1.0); None for containers and where there is nothing."""
        node = self.root
        for step in path:
            found = _child(node, step)
            if found is None:
                return None
            node = found[2]
        return None if node is None else node.text

    def problem(
        self,
        code: str,
        message: str,
        path: KeyPath,
        *,
        key: bool = False,
        suggestion: str | None = None,
        severity: Severity = "error",
    ) -> Problem:
        """A problem that points at the value (or the key) at `path`."""
        line, column = self.at(path, key=key)
        return Problem(
            code=code,
            message=message,
            file=self.file,
            line=line,
            column=column,
            suggestion=suggestion,
            severity=severity,
        )


def read(text: bytes | str, *, file: str, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> Document:
    """Read one YAML document. Never raises: what is wrong is in `problems`, each with its line and column."""
    readable, foreign = _decoded(text, file) if isinstance(text, bytes) else _cleaned(text, file)
    composer = Composer(file, max_depth, max_values)
    composer.compose(readable)
    return Document(
        file=file,
        value=None if composer.root is None else composer.root.value,
        # What else looks wrong in a text with foreign characters is guesswork; its values are still worth having.
        problems=tuple(foreign or composer.problems),
        complete=composer.complete and not foreign,
        values=composer.values,
        root=composer.root,
    )


def _child(node: Node | None, step: str | int) -> tuple[int, int, Node] | None:
    if node is None:
        return None
    if isinstance(step, str):
        return None if node.keys is None else node.keys.get(step)
    if node.items is None or not 0 <= step < len(node.items):
        return None
    item = node.items[step]
    return item.line, item.column, item


def _decoded(text: bytes, file: str) -> tuple[str, list[Problem]]:
    found, before = "UTF-16 or UTF-32", ""
    if not _UTF16_32.match(text):
        try:
            return _cleaned(text.decode("utf-8"), file)
        except UnicodeDecodeError as error:
            found, before = "not UTF-8", text[: error.start].decode("utf-8")
    problem = _unreadable(f"This text is {found}; save the file as UTF-8", before, file)
    return _cleaned(text.decode("utf-8", "replace"), file)[0], [problem]


def _cleaned(text: str, file: str) -> tuple[str, list[Problem]]:
    """The text with what YAML does not know, and what it is slow at, made harmless; and a problem for the first of it."""
    text = text.removeprefix("\ufeff")
    problems = [
        _unreadable(f"The character U+{ord(match[0]):04X} is not allowed here; remove it", text[: match.start()], file)
        for match in islice(_FOREIGN.finditer(text), _MOST_FOREIGN)
    ]
    text = _FOREIGN.sub("\ufffd", text) if problems else text
    too_many = next(islice(_TAG_LINE.finditer(text), _MOST_TAG_LINES, None), None)
    if too_many is not None:
        message = f"There are more than {_MOST_TAG_LINES} %TAG lines; remove them, tags are not supported"
        problems.append(_unreadable(message, text[: too_many.start()], file, "metadata.unsupported_tag"))
        text = _TAG_LINE.sub("#", text)
    return text, problems


def _unreadable(message: str, before: str, file: str, code: str = "metadata.unreadable") -> Problem:
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Problem(code=code, message=message, file=file, line=line, column=column)
