"""The name of a pack."""

from __future__ import annotations

import re
from typing import Final

REF_PATTERN: Final = r"[a-z][a-z0-9_-]{0,62}"
_REF = re.compile(REF_PATTERN)
_NOT_IN_REF = re.compile(r"[^a-z0-9_-]+")

ARCHIVE_SUFFIXES: Final = (".tar.gz", ".tar.xz", ".tar.zst", ".tgz", ".tar", ".zip")


# Names that stand for something else where a pack is named by its ref: `GET /packs/tests` lists the runs of all packs.
RESERVED: Final = frozenset({"tests"})


def is_ref(text: str) -> bool:
    return _REF.fullmatch(text) is not None and text not in RESERVED


def archive_suffix(name: str) -> str | None:
    """The archive ending of a file name (longest first), or None when it is not one that packd unpacks."""
    lowered = name.lower()
    return next((suffix for suffix in ARCHIVE_SUFFIXES if lowered.endswith(suffix)), None)


def ref_from_name(name: str) -> str:
    """A valid ref for a drop that could not say its own: lower case, other characters folded to `_`.

    >>> ref_from_name("My Pack.tar.gz")
    'my_pack'
    """
    suffix = archive_suffix(name) or ""
    stem = name[: len(name) - len(suffix)].encode("ascii", "replace").decode().lower()
    folded = _NOT_IN_REF.sub("_", stem).strip("_-")[:63]
    if not folded:
        return "unnamed"
    if folded in RESERVED:
        return f"{folded}_pack"
    return folded if folded[0].isalpha() else f"p{folded}"[:63]
