"""The values of a YAML text with their places, and the containers that are still being filled."""

from __future__ import annotations

from typing import Any

from packd.domain.clipping import clip


class Node:
    """One value and where it stands; lines and columns are 1-based."""

    __slots__ = ("column", "height", "items", "keys", "line", "size", "text", "value")

    def __init__(self, value: Any, line: int, column: int, text: str | None = None) -> None:
        self.value = value
        self.line = line
        self.column = column
        self.text = text  # a scalar as written, without quotes; None for containers
        self.keys: dict[str, tuple[int, int, Node]] | None = None  # of a mapping: each key's own place, and its value
        self.items: list[Node] | None = None  # of a sequence
        self.size = 1  # values inside, itself included, aliases expanded
        self.height = 0  # levels of containers, itself included


class OpenSequence:
    """A sequence whose end has not come yet."""

    __slots__ = ("anchor", "items", "node", "start")

    def __init__(self, node: Node, anchor: str | None, start: int) -> None:
        self.node = node
        self.anchor = anchor
        self.start = start  # values counted before it
        self.items = node.items = []

    def put(self, node: Node) -> tuple[str, str] | None:
        self.items.append(node)
        self.node.value.append(node.value)
        return None


class OpenMapping:
    """A mapping whose end has not come yet."""

    __slots__ = ("anchor", "drop", "key", "keys", "merges", "merging", "node", "start")

    def __init__(self, node: Node, anchor: str | None, start: int) -> None:
        self.node = node
        self.anchor = anchor
        self.start = start  # values counted before it
        self.keys: dict[str, tuple[int, int, Node]] = {}
        node.keys = self.keys
        self.key: tuple[str, int, int] | None = None  # the key whose value comes next
        self.drop = False  # the next value belongs to a key that can't be used
        self.merging = False  # the next value belongs to `<<`
        self.merges: list[Node] = []

    @property
    def awaits_key(self) -> bool:
        return self.key is None and not self.drop and not self.merging

    def put(self, node: Node) -> tuple[str, str] | None:
        """Take a key or a value; the code and the message of what is wrong with a key."""
        if self.drop:
            self.drop = False
        elif self.merging:
            self.merging = False
            self.merges.append(node)
        elif self.key is not None:
            key, line, column = self.key
            self.key = None
            self.keys[key] = (line, column, node)
            self.node.value[key] = node.value
        else:
            return self._put_key(node)
        return None

    def _put_key(self, node: Node) -> tuple[str, str] | None:
        # A key is what was written: `on:` is "on" and `1:` is "1", as their author sees them.
        if node.text is None:
            self.drop = True
            return "metadata.invalid_yaml", "A key must be text; quote a value that begins with '{{'"
        if node.text in self.keys:
            self.drop = True
            first = self.keys[node.text][0]
            shown = clip(node.text, 60)
            return "metadata.duplicate_key", f"The key {shown!r} is given twice; the first one is in line {first}"
        self.key = (node.text, node.line, node.column)
        return None
