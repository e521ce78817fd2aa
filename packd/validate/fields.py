"""Reading one mapping key by key: what does not fit becomes a problem that points at it. Pure."""

from __future__ import annotations

import posixpath
import re
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

from packd.domain.clipping import clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from packd.domain.positioned import Document, KeyPath
    from packd.domain.problems import Problem, Severity

_NUMBER = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?(?:[eE][+-]?\d)?)\s*(?:s|sec|seconds)?\s*")  # `60s`, `1e3`, `"0.9"`
_NOT_IN_PATH = re.compile("[\x00-\x1f\x7f]")
# Guessing what was meant takes up to 0.2 s: in a file of nothing but mistakes nobody waits for the thousandth guess.
_GUESSED_AT = 50  # problems of a pack
_KEYS_LOOKED_AT = 1000  # of one mapping
_MOST_KNOWN = 2000  # words that one is compared with
_LONGEST_SUGGESTION = 200  # characters; what is longer was no slip of the pen


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    plain = {_folded(each): each for each in known}
    folded = _folded(word)
    if folded in plain:
        return plain[folded]
    few = len(folded) < 64 and len(plain) <= _MOST_KNOWN
    close = get_close_matches(folded, plain, n=1, cutoff=0.75) if few else []  # `tpye` is 0.75 of `type`
    if not close and len(folded) >= 4:
        longer = [each for each in plain if each.startswith(folded)]
        close = longer if len(longer) == 1 else []
    return plain[close[0]] if close else None


