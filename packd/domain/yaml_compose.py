"""YAML events → nodes that know where they stand; the working half of `positioned`.

A loop over events with its own stack, so that nesting costs no recursion, under caps on depth and on values.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import yaml

from packd.domain.clipping import clip
from packd.domain.problems import Problem
from packd.domain.yaml_nodes import Node, OpenMapping, OpenSequence
from packd.domain.yaml_scalars import SCALAR_TAGS, NotOfTagError, of_tag, plain


class _PythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """The same events as libyaml's, slower, where PyYAML was built without it."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


def _event_parser() -> Any:
    try:
        from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs leave it out
    except ImportError:
        return _PythonParser
    return CParser


_EventParser: Final = _event_parser()
_MOST_PROBLEMS: Final = 100  # of one file; a thousandth duplicate key tells nobody anything

_PARSERS_OWN_CAP: Final = "maximum nesting depth"  # libyaml looks ahead, and gives up at 1,000 levels from 0.2.6 on

_MAP_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:map"})
_SEQ_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:seq"})
_BACKSLASH: Final = "in double quotes a backslash is written twice; or put the text in single quotes"
# The parser's words → what to do about it.
_ADVICE: Final = (
    (
        "mapping values are not allowed",
        "a ':' is out of place; check the indentation, and that a ': ' is behind the key above, or quote text that "
        "contains ': '",
    ),
    ("expected <block end>", "the indentation does not match the lines above"),
    ("expected '-' indicator", "the indentation does not match the list items above"),
    (
        "did not find expected key",
        "the indentation does not match the keys above, or a quote or bracket is out of place",
    ),
    (
        "could not find expected ':'",
        "a key has no ':' after it, an item no space after its '-', or a quoted text or bracket above is not closed",
    ),
    ("tab character", "a tab stands where spaces are needed; indent with spaces"),
    ("unexpected end of stream", "a quoted text is not closed"),
    ("expected ',' or", "a bracket is not closed, or a ',' is missing"),
    ("unexpected document", "a quoted text is not closed"),
    ("<document start>", "what stands above is complete by itself; begin all keys of the top in the same column"),
    ("alphabetic or numeric", "a text that begins with '*' or '&' must be in quotes"),
    ("line break", "'|' and '>' announce a text in the lines below; put a text that begins with them in quotes"),
    ("unknown escape", _BACKSLASH),
    ("escape code", _BACKSLASH),
    ("hexdecimal", _BACKSLASH),
    ("node content", "a value is missing here, or a ',' or a bracket is out of place"),
    ("sequence entries are not allowed", "a list begins in the line below its key; or put the text in quotes"),
    ("mapping keys are not allowed", "a text that begins with '? ' must be in quotes"),
    ("directive name", "a line that begins with '%' is no content; put the text in quotes, or remove it"),
    ("tag ", "a text that begins with '!' must be in quotes"),
)
# The parser gives up far below these, or behind them; what is to be changed is where they begin.
_FROM_THE_BEGINNING: Final = ("quoted scalar", "flow ", "simple key", "alias", "anchor", "block scalar", "directive")
_RIGHT_THERE: Final = ("escape", "hexdecimal", "tab character")  # although inside one of these


class _StopError(Exception):
    """Nothing more can be read; the problem is already among the others."""


