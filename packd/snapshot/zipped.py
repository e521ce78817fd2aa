"""The content of zip members: stored or deflated, each exactly as long as it was declared and with its checksum."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from packd.snapshot.decompress import CHUNK, DamagedError, Meter, read_at
from packd.snapshot.limits import Limits, finding, shown
from packd.snapshot.members import Member, RefusedError, TruncatedError
from packd.snapshot.zip_directory import ZipMember, zip_directory

_STORED: Final = 0
_DEFLATED: Final = 8
_RAW: Final = -zlib.MAX_WBITS


def zip_members(source: int, archive: str, meter: Meter, limits: Limits) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each member with its content, which need not be read.

    Raises TruncatedError, DamagedError, RefusedError.
    """
    for one in zip_directory(source, archive, limits):
        yield one.member, _content(source, one, archive, meter)


def _content(source: int, one: ZipMember, archive: str, meter: Meter) -> Iterator[bytes]:
    name = shown(one.member.name)
    size = crc = 0
    for piece in _unpacked(source, one, archive):
        size += len(meter.count(piece))
        if size > one.member.size:
            break
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != one.member.size:
        said = f"member {name!r} has not the {one.member.size:,} bytes that it says: make the archive anew"
        raise RefusedError(finding("archive.size_mismatch", said, archive))
    if crc != one.crc:
        raise DamagedError(f"member {name!r} has not the checksum that it says")


def _unpacked(source: int, one: ZipMember, archive: str) -> Iterator[bytes]:
    if one.method == _STORED:
        return _packed(source, one)
    if one.method == _DEFLATED:
        return _inflated(source, one, archive)
    said = f"member {shown(one.member.name)!r} is compressed by method {one.method}: packd knows 0 (stored) and 8 (deflate)"
    raise RefusedError(finding("archive.unknown_method", said, archive))


def _packed(source: int, one: ZipMember) -> Iterator[bytes]:
    at = one.data_at(source)
    end = at + one.packed
    while at < end:
        piece = read_at(source, min(CHUNK, end - at), at)
        if not piece:
            raise TruncatedError
        at += len(piece)
        yield piece


def _inflated(source: int, one: ZipMember, archive: str) -> Iterator[bytes]:
    """RFC 1951. A stream that goes on behind its declared end, or ends before it, is not what was declared."""
    stream = zlib.decompressobj(_RAW)
    packed, rest = _packed(source, one), b""
    while not stream.eof:
        rest = rest or next(packed, b"")
        try:
            piece = stream.decompress(rest, CHUNK)
        except zlib.error as failure:
            raise DamagedError(f"member {shown(one.member.name)!r} can't be unpacked ({failure})") from None
        if not rest and not piece:
            break  # all was given, and nothing is left to come out
        rest = stream.unconsumed_tail
        yield piece
    if not stream.eof or stream.unused_data or next(packed, b""):
        said = f"member {shown(one.member.name)!r} does not end where it says: make the archive anew"
        raise RefusedError(finding("archive.size_mismatch", said, archive))
