"""Versions and version ranges as people write them. Pure."""

from __future__ import annotations

import re

from semantic_version import SimpleSpec, Version

_LONGEST = 128  # characters; a version is a label, not a text
_AFTER_OPERATOR = re.compile(r"([<>=!~^])\s+(?=[^<>=!~^])")
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_SINGLE_EQUALS = re.compile(r"(^|,)=(?=\d)")
_FROM_PRE_RELEASE = re.compile(r"(\^|~=?)((\d+)\.(\d+)\.(\d+)-[^,]+)")
_NUMBERS = re.compile(
    r"[vV]?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:[-.]?((?i:a|alpha|b|beta|dev|pre|rc|snapshot)[.-]?\d{0,9}))?"
)


def is_version(text: str) -> bool:
    """Is it a version by SemVer 2.0.0?"""
    if len(text) > _LONGEST:
        return False
    try:
        return str(Version(text)) == text  # Version would also take other scripts' digits, and a newline at the end
    except ValueError:
        return False


def version_meant(text: str) -> str | None:
    """The SemVer version that was probably meant by `1`, `1.0`, `v1.2.3`, `01.2.3` or `1.2rc1`."""
    found = _NUMBERS.fullmatch(text.strip())
    if found is None:
        return None
    *numbers, pre_release = found.groups()
    meant = ".".join(str(int(number or 0)) for number in numbers) + (f"-{pre_release}" if pre_release else "")
    return meant if is_version(meant) else None


def as_range(text: str) -> str | None:
    """A SimpleSpec that says the same (`>= 1.2 <2` becomes `>=1.2,<2`), or None when it is no range.

    `^2.0.0-rc.1` becomes `>=2.0.0-rc.1,<3.0.0`, and `~` likewise: of its own a SimpleSpec leaves out 2.0.0 itself.

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
    return _FROM_PRE_RELEASE.sub(_with_both_bounds, spec)


def _with_both_bounds(clause: re.Match[str]) -> str:
    operator, lowest = clause[1], clause[2]
    major, minor, patch = (int(number) for number in clause.groups()[2:])
    if operator != "^" or (not major and minor):
        return f">={lowest},<{major}.{minor + 1}.0"
    return f">={lowest},<{major + 1}.0.0" if major else f">={lowest},<0.0.{patch + 1}"


def range_meant(text: str) -> str | None:
    """The range that was probably meant by `v1.2`, `1.x` or `1.2+`."""
    plain = re.sub(r"(?<![\w.])[vV](?=\d)", "", text.strip()[:_LONGEST])
    plain = re.sub(r"^(\d[\d.]*)\+$", r">=\1", re.sub(r"\.[xX](?![\w])", ".*", plain))
    return as_range(plain) if plain != text else None


def in_range(version: str, spec: str) -> bool:
    """Does a version of an interpreter, as it calls itself, lie in a range that `as_range` gave?"""
    return Version.coerce(version.strip().removeprefix("v")) in SimpleSpec(spec)