class Composer:
    """Reads one text; `root` is what came before reading stopped, `complete` whether that was the end."""

    def __init__(self, file: str, max_depth: int, max_values: int) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.complete = False
        self.values = 0
        self._file = file
        self._max_depth = max_depth
        self._max_values = max_values
        self._stack: list[OpenMapping | OpenSequence] = []
        self._anchors: dict[str, Node | None] = {}  # None: its end has not come yet
        self._documents = 0
        self._handled = 0  # events

    def compose(self, text: str) -> None:
        """Never raises for anything in `text`, provided that YAML allows its characters."""
        with suppress(_StopError):
            try:
                self._follow(text)
                self.complete = True
            except yaml.YAMLError as error:
                self._unreadable(error, text)

    def _follow(self, text: str) -> None:
        """Handle the events of `text` that were not handled yet. Raises YAMLError, _StopError."""
        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.DocumentStartEvent: self._document,
        }
        parser = _EventParser(text)
        for _ in range(self._handled):
            parser.get_event()
        while (event := parser.get_event()) is not None:
            self._handled += 1
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)

    def _unreadable(self, error: yaml.YAMLError, text: str) -> None:
        if _PARSERS_OWN_CAP in str(getattr(error, "problem", None)):
            self._find_too_deep(text, error.problem_mark)  # type: ignore[attr-defined]  # not in its stubs
        line, column = _place(error)
        advice = _advice(error, text, line, column)
        self._complain("metadata.invalid_yaml", f"This is not valid YAML: {advice}", line, column)

    def _complain(self, code: str, message: str, line: int, column: int) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(code=code, message=message, file=self._file, line=line, column=column))

    def _stop(self, code: str, message: str, mark: Any) -> _StopError:
        self._complain(code, message, mark.line + 1, mark.column + 1)
        return _StopError()

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self.complete = True  # the first one was read to its end
            message = "A second document begins here; keep one document in a file"
            raise self._stop("metadata.several_documents", message, event.start_mark)

    def _count(self, values: int, mark: Any) -> None:
        self.values += values
        if self.values > self._max_values:
            message = f"The file holds more than {self._max_values} values (aliases count wherever they are used)"
            raise self._stop("limits.metadata_values_exceeded", message, mark)

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        self._count(1, mark)
        text, tag, line, column = event.value, event.tag, mark.line + 1, mark.column + 1
        is_plain = tag is None and event.implicit[0]
        if is_plain and text == "<<" and self._at_merge_key():
            return
        if "\0" in text:
            self._complain("metadata.invalid_yaml", "A text with a NUL character in it can't be kept", line, column)
            text = text.replace("\0", "\ufffd")
        node = Node(None, line, column, text)
        node.value = plain(text) if is_plain else self._tagged(text, tag, node)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._put(node)

    def _at_merge_key(self) -> bool:
        mapping = self._stack[-1] if self._stack else None
        if isinstance(mapping, OpenMapping) and mapping.awaits_key:
            mapping.merging = True
            return True
        return False

    def _tagged(self, text: str, tag: str | None, node: Node) -> Any:
        if tag is None or tag == "!":
            return text
        if tag not in SCALAR_TAGS:
            self._foreign_tag(tag, node)
            return text
        try:
            return of_tag(tag, text)
        except NotOfTagError:
            message = f"{clip(text, 60)!r} is not a value for the tag {_shown(tag)}"
            self._complain("metadata.invalid_yaml", message, node.line, node.column)
            return text

    def _foreign_tag(self, tag: str, node: Node) -> None:
        message = f"The tag {_shown(tag)} is not supported; write the plain value"
        self._complain("metadata.unsupported_tag", message, node.line, node.column)

    def _alias(self, event: Any) -> None:
        mark, name = event.start_mark, event.anchor
        target = self._anchors.get(name)
        if target is None:
            inside = name in self._anchors
            why = "stands inside the value that it names" if inside else "names an anchor that is not defined above it"
            message = f"The alias *{clip(name, 60)} {why}"
            self._complain("metadata.invalid_alias", message, mark.line + 1, mark.column + 1)
            target = Node(None, 0, 0, "")
        self._count(target.size, mark)
        if len(self._stack) + target.height > self._max_depth:
            raise self._too_deep(mark)
        node = Node(target.value, mark.line + 1, mark.column + 1, target.text)
        node.keys, node.items, node.size, node.height = target.keys, target.items, target.size, target.height
        self._put(node)

    def _find_too_deep(self, text: str, mark: Any) -> None:
        """Of brackets the parser had read many more than it told of when it gave up, at `mark`: it tells of those before."""
        with suppress(yaml.YAMLError):
            self._follow(text[: mark.index])
        raise self._too_deep(mark)

    def _too_deep(self, mark: Any) -> _StopError:
        message = f"This is nested more than {self._max_depth} levels deep"
        return self._stop("limits.metadata_depth_exceeded", message, mark)

    def _open(self, event: Any) -> None:
        mark = event.start_mark
        if len(self._stack) >= self._max_depth:
            raise self._too_deep(mark)
        self._count(1, mark)
        is_mapping = type(event) is yaml.MappingStartEvent
        node = Node({} if is_mapping else [], mark.line + 1, mark.column + 1)
        if event.tag not in (_MAP_TAGS if is_mapping else _SEQ_TAGS):
            self._foreign_tag(event.tag, node)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._put(node)
        self._stack.append((OpenMapping if is_mapping else OpenSequence)(node, event.anchor, self.values))

    def _close(self, event: Any) -> None:
        ended = self._stack.pop()
        node = ended.node
        node.height = max(node.height, 1)
        if isinstance(ended, OpenMapping):
            for source in ended.merges:
                self._merge(ended, source, event.end_mark)
        node.size = self.values - ended.start + 1
        if ended.anchor:
            self._anchors[ended.anchor] = node
        if self._stack:
            around = self._stack[-1].node
            around.height = max(around.height, node.height + 1)

    def _merge(self, mapping: OpenMapping, source: Node, mark: Any) -> None:
        """YAML 1.1 merge key: keys that are there already stay, and in a list the earlier mapping wins."""
        for one in [source] if source.items is None else source.items:
            if one.keys is None:
                message = "The merge key '<<' takes a mapping or a list of mappings"
                self._complain("metadata.invalid_merge", message, source.line, source.column)
                return
            for key, (line, column, child) in one.keys.items():
                if key not in mapping.keys:
                    self._count(child.size, mark)
                    mapping.keys[key] = (line, column, child)
                    mapping.node.value[key] = child.value

    def _put(self, node: Node) -> None:
        if not self._stack:
            self.root = self.root or node
            return
        around = self._stack[-1]
        if node.height >= around.node.height:
            around.node.height = node.height + 1
        wrong = around.put(node)
        if wrong is not None:
            self._complain(*wrong, node.line, node.column)


def _place(error: yaml.YAMLError) -> tuple[int, int]:
    """Where the mistake is."""
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context", None) or ""
    said = str(getattr(error, "problem", None))
    from_beginning = any(word in context for word in _FROM_THE_BEGINNING)
    if mark is None or (from_beginning and not any(word in said for word in _RIGHT_THERE)):
        mark = getattr(error, "context_mark", None) or mark
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _advice(error: yaml.YAMLError, text: str, line: int, column: int) -> str:
    """The parser's complaint as something that one can act on."""
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read")
    if "cannot start any token" in said:
        lines = text.splitlines()
        character = lines[line - 1][column - 1 : column] if line <= len(lines) else ""
        if character == "\t":
            return "a tab stands where spaces are needed; indent with spaces"
        return f"a plain text can't begin with {character!r}; put it in quotes"
    return next((advice for words, advice in _ADVICE if words in said), said)


def _shown(tag: str) -> str:
    return clip(tag.replace("tag:yaml.org,2002:", "!!"), 60)
