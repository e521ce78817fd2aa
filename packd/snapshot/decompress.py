"""The bytes of a tar archive out of whatever it is wrapped in, in pieces of bounded size and under a meter."""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import zstandard

from packd.snapshot.limits import MIB, finding, size
from packd.snapshot.members import RefusedError, TruncatedError

if TYPE_CHECKING:
    from packd.snapshot.limits import Limits

CHUNK: Final = 64 * 1024
_SIP: Final = 1024  # bytes
GZIP: Final = b"\x1f\x8b"
XZ: Final = b"\xfd7zXZ\0"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PZSTD: Final = b"\x50\x2a\x4d\x18"  # a frame to be skipped, with the length of the one that follows

# A window that must be kept in memory. 128 MiB is what `zstd -d` and `xz -9` do with, and no more.
_MOST_WINDOW: Final = 128 * MIB
# Members of gzip, streams of xz, frames of zstd in one archive: parallel compressors make one of every 64 KiB. An empty
# one is 8 bytes, and costs as much time as one with content.
_MOST_PARTS: Final = 100_000
_GZIP_AND_NOTHING_ELSE: Final = 16 + zlib.MAX_WBITS


class DamagedError(Exception):
    """What is there is not what this kind of archive has."""


def read_at(source: int, count: int, at: int) -> bytes:
    """pread(2). Raises DamagedError: a failing disk is told apart from one that can't be written to."""
    try:
        return os.pread(source, count, at)
    except OSError as failure:
        raise DamagedError(f"it can't be read ({failure.strerror})") from None


class Meter:
    """Counts what comes out against what went in; never trusts what an archive says about itself."""

    def __init__(self, archive: str, packed: int, limits: Limits, *, most: int) -> None:
        """`packed`: bytes of the archive; `most`: bytes that may come out of it."""
        self._archive = archive
        self._packed = max(packed, 1)
        self._limits = limits
        self._most = most
        self._unpacked = 0

    def count(self, data: bytes) -> bytes:
        """Hands on `data`. Raises RefusedError when that was too much."""
        self._unpacked += len(data)
        if self._unpacked > self._most:
            said = f"more than {size(self._most)} come out of it: leave out what the pack does not need"
            raise RefusedError(finding("limits.bytes_exceeded", said, self._archive))
        if self._unpacked > self._limits.ratio_from and self._unpacked > self._limits.ratio * self._packed:
            said = (
                f"more than {self._limits.ratio} bytes come out of each of its {self._packed:,}: "
                "that looks like a bomb; if it is none, drop the pack as a folder"
            )
            raise RefusedError(finding("archive.ratio_exceeded", said, self._archive))
        return data


def plain(source: int) -> Iterator[bytes]:
    """The file itself, from its beginning."""
    offset = 0
    while data := read_at(source, CHUNK, offset):
        offset += len(data)
        yield data


def gunzip(source: int) -> Iterator[bytes]:
    """RFC 1952, several members too. Raises TruncatedError, DamagedError."""
    packed, data, parts = plain(source), b"", 0
    while data := data or next(packed, b""):
        parts = _one_more(parts)
        member = zlib.decompressobj(_GZIP_AND_NOTHING_ELSE)
        while not member.eof:
            data = data or next(packed, b"")
            if not data:
                raise TruncatedError
            try:
                unpacked = member.decompress(data, CHUNK)
            except zlib.error as failure:
                raise DamagedError(str(failure)) from None
            data = member.unconsumed_tail
            yield unpacked
        data = _without_padding(member.unused_data, packed)


def unxz(source: int) -> Iterator[bytes]:
    """The .xz format, several streams too. Raises TruncatedError, DamagedError."""
    packed, data, parts = plain(source), b"", 0
    while data := data or next(packed, b""):
        parts = _one_more(parts)
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_WINDOW)
        while not stream.eof:
            if stream.needs_input:
                data = data or next(packed, b"")
                if not data:
                    raise TruncatedError
            try:
                unpacked = stream.decompress(data, CHUNK)
            except lzma.LZMAError as failure:
                raise DamagedError(str(failure)) from None
            data = b""
            yield unpacked
        data = _without_padding(stream.unused_data, packed)


def unzstd(source: int) -> Iterator[bytes]:
    """RFC 8878, several frames too. Raises TruncatedError, DamagedError."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW)
    packed, data, parts = _sips(source), b"", 0
    while data := data or next(packed, b""):
        parts = _one_more(parts)
        frame = decompressor.decompressobj()
        while not frame.eof:
            data = data or next(packed, b"")
            if not data:
                raise TruncatedError
            try:
                unpacked = frame.decompress(data)
            except zstandard.ZstdError as failure:
                raise DamagedError(str(failure)) from None
            data = b""
            yield unpacked
        data = _without_padding(frame.unused_data, packed)


def _sips(source: int) -> Iterator[bytes]:
    """So little at a time that a bomb, of which all comes out at once, stays small: each 4 bytes can be 128 KiB."""
    for data in plain(source):
        for at in range(0, len(data), _SIP):
            yield data[at : at + _SIP]


WRAPPINGS: Final[tuple[tuple[bytes, Callable[[int], Iterator[bytes]]], ...]] = (
    (GZIP, gunzip),
    (XZ, unxz),
    (ZSTD, unzstd),
    (_PZSTD, unzstd),
)


def _one_more(parts: int) -> int:
    """Raises DamagedError when that is too many."""
    if parts == _MOST_PARTS:
        raise DamagedError(f"it is compressed in more than {_MOST_PARTS:,} parts")
    return parts + 1


def _without_padding(data: bytes, packed: Iterator[bytes]) -> bytes:
    """What follows a member, zeros left out: tapes and some tools fill the last block with them."""
    rest = data.lstrip(b"\0")
    while not rest:
        more = next(packed, b"")
        if not more:
            return b""
        rest = more.lstrip(b"\0")
    return rest
