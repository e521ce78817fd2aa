r"""The digest of a pack: one SHA-256 over a canonical listing of its content. Pure.

The listing is bytes: the line `packd tree 1` and a newline, then one record for each entry below the top folder, the
records in the order of the bytes of their paths. A record is

    <kind> <size> <sha256> <path>\0

with single spaces, the size in decimal, the hash in lower-case hexadecimal and the path in UTF-8, "/"-separated:

    f   a file; size and SHA-256 of its content
    x   the same, and its owner may execute it
    l   a symbolic link; size and SHA-256 of the text that it holds
    d   a folder; size 0 and "-" for the hash

The digest of the pack is `sha256:` and the SHA-256 of the listing in hexadecimal. No other mode bit counts, no time, no
owner, no hard link; an empty folder does. A path can hold any byte but NUL, which ends the record, and all before it
has no room for ambiguity. With common tools, inside the folder (names without a newline, for the loop's sake):

    { printf 'packd tree 1\n'
      find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort | while IFS= read -r path; do
        if [ -h "$path" ]; then
          to=$(readlink "$path"); k=l n=$(printf %s "$to" | wc -c) s=$(printf %s "$to" | sha256sum | cut -c1-64)
        elif [ -d "$path" ]; then k=d n=0 s=-
        else
          k=f; [ -n "$(find "$path" -perm -u+x)" ] && k=x
          n=$(wc -c < "$path") s=$(sha256sum < "$path" | cut -c1-64)
        fi
        printf '%s %d %s %s\0' "$k" "$n" "$s" "$path"
      done
    } | sha256sum
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEADER: Final = b"packd tree 1\n"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


class Content(NamedTuple):
    """One entry of the listing, as far as it counts. A tuple, as there is one for each file of a pack."""

    path: str  # from the top of the pack, "/"-separated
    kind: str  # f, x, l or d, as above
    size: int  # bytes of the content, or of the text of a link; 0 for a folder
    sha256: str  # of the same, 64 hexadecimal digits; "-" for a folder


def file(path: str, *, executable: bool, size: int, sha256_hex: str) -> Content:
    return Content(path, "x" if executable else "f", size, sha256_hex)


def folder(path: str) -> Content:
    return Content(path, "d", 0, "-")


def link(path: str, target: str) -> Content:
    text = target.encode("utf-8")
    return Content(path, "l", len(text), sha256(text).hexdigest())


def digest(contents: Iterable[Content]) -> str:
    """The digest of a pack with these contents, in whatever order they come. Raises ValueError for what has no place."""
    listing = sha256(_HEADER)
    for record in sorted(_record(content) for content in contents):
        listing.update(record[1])
    return f"sha256:{listing.hexdigest()}"


def hex_of(digest: str) -> str:
    """The 64 hexadecimal digits of a digest; nothing else may become part of a path. Raises ValueError."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ValueError(f"{digest[:100]!r} is not a digest: it must be 'sha256:' and 64 digits of 0-9 and a-f")
    return match[1]


def _record(content: Content) -> tuple[bytes, bytes]:
    """What to sort by, and the bytes."""
    path = content.path.encode("utf-8")
    if not path or b"\0" in path:
        raise ValueError(f"{content.path!r} can't be a path in a pack")
    return path, b"%s %d %s %s\0" % (content.kind.encode(), content.size, content.sha256.encode(), path)