def _folded(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")


def inside(path: str) -> str | None:
    """`path` in its shortest form if it stays inside the folder that it is relative to, else None."""
    if not path or path.startswith("/") or len(path) > 1024 or _NOT_IN_PATH.search(path):
        return None
    short = posixpath.normpath(path)
    return None if short == ".." or short.startswith("../") else short


def shown(value: Any) -> str:
    """A value as messages quote it."""
    return clip(value if isinstance(value, str) else str(value), 80)


class Section:
    """One mapping of a document, and the list that its problems go to."""

    def __init__(
        self, document: Document, path: KeyPath, value: dict[str, Any], problems: list[Problem], code: str
    ) -> None:
        self.document = document
        self.path = path
        self.value = value
        self.problems = problems
        self.code = code  # of a value that is not of the type its key asks for

    def __contains__(self, key: str) -> bool:
        """Is the key there with a value? `key:` and nothing after it counts as not there."""
        return self.value.get(key) is not None

    def complain(
        self,
        code: str,
        message: str,
        *keys: str | int,
        key: bool = False,
        suggestion: str | None = None,
        severity: Severity = "error",
    ) -> None:
        """A problem at the value of `keys`, or with `key` at the last of these keys itself."""
        if suggestion is not None and len(suggestion) > _LONGEST_SUGGESTION:
            suggestion = None
        path = (*self.path, *keys)
        self.problems.append(
            self.document.problem(code, message, path, key=key, suggestion=suggestion, severity=severity)
        )

    def warn(self, code: str, message: str, *keys: str | int, key: bool = False, suggestion: str | None = None) -> None:
        self.complain(code, message, *keys, key=key, suggestion=suggestion, severity="warning")

    def written(self, *keys: str | int) -> str:
        """A scalar as its author wrote it."""
        return self.document.text((*self.path, *keys)) or ""

    def nearest(self, word: str, known: Iterable[str]) -> str | None:
        """The known word that was probably meant; None where so much is wrong that nobody looks for it."""
        return nearest(word, known) if len(self.problems) < _GUESSED_AT else None

    def text(self, key: str, code: str | None = None) -> str | None:
        """`code` is that of the problem when it isn't text."""
        value = self.value.get(key)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, (dict, list)):
            self._mistyped(key, "text", code)
        else:
            written = shown(self.written(key))
            message = f"{key} must be text, and YAML reads {written} as {_yaml_type(value)}; put it in quotes"
            self.complain(code or self.code, message, key, suggestion=f'"{written}"')
        return None

    def name(self, key: str, code: str, fits: Callable[[str], bool]) -> str | None:
        """`text` that is checked further. What fits once it is in quotes is told to lack them; else what was written counts."""
        value = self.value.get(key)
        is_text = value is None or isinstance(value, (str, dict, list))
        return self.text(key, code) if is_text or fits(self.written(key)) else self.written(key)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.value.get(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        meant = str(value).casefold() if isinstance(value, (str, int)) else ""
        suggestion = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}
        self.complain(self.code, f"{key} must be true or false", key, suggestion=suggestion.get(meant))
        return default

    def number(self, key: str) -> float | None:
        value = self.value.get(key)
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return value
        meant = _NUMBER.fullmatch(value) if isinstance(value, str) else None
        message = f"{key} must be a number, not {_yaml_type(value)}"
        self.complain(self.code, message, key, suggestion=f"{float(meant[1]):.12g}" if meant else None)
        return None

    def choice(self, key: str, choices: tuple[str, ...], code: str) -> str | None:
        """One of `choices`, or None after a problem with `code`."""
        value = self.value.get(key)
        if value is None or value in choices:
            return value
        message = f"{key} {shown(value)!r} is not known; use one of: {', '.join(choices)}"
        self.complain(
            code, message, key, suggestion=self.nearest(str(value), choices) if isinstance(value, str) else None
        )
        return None

    def section(self, key: str, code: str | None = None) -> Section | None:
        """The mapping at `key`, as a section of its own; `code` is for mistyped values, there and in it."""
        value = self.value.get(key)
        if isinstance(value, dict):
            return self.below(value, key, code=code)
        if value is not None:
            self._mistyped(key, "a mapping (lines of 'key: value', indented)", code)
        return None

    def below(self, value: dict[str, Any], *keys: str | int, code: str | None = None) -> Section:
        return Section(self.document, (*self.path, *keys), value, self.problems, code or self.code)

    def items(self, key: str) -> list[Any] | None:
        value = self.value.get(key)
        if value is None or isinstance(value, list):
            return value
        self._mistyped(key, "a list (lines of '- item')")
        return None

    def texts(self, key: str) -> list[str] | None:
        """A list of texts; items of another type are a problem each."""
        items = self.items(key)
        for index, item in enumerate(items or ()):
            if not isinstance(item, str):
                self.complain(self.code, f"{key} must be a list of texts; put this item in quotes", key, index)
        return None if items is None else [item for item in items if isinstance(item, str)]

    def unknown(self, known: Iterable[str], code: str, where: str, *, only_near: bool = False) -> None:
        """Warn of keys that will have no effect; with `only_near`, of those only that look like a known one."""
        known = frozenset(known)
        for key in islice((key for key in self.value if key not in known), _KEYS_LOOKED_AT):
            suggestion = self.nearest(key, known)
            if suggestion is not None or not only_near:
                message = f"{shown(key)!r} is not a key of {where}, so it has no effect"
                self.warn(code, message, key, key=True, suggestion=suggestion)

    def missing(self, code: str, message: str, wanted: str, example: str | None = None) -> None:
        """Complain that `wanted` isn't there: at a key that looks like it, else at the section, with an example."""
        if wanted in self.value:
            self.complain(code, message, wanted, key=True, suggestion=example)
            return
        keys = islice(self.value, _KEYS_LOOKED_AT)
        meant = next((key for key in keys if self.nearest(key, (wanted,))), None)
        if meant is None:
            self.complain(code, message, suggestion=example)
        else:
            self.complain(code, message, meant, key=True, suggestion=wanted)

    def _mistyped(self, key: str, wanted: str, code: str | None = None) -> None:
        self.complain(code or self.code, f"{key} must be {wanted}, not {_yaml_type(self.value[key])}", key)


def _yaml_type(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "a mapping", list: "a list", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
