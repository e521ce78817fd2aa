"""Which members of an archive may become files, by name and kind, before a byte of them is written. Pure.

Regular files and folders only, under normalised names inside the pack, within the limits. Everything else refuses the
archive as a whole, each by its own code: who unpacks only the harmless half of a hostile archive has been lied to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from packd.snapshot.limits import NAME_BYTES, finding, is_utf8, path_bytes, shown, too_large, too_many

if TYPE_CHECKING:
    from packd.domain.problems import Problem
    from packd.snapshot.limits import Limits

MemberKind = Literal["file", "folder", "symbolic link", "hard link", "special", "sparse", "encrypted"]

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_JUNK: Final = frozenset({"__MACOSX"})  # what the Mac's archiver adds beside the pack
_TOP_FOLDER: Final = 1  # levels that an archive may have more than its pack: the folder that is stripped

_KINDS: Final[dict[MemberKind, tuple[str, str]]] = {
    # `tar -h` alone makes hard links of what several links lead to.
    "symbolic link": (
        "archive.link",
        "is a symbolic link: archive what it leads to (tar -h --hard-dereference, or zip without -y), "
        "or drop the pack as a folder",
    ),
    "hard link": (
        "archive.link",
        "is a hard link: archive its content as well (tar --hard-dereference), or drop the pack as a folder",
    ),
    "special": ("archive.special_member", "is neither a file nor a folder: leave it out"),
    "sparse": ("archive.sparse_member", "is a sparse file: archive it without --sparse"),
    "encrypted": ("archive.encrypted", "is encrypted: archive it without a password"),
}


class TruncatedError(Exception):
    """The archive ends before its end; more of it may be on its way."""


class RefusedError(Exception):
    """The archive is not unpacked, for this reason; nothing that follows in it matters."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member as the archive declares it."""

    name: str  # as it is written there; bytes that are not UTF-8 as surrogate escapes
    kind: MemberKind
    size: int = 0  # bytes, unpacked
    executable: bool = False  # may its owner execute it?


class MemberPolicy:
    """Decides member by member; remembers names and sums, as duplicates and limits are about the archive as a whole."""

    def __init__(self, archive: str, ignored_name: Callable[[str], bool], limits: Limits) -> None:
        """`archive`: its name, for the problems."""
        self._archive = archive
        self._ignored_name = ignored_name
        self._limits = limits
        self._members = 0
        self._bytes = 0
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def admit(self, member: Member) -> str | Problem | None:
        """The path to unpack `member` to, None when it is to be left aside, or what is wrong with it.

        Raises RefusedError when the archive is too large as a whole. What is left aside counts too.
        """
        self._count(member)
        path = self._path(member.name)
        if not isinstance(path, str):
            return path
        parts = path.split("/")
        if not path or any(part in _JUNK or self._ignored_name(part) for part in parts):
            return None
        if member.kind in _KINDS:
            return self._refuse(member.name, *_KINDS[member.kind])
        if member.kind == "folder" and member.size:
            said = "is a folder and has content all the same: make the archive anew"
            return self._refuse(member.name, "archive.conflicting_member", said)
        return self._take(member, path, parts)

    def _count(self, member: Member) -> None:
        self._members += 1
        self._bytes += member.size
        if self._members > self._limits.files:
            raise RefusedError(too_many(self._limits, self._archive))
        if self._bytes > self._limits.bytes:
            raise RefusedError(too_large(self._limits, self._archive))

    def _path(self, name: str) -> str | Problem:
        """The normalised path: no "." or empty component, no slash at either end; "" for the top itself."""
        if not is_utf8(name):
            said = "has a name that is not UTF-8: make the archive anew with UTF-8 names"
            return self._refuse(name, "archive.name_not_utf8", said)
        if "\0" in name or "\\" in name:
            said = "has a backslash or a NUL in its name: rename it, or archive it with '/' between folders"
            return self._refuse(name, "archive.bad_name", said)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or _DRIVE.match(name) or ".." in parts:
            said = "leads out of the pack: make the archive with relative names and without '..'"
            return self._refuse(name, "archive.path_escapes", said)
        return "/".join(parts) if not self._too_far(parts) else self._far(name, parts)

    def _too_far(self, parts: list[str]) -> bool:
        return (
            len(parts) > self._limits.depth + 1 + _TOP_FOLDER
            or sum(path_bytes(part) + 1 for part in parts) > self._limits.path_length + 1 + NAME_BYTES
            or any(path_bytes(part) > NAME_BYTES for part in parts)
        )

    def _far(self, name: str, parts: list[str]) -> Problem:
        if len(parts) > self._limits.depth + 1 + _TOP_FOLDER:
            said = f"is in more than {self._limits.depth} folders: make the tree flatter, or raise limits.depth"
            return self._refuse(name, "limits.depth_exceeded", said)
        said = (
            f"has a path of more than {self._limits.path_length} bytes, or a name of more than {NAME_BYTES}: shorten it"
        )
        return self._refuse(name, "limits.path_too_long", said)

    def _take(self, member: Member, path: str, parts: list[str]) -> str | Problem:
        parents = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if member.kind == "folder":
            parents.add(path)  # may be named as often as one likes
        elif path in self._files:
            return self._refuse(member.name, "archive.duplicate_member", "is in it twice: which one is meant?")
        if parents & self._files or (member.kind == "file" and path in self._folders):
            said = "is a file in one place and a folder in another: rename one of the two"
            return self._refuse(member.name, "archive.conflicting_member", said)
        self._folders |= parents
        if member.kind == "file":
            self._files.add(path)
        return path

    def _refuse(self, name: str, code: str, said: str) -> Problem:
        return finding(code, f"member {shown(name)!r} {said}", self._archive)
