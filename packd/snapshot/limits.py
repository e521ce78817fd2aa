"""How large a pack may be, and what is said when it is larger."""

from __future__ import annotations

import stat
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from packd.domain.clipping import clip
from packd.domain.problems import Problem

if TYPE_CHECKING:
    from packd.domain.problems import Severity

MIB: Final = 1024 * 1024
MOST_DEPTH: Final = 200
NAME_BYTES: Final = 255  # NAME_MAX of every file system that Linux keeps packs on
MOST_PROBLEMS: Final = 100  # of one drop; a thousandth unreadable file tells nobody anything
_SPECIAL: Final = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}
_SHOWN_BYTES: Final = 200  # of a path inside a message


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest pack that is taken. Raises ValueError when one is not positive, or more than packd can do."""

    files: int = 20_000  # files, folders and links together
    bytes: int = 512 * MIB  # content of all files; of an archive: all that is in it, unpacked
    depth: int = 32  # folders inside folders; at most MOST_DEPTH
    path_length: int = 1024  # bytes of a path inside the pack, and of a link's target
    ratio: int = 200  # unpacked bytes for each byte of an archive ...
    ratio_from: int = 10 * MIB  # ... asked only of archives that unpack to more than this

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"the limit {field.name!r} must be positive, not {getattr(self, field.name)}")
        if self.depth > MOST_DEPTH:  # each level takes open descriptors and a place on the stack
            raise ValueError(f"the limit 'depth' can be {MOST_DEPTH} at most, not {self.depth}")


def finding(code: str, message: str, path: str | None = None, *, severity: Severity = "error") -> Problem:
    """A problem whose `file` can be told to anybody, whatever bytes its name is made of."""
    return Problem(code=code, message=message, file=clip(path, 1024) if path else None, severity=severity)


def shown(path: str) -> str:
    """A path as it stands in a message."""
    return clip(path, _SHOWN_BYTES)


def is_utf8(text: str) -> bool:
    """Or are some of its bytes kept as surrogate escapes, because they are not?"""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def path_bytes(path: str) -> int:
    """How long a path is on disk."""
    return len(path) if path.isascii() else len(path.encode("utf-8", "surrogateescape"))


def too_many(limits: Limits, archive: str | None = None) -> Problem:
    return finding(
        "limits.traversed_entries_exceeded",
        f"there are more than {limits.files:,} files and folders: {_leave_out(archive)}, or raise limits.files",
        archive,
    )


def too_large(limits: Limits, archive: str | None = None) -> Problem:
    return finding(
        "limits.bytes_exceeded",
        f"the files have more than {size(limits.bytes)} together: {_leave_out(archive)}, or raise limits.bytes_mb",
        archive,
    )


def _leave_out(archive: str | None) -> str:
    # In an archive everything counts: it had to be unpacked before anybody knew what to ignore.
    return "leave out what the pack does not need" + ("" if archive else " (name it in .packdignore)")


def too_deep(limits: Limits, path: str) -> Problem:
    return finding(
        "limits.depth_exceeded",
        f"folders are nested more than {limits.depth} deep: make the tree flatter, or raise limits.depth",
        path,
    )


def too_long(limits: Limits, path: str, what: str = "this path") -> Problem:
    return finding(
        "limits.path_too_long",
        f"{what} has more than {limits.path_length} bytes, or a name in it more than {NAME_BYTES}: shorten it",
        path,
    )


def special(path: str, mode: int) -> Problem:
    what = _SPECIAL.get(stat.S_IFMT(mode), "a special file")
    said = f"this is {what}; a pack has regular files, folders and links only: remove it"
    return finding("tree.special_file", said, path)


def size(number: int) -> str:
    """Bytes as people read them; exact when it is a whole number of MiB.

    >>> size(512 * 1024 * 1024), size(10)
    ('512 MiB', '10 bytes')
    """
    if number >= MIB:
        return f"{number // MIB:,} MiB" if number % MIB == 0 else f"{number / MIB:,.1f} MiB"
    return f"{number:,} bytes"
