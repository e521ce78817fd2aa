"""Plain YAML 1.1 scalars → JSON values, exactly as PyYAML's SafeLoader resolves them, except that dates stay text."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

from yaml import ScalarNode
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

Scalar = str | int | float | bool | None

_PREFIX: Final = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT = f"{_PREFIX}null", f"{_PREFIX}bool", f"{_PREFIX}int", f"{_PREFIX}float"
_TEXT: Final = frozenset(f"{_PREFIX}{name}" for name in ("str", "timestamp", "binary"))
SCALAR_TAGS: Final = frozenset({_NULL, _BOOL, _INT, _FLOAT, *_TEXT})

# A number of more characters is text: base 60 and 4,000 digits are only ever written to make a reader work hard.
_LONGEST_NUMBER: Final = 128

_RESOLVER: Final[Any] = Resolver()
_CONSTRUCTOR: Final = SafeConstructor()


class NotOfTagError(ValueError):
    """The text can't be read as its explicit tag says."""


@lru_cache(maxsize=4096)
def plain(text: str) -> Scalar:
    """The value of an unquoted scalar without a tag: `1:30` is 90, `017` is 15, `0o17` is text, `yes` is true."""
    if len(text) > _LONGEST_NUMBER:
        return text
    tag = _RESOLVER.resolve(ScalarNode, text, (True, False))
    try:
        return of_tag(tag, text) if tag in SCALAR_TAGS else text
    except NotOfTagError:  # `0x_` looks like a number and is none
        return text


def in_yaml(text: str) -> str:
    """A plain word as it has to be written to be read as text."""
    return text if plain(text) == text else f'"{text}"'


def of_tag(tag: str, text: str) -> Scalar:
    """The value of `text` under one of SCALAR_TAGS.

    Raises NotOfTagError when it isn't one.
    """
    if tag in _TEXT:
        return text
    if len(text) > _LONGEST_NUMBER:
        raise NotOfTagError(text)
    node = ScalarNode(tag, text)
    try:
        if tag == _NULL:
            return None
        if tag == _BOOL:
            return bool(_CONSTRUCTOR.construct_yaml_bool(node))
        if tag == _INT:
            return int(_CONSTRUCTOR.construct_yaml_int(node))
        number = float(_CONSTRUCTOR.construct_yaml_float(node))
    except (ValueError, KeyError, IndexError, OverflowError):
        raise NotOfTagError(text) from None
    return number if math.isfinite(number) else text  # JSON has no .inf and no .nan
