"""The central directory of a zip archive, held against the local headers. As APPNOTE.TXT 6.3.10 describes them.

Everything is read within the bounds of the file and of the limits before it is believed; members that overlap each
other, or that say one thing here and another there, refuse the archive.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.snapshot.decompress import DamagedError, read_at
from packd.snapshot.limits import MIB, Limits, finding, shown, too_many
from packd.snapshot.members import Member, RefusedError, TruncatedError

if TYPE_CHECKING:
    from packd.snapshot.members import MemberKind

LOCAL_MAGIC: Final = b"PK\x03\x04"
EMPTY_MAGIC: Final = b"PK\x05\x06"  # the end record: an archive without members begins with it

_END: Final = struct.Struct("<4s4H2LH")  # section 4.3.16
_END64_LOCATOR: Final = struct.Struct("<4sLQL")  # 4.3.15
_END64: Final = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_CENTRAL: Final = struct.Struct("<4s4B4HL2L5H2L")  # 4.3.12
_LOCAL: Final = struct.Struct("<4s5H3L2H")  # 4.3.7
_LONGEST_COMMENT: Final = 0xFFFF
_IN_ZIP64: Final = 0xFFFFFFFF
_FEW_IN_ZIP64: Final = 0xFFFF
_MOST_DIRECTORY: Final = 32 * MIB  # bytes kept in memory; 20,000 members need 3

_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000  # plainly, strongly, with a masked directory
_DESCRIPTOR: Final = 0x8  # the sizes follow the content, and the local header has none
_ON_UNIX: Final = (3, 19)  # systems whose attributes are st_mode: Unix, OS X
_DOS_FOLDER: Final = 0x10


@dataclass(frozen=True, kw_only=True)
class ZipMember:
    """One record of the central directory."""

    member: Member
    method: int  # of compression
    flags: int
    crc: int  # CRC-32 of the content
    packed: int  # bytes of the content as it is stored
    header_at: int  # offset of the local header
    raw_name: bytes

    def data_at(self, source: int) -> int:
        """Offset of the content. Raises DamagedError when the local header says something else than the directory."""
        found = _LOCAL.unpack(_exactly(source, self.header_at, _LOCAL.size))
        magic, flags, method, packed, size, name_length, extra_length = (found[i] for i in (0, 2, 3, 7, 8, 9, 10))
        name_at = self.header_at + _LOCAL.size
        same = magic == LOCAL_MAGIC and method == self.method and (flags ^ self.flags) & _ENCRYPTED == 0
        if not same or _exactly(source, name_at, name_length) != self.raw_name:
            raise DamagedError(f"member {shown(self.member.name)!r} is not where the directory says that it is")
        if not flags & _DESCRIPTOR and not self._has_sizes(packed, size):
            raise DamagedError(f"member {shown(self.member.name)!r} has one size here and another in the directory")
        return int(name_at + name_length + extra_length)

    def _has_sizes(self, packed: int, size: int) -> bool:
        return packed in (self.packed, _IN_ZIP64) and size in (self.member.size, _IN_ZIP64)


def zip_directory(source: int, archive: str, limits: Limits) -> list[ZipMember]:
    """All members in the order of the directory, none of them overlapping another.

    Raises TruncatedError, DamagedError, RefusedError.
    """
    size = os.fstat(source).st_size
    at, length = _bounds(source, size)
    if length > _MOST_DIRECTORY:
        raise RefusedError(too_many(limits, archive))
    members: list[ZipMember] = []
    for member in _records(_exactly(source, at, length)):
        members.append(member)
        if len(members) > limits.files:
            raise RefusedError(too_many(limits, archive))
    _refuse_overlaps(source, members, at, archive)
    return members


def _bounds(source: int, size: int) -> tuple[int, int]:
    """Offset and length of the directory."""
    window = min(size, _END.size + _LONGEST_COMMENT)
    tail = _exactly(source, size - window, window)
    in_tail = tail.rfind(EMPTY_MAGIC)
    if in_tail < 0 or in_tail + _END.size > len(tail):
        raise TruncatedError
    *_, comment = found = _END.unpack_from(tail, in_tail)
    after = len(tail) - in_tail - _END.size - comment
    if after < 0:
        raise TruncatedError  # a comment that is still on its way
    try:
        bounds = _bounds_by_end(source, size - window + in_tail, found)
    except DamagedError:
        if after:
            raise TruncatedError from None  # the end of an archive inside this one
        raise
    if after:
        raise DamagedError(f"{after:,} byte{'s follow' if after > 1 else ' follows'} its end")
    return bounds


def _bounds_by_end(source: int, end: int, found: tuple[int, ...]) -> tuple[int, int]:
    """As the end record says, which is at `end`."""
    _, disk, first_disk, _, count, length, at, _ = found
    if _IN_ZIP64 in (length, at) or _FEW_IN_ZIP64 in (count, disk):
        end, length, at = _bounds64(source, end)
    elif disk or first_disk:
        raise DamagedError("it is one part of several: join them first")
    if at + length != end:
        raise DamagedError("its directory is not where its end says that it is")
    return at, length


def _bounds64(source: int, end: int) -> tuple[int, int, int]:
    """Where the directory must end, its length and its offset."""
    if end < _END64_LOCATOR.size:
        raise DamagedError("its directory is not where its end says that it is")
    magic, _, at64, _ = _END64_LOCATOR.unpack(_exactly(source, end - _END64_LOCATOR.size, _END64_LOCATOR.size))
    if magic != b"PK\x06\x07" or at64 > end:
        raise DamagedError("its directory is not where its end says that it is")
    magic, *_, length, at = _END64.unpack(_exactly(source, at64, _END64.size))
    if magic != b"PK\x06\x06":
        raise DamagedError("its directory is not where its end says that it is")
    return at64, length, at


def _records(directory: bytes) -> Iterator[ZipMember]:
    at = 0
    while at < len(directory):
        if at + _CENTRAL.size > len(directory):
            raise DamagedError("its directory ends in the middle of a member")
        found = _CENTRAL.unpack_from(directory, at)
        name_length, extra_length, comment_length = found[12], found[13], found[14]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_length
        at = extra_at + extra_length + comment_length
        if found[0] != b"PK\x01\x02" or at > len(directory):
            raise DamagedError("its directory can't be read")
        yield _member(found, directory[name_at:extra_at], directory[extra_at : extra_at + extra_length])


def _member(found: tuple[int, ...], raw_name: bytes, extra: bytes) -> ZipMember:
    system, flags, method, crc, packed, size = found[2], found[5], found[6], found[9], found[10], found[11]
    attributes, header_at = found[17], found[18]
    size, packed, header_at = _zip64(extra, (size, packed, header_at))
    name = raw_name.decode("utf-8", "surrogateescape")
    mode = attributes >> 16 if system in _ON_UNIX else 0
    kind: MemberKind = "encrypted" if flags & _ENCRYPTED else _kind(name, mode, attributes)
    member = Member(name=name, kind=kind, size=size, executable=bool(mode & stat.S_IXUSR))
    return ZipMember(
        member=member, method=method, flags=flags, crc=crc, packed=packed, header_at=header_at, raw_name=raw_name
    )


def _kind(name: str, mode: int, attributes: int) -> MemberKind:
    form = stat.S_IFMT(mode)
    if form == stat.S_IFLNK:
        return "symbolic link"
    if form not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "special"
    return "folder" if name.endswith("/") or form == stat.S_IFDIR or attributes & _DOS_FOLDER else "file"


def _zip64(extra: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Section 4.5.3: size, packed size and offset, each there only if its 32-bit field is full."""
    wide = _field(extra, 0x0001)
    result: list[int] = []
    for value in values:
        if value != _IN_ZIP64:
            result.append(value)
        elif len(wide) >= 8:
            result.append(int.from_bytes(wide[:8], "little"))
            wide = wide[8:]
        else:
            raise DamagedError("a member's size is missing from its zip64 field")
    return result[0], result[1], result[2]


def _field(extra: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(extra):
        identity, length = struct.unpack_from("<2H", extra, at)
        if identity == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


def _refuse_overlaps(source: int, members: list[ZipMember], directory_at: int, archive: str) -> None:
    """Members that share bytes are how a small archive claims to hold terabytes (David Fifield, 2019)."""
    ordered = sorted(members, key=lambda one: one.header_at)
    following = [*(one.header_at for one in ordered), directory_at][1:]
    for one, limit in zip(ordered, following, strict=True):
        if one.header_at + _LOCAL.size > limit or one.data_at(source) + one.packed > limit:
            said = f"member {shown(one.member.name)!r} overlaps what follows it: that looks like a bomb"
            raise RefusedError(finding("archive.overlapping_members", said, archive))


def _exactly(source: int, at: int, count: int) -> bytes:
    data = read_at(source, count, at) if count else b""
    if len(data) != count:
        raise TruncatedError
    return data
