"""Unpack an archive into an empty, private folder: what it is by its content, each member by the policy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.domain.refs import ARCHIVE_SUFFIXES, archive_suffix
from packd.snapshot.copying import WRITE, write_all
from packd.snapshot.decompress import WRAPPINGS, DamagedError, Meter, plain, read_at
from packd.snapshot.limits import MOST_PROBLEMS, Limits, finding, size
from packd.snapshot.members import Member, MemberPolicy, RefusedError, TruncatedError
from packd.snapshot.tarred import is_header, tar_members
from packd.snapshot.zip_directory import EMPTY_MAGIC, LOCAL_MAGIC
from packd.snapshot.zipped import zip_members

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.ignore import Ignore
    from packd.domain.problems import Problem

MANIFEST: Final = "pack.yaml"

_BLOCK: Final = 512  # of a tar archive
_HEADERS: Final = 4 * _BLOCK  # bytes of a tar archive for one member, besides its content
_TAR_END: Final = 2 * 1024 * 1024  # zeros behind the last member, with the largest blocking factor that is in use
_FILE: Final = 0o600
_EXECUTABLE: Final = 0o700

_Members = Iterator[tuple[Member, Iterator[bytes]]]


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What became of an archive: just one of the three is set."""

    top: Path | None = None  # the folder that is the pack
    problems: tuple[Problem, ...] = ()  # why it is not unpacked
    truncated: Problem | None = None  # it ends before its end


def unpack(source: int, archive: str, into: Path, ignore: Ignore, limits: Limits) -> Unpacked:
    """Unpack the open file `source`, called `archive`, into the empty folder `into`, which nobody else can write to.

    Names in `ignore` are left aside. If all is in one folder and no manifest beside it, that folder is the pack.
    Raises OSError when `into` can't be written.
    """
    policy = MemberPolicy(archive, ignore.name, limits)
    try:
        problems = _extract(_members(source, archive, limits), policy, into)
    except TruncatedError:
        return Unpacked(truncated=_truncated(source, archive))
    except DamagedError as failure:
        return Unpacked(problems=(_unreadable(archive, f"it can't be unpacked: {failure}"),))
    except RefusedError as refusal:
        return Unpacked(problems=(refusal.problem,))
    return Unpacked(problems=problems) if problems else Unpacked(top=_top(into))


def _members(source: int, archive: str, limits: Limits) -> _Members:
    """What it is, its content says; its name may say something else."""
    packed = os.fstat(source).st_size
    most = limits.bytes + _HEADERS * limits.files + _TAR_END
    if packed > most:  # what is packed in it can't be all of it: it is never read to its end
        said = f"it has {size(packed)}: leave out what the pack does not need, or raise limits.bytes_mb"
        raise RefusedError(finding("limits.bytes_exceeded", said, archive))
    head = read_at(source, _BLOCK, 0)
    if head.startswith((LOCAL_MAGIC, EMPTY_MAGIC)):
        return zip_members(source, archive, Meter(archive, packed, limits, most=limits.bytes), limits)
    meter = Meter(archive, packed, limits, most=most)
    for magic, pieces in WRAPPINGS:
        if head.startswith(magic):
            return tar_members(map(meter.count, pieces(source)), archive)
    if len(head) == _BLOCK and (is_header(head) or not any(head)):
        return tar_members(map(meter.count, plain(source)), archive)
    if _may_grow_into_one(head, archive):
        raise TruncatedError
    raise DamagedError(f"its content is none of {', '.join(ARCHIVE_SUFFIXES)}")


def _may_grow_into_one(head: bytes, archive: str) -> bool:
    """Is it so short that it may be the beginning of an archive?"""
    magics = (LOCAL_MAGIC, EMPTY_MAGIC, *(magic for magic, _ in WRAPPINGS))
    return any(magic.startswith(head) for magic in magics) or (len(head) < _BLOCK and archive_suffix(archive) == ".tar")


def _extract(members: _Members, policy: MemberPolicy, into: Path) -> tuple[Problem, ...]:
    """Write what the policy lets pass, until it lets something not pass; from there on only look for more of that."""
    problems: list[Problem] = []
    made = {""}
    try:
        for member, content in members:
            path = policy.admit(member)
            if path is None:
                continue
            if not isinstance(path, str):
                problems.append(path)
            elif not problems:
                _write(into, path, member, content, made)
            if len(problems) >= MOST_PROBLEMS:
                break
    except (DamagedError, RefusedError):
        if not problems:
            raise
    return tuple(problems)


def _write(into: Path, path: str, member: Member, content: Iterator[bytes], made: set[str]) -> None:
    """By name, which is safe here: the folder is ours alone, and neither a link nor `..` ever gets into it."""
    folder = path if member.kind == "folder" else path.rpartition("/")[0]
    if folder not in made:
        (into / folder).mkdir(parents=True, exist_ok=True)
        made.add(folder)
    if member.kind == "folder":
        return
    opened = os.open(into / path, WRITE, _EXECUTABLE if member.executable else _FILE)
    try:
        for piece in content:
            write_all(opened, piece)
    finally:
        os.close(opened)


def _top(into: Path) -> Path:
    found = list(into.iterdir())
    if len(found) == 1 and found[0].name != MANIFEST and found[0].is_dir():
        return found[0]
    return into


def _truncated(source: int, archive: str) -> Problem:
    said = (
        f"it ends after {size(os.fstat(source).st_size)} and before its end: copy it again if nothing is copying it now"
    )
    return finding("archive.truncated", said, archive)


def _unreadable(archive: str, said: str) -> Problem:
    return finding("archive.unreadable", f"{said}; make it anew, or drop the pack as a folder", archive)
