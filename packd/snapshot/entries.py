"""What a look at a drop found, as values, and the fingerprint that says whether it is still the same. Pure."""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from packd.domain.problems import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packd.domain.problems import Problem
    from packd.snapshot.limits import Limits

Kind = Literal["file", "folder", "link"]

# A change within this time of our looking may share its timestamp with what we saw, or not have one yet: "racily
# clean", as in git's index. Linux stamps files by a clock that ticks every 1 to 10 ms.
MARGIN_NS: Final = 20_000_000
COARSE_MARGIN_NS: Final = 2_000_000_000  # where the file system keeps whole seconds; FAT keeps every second one
_SECOND_NS: Final = 1_000_000_000

_VERSION: Final = "1"  # of the fingerprint; changes when the same tree would be read in another way
NUMBERS: Final = struct.Struct("<BHQQQQ")  # kind, mode, size, mtime, ctime, inode; of a folder only the first two
_64_BITS: Final = 2**64 - 1  # nanoseconds of years before 1970 and after 2262 take more, or a sign
FOLDER: Final = 0
FILE: Final = 1
_KIND_NUMBERS: Final[dict[Kind, int]] = {"folder": FOLDER, "file": FILE, "link": 2}


class Entry(NamedTuple):
    """One thing in a pack. A tuple, not a dataclass: a full scan of many packs makes a million of them."""

    path: str  # from the top of the pack, "/"-separated; "" for a drop that is one file
    kind: Kind
    mode: int  # the permission bits of st_mode
    size: int  # bytes
    mtime_ns: int
    ctime_ns: int
    inode: int
    link_target: str | None  # None unless it is a link

    @property
    def executable(self) -> bool:
        """May its owner execute it? The one mode bit that is part of a pack's content."""
        return bool(self.mode & stat.S_IXUSR)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What a drop was when it was looked at. Nothing in it was read, except names and links."""

    entries: tuple[Entry, ...]  # without the top folder and what is ignored, sorted by path, bytewise
    problems: tuple[Problem, ...]  # errors refuse the drop; the entries may then be incomplete
    unsettled: Problem | None  # set when something vanished under our eyes: look again later
    limits: Limits  # that were applied
    began_ns: int  # Unix time before the first look at it
    ended_ns: int  # Unix time after the last
    newest_ns: int  # the latest change that can be seen: of a file, or of what is in a folder; 0 when there is none
    files: int  # regular files
    bytes: int  # their content
    transferring: str | None = None  # a path, no part of the pack, that is being written to: more is on its way
    whole: bool = (
        False  # every folder in it was listed: nothing is wrong with it, and no rule of its own leaves any out
    )

    @property
    def refused(self) -> bool:
        """Is there an error among the problems?"""
        return bool(errors(self.problems))

    @property
    def is_file(self) -> bool:
        """Is the drop a single file?"""
        return len(self.entries) == 1 and not self.entries[0].path

    @property
    def changed_ns(self) -> int:
        """The latest change of a file or link: its ctime, which nobody can set back. 0 when there are none."""
        return max([entry.ctime_ns for entry in self.entries if entry.kind != "folder"], default=0)

    @property
    def margin_ns(self) -> int:
        """How far apart two changes must be to have different timestamps for certain."""
        fractions = any(entry.ctime_ns % _SECOND_NS for entry in self.entries)
        return MARGIN_NS if fractions or not self.entries else COARSE_MARGIN_NS

    def same_as(self, other: Tree) -> bool:
        """Was nothing changed between the two looks, as far as timestamps can tell?"""
        if self.entries == other.entries:
            return True
        return [_identity(entry) for entry in self.entries] == [_identity(entry) for entry in other.entries]

    def fingerprint(self, now_ns: int) -> str | None:
        """A name for "nothing changed": equal fingerprints of two looks mean equal content.

        It rests on (path, kind, mode, size, mtime, ctime, inode, link target) of files and links, on (path, mode) of
        folders, on the limits, and on what is wrong where, as a FIFO is no entry. None when it can't be trusted:
        something vanished, or a file changed so close to `now_ns` (Unix time) or to the look itself that it may change
        again without its timestamps showing it; or when something can't be read, which may pass without any change to
        the drop.
        """
        if self.unsettled is not None or self._unreadable or self._racy(now_ns):
            return None
        paths = "\0".join([entry.path for entry in self.entries])
        targets = "\0".join([entry.link_target for entry in self.entries if entry.link_target is not None])
        wrong = "\0".join([f"{problem.code} {problem.file}" for problem in errors(self.problems)])
        return fingerprint_of(self.limits, len(self.entries), paths, targets, map(_packed, self.entries), wrong=wrong)

    @property
    def _unreadable(self) -> bool:
        return any(problem.code == "tree.unreadable" for problem in self.problems)

    def _racy(self, now_ns: int) -> bool:
        margin = self.margin_ns
        if self.changed_ns < min(self.began_ns, now_ns) - margin:
            return False
        # A timestamp well ahead of the clock is no danger: the next change gets another one.
        spans = ((self.began_ns - margin, self.ended_ns + margin), (now_ns - margin, now_ns + margin))
        changes = [entry.ctime_ns for entry in self.entries if entry.kind != "folder"]
        return any(first < change < last for first, last in spans for change in changes)


def fingerprint_of(
    limits: Limits, count: int, paths: str, targets: str, numbers: Iterable[bytes], *, wrong: str = ""
) -> str:
    """Of `count` entries in the order of their paths; `paths`, `targets` and what is `wrong` are joined by zeros."""
    # Fixed lengths and a separator that no name can have: no two trees are written alike.
    head = f"{_VERSION} {_named(limits)} {count}\0{paths}\0{targets}\0{wrong}".encode("utf-8", "surrogateescape")
    return sha256(b"".join([head, *numbers])).hexdigest()


@lru_cache(8)
def _named(limits: Limits) -> str:
    return str(limits)


def _identity(entry: Entry) -> tuple[str | int | None, ...]:
    """What must be equal for an entry to count as unchanged; a folder's own times and size say nothing of content."""
    return entry if entry.kind != "folder" else (entry.path, "folder", entry.mode)


def _packed(entry: Entry) -> bytes:
    """The numbers of `_identity`."""
    _, kind, mode, size, mtime_ns, ctime_ns, inode, _ = entry
    if kind == "folder":
        return NUMBERS.pack(FOLDER, mode, 0, 0, 0, 0)
    return NUMBERS.pack(_KIND_NUMBERS[kind], mode, size, mtime_ns & _64_BITS, ctime_ns & _64_BITS, inode)
