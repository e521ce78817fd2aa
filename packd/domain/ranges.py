"""Versions and version ranges as people write them. Pure."""

from __future__ import annotations

import re

from semantic_version import SimpleSpec, Version

_LONGEST = 128  # characters; a version is a label, not a text
_AFTER_OPERATOR = re.compile(r"([<>=!~^])\s+(?=[^<>=!~^])")
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_SINGLE_EQUALS = re.compile(r"(^|,)=(?=\d)")
_NUMBERS = re.compile(r"[vV]?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?")


def is_version(text: str) -> bool:
    """Is it a version by SemVer 2.0.0?"""
    try:
        Version(text[: _LONGEST + 1])
    except ValueError:
        return False
    return len(text) <= _LONGEST


def version_meant(text: str) -> str | None:
    """The SemVer version that was probably meant by `1`, `1.0`, `v1.2.3` or `01.2.3`."""
    found = _NUMBERS.fullmatch(text.strip())
    return None if found is None else ".".join(str(int(number or 0)) for number in found.groups())


def as_range(text: str) -> str | None:
    """A SimpleSpec that says the same (`>= 1.2 <2` becomes `>=1.2,<2`), or None when it is no range.

    The grammar is the one of semantic-version's SimpleSpec: `*`, `1.2`, `1.2.*`, `^1.2`, `~1.2`, `>=1.2,<2`.
    """
    if len(text) > _LONGEST or text.rstrip().endswith("+"):  # `3.9+` would be 3.9 with an empty build
        return None
    spaced = _AFTER_OPERATOR.sub(r"\1", text.strip())
    spec = _SINGLE_EQUALS.sub(r"\1==", _BETWEEN.sub(",", spaced))
    try:
        SimpleSpec(spec)
    except ValueError:
        return None
    return spec


def range_meant(text: str) -> str | None:
    """The range that was probably meant by `v1.2`, `1.x` or `1.2+`."""
    plain = re.sub(r"(?<![\w.])[vV](?=\d)", "", text.strip()[:_LONGEST])
    plain = re.sub(r"^(\d[\d.]*)\+$", r">=\1", re.sub(r"\.[xX](?![\w])", ".*", plain))
    return as_range(plain) if plain != text else None


def in_range(version: str, spec: str) -> bool:
    """Does a version of an interpreter, as it calls itself, lie in a range that `as_range` gave?"""
    return Version.coerce(version.strip().removeprefix("v")) in SimpleSpec(spec)
