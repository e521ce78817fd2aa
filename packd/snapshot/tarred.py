"""Read a tar archive from front to back: ustar, GNU long names and pax headers, and nothing more.

Single header blocks are parsed by the standard library. The way through the archive is our own: the library's reads
headers of any size into memory, calls itself for each of them, and follows offsets backwards.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from packd.snapshot.decompress import CHUNK, DamagedError
from packd.snapshot.limits import finding, shown
from packd.snapshot.members import Member, RefusedError, TruncatedError

if TYPE_CHECKING:
    from packd.snapshot.members import MemberKind

_BLOCK: Final = 512
_END: Final = bytes(_BLOCK)
_MOST_HEADER: Final = 64 * 1024  # bytes of one extended header; a path and a few times need a few hundred
_MOST_HEADERS: Final = 8  # in front of one member
_EXTENSIONS: Final = (
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_SPARSE: Final = "GNU.sparse."
_RECORD: Final = re.compile(rb"([0-9]{1,6}) ([^=\n]+)=")
_NOWHERE: Final = "/nonexistent"

_KINDS: Final[dict[bytes, MemberKind]] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.GNUTYPE_SPARSE: "sparse",
}
_WITHOUT_DATA: Final = (
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.DIRTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
)


class _OverError(TruncatedError):
    """The stream itself has ended, and not what it is wrapped in too soon."""


class _Stream:
    """Pieces of any size → as many bytes as are asked for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def some(self, most: int) -> bytes:
        """At least one byte and at most `most`. Raises _OverError at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                raise _OverError
            self._rest = memoryview(piece)
        data, self._rest = bytes(self._rest[:most]), self._rest[most:]
        return data

    def exactly(self, count: int) -> bytes:
        """`count` bytes, all in memory. Raises TruncatedError."""
        parts: list[bytes] = []
        while count:
            parts.append(self.some(count))
            count -= len(parts[-1])
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end: a wrapping says there whether it was whole."""
        for _ in self._pieces:
            pass


class _Content:
    """The content of one member, for one reader; what is not read can be skipped."""

    def __init__(self, stream: _Stream, size: int) -> None:
        self._stream = stream
        self._left = size

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            piece = self._stream.some(min(self._left, CHUNK))
            self._left -= len(piece)
            yield piece

    def skip(self) -> None:
        for _ in self:
            pass


def tar_members(pieces: Iterator[bytes], archive: str) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each member with its content, which is skipped as far as it is not read before the next member.

    Raises TruncatedError, DamagedError, RefusedError.
    """
    stream = _Stream(pieces)
    extended: dict[str, str] = {}
    headers = 0
    while (block := stream.exactly(_BLOCK)) != _END:
        info = _header(block)
        if info.type in _EXTENSIONS:
            headers += 1
            extended |= _extension(stream, info, archive, headers)
        else:
            yield from _member(stream, info, extended, archive)
            extended, headers = {}, 0
    _look_behind(stream, archive)


def _look_behind(stream: _Stream, archive: str) -> None:
    """Where one archive was written behind another, every tool unpacks the first alone, and half would be missing.

    Anything else is what some tools fill the last record with.
    """
    try:
        while (block := stream.exactly(_BLOCK)) == _END:
            pass
    except _OverError:
        return
    if is_header(block):
        said = "another archive follows its end: make one of all that belongs to the pack"
        raise RefusedError(finding("archive.several", said, archive))
    stream.drain()


def is_header(block: bytes) -> bool:
    """Does a tar archive begin like this?"""
    try:
        _header(block)
    except DamagedError:
        return False
    return True


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as failure:
        raise DamagedError(f"a member's header can't be read ({failure})") from None
    if info.size < 0:
        raise DamagedError("a member has a negative size")
    return info


def _member(
    stream: _Stream, info: tarfile.TarInfo, extended: dict[str, str], archive: str
) -> Iterator[tuple[Member, Iterator[bytes]]]:
    info.name = extended.get("path", info.name)
    info.size = 0 if info.type in _WITHOUT_DATA else _size(extended.get("size"), info.size)
    sparse = any(key.startswith(_SPARSE) for key in extended)
    kind: MemberKind = "sparse" if sparse else _KINDS.get(info.type, "special")
    member = Member(name=info.name, kind=kind, size=info.size, executable=bool(info.mode & 0o100))
    content = _Content(stream, info.size)
    yield member, _second_opinion(info, content, archive)
    content.skip()
    stream.exactly(-info.size % _BLOCK)


def _second_opinion(info: tarfile.TarInfo, content: _Content, archive: str) -> Iterator[bytes]:
    """The content of a member that our own policy let pass, if tarfile's `data` filter (Python 3.11.4) lets it too."""
    data_filter = getattr(tarfile, "data_filter", None)
    if data_filter is not None:
        try:
            data_filter(info, _NOWHERE)
        except tarfile.FilterError as failure:
            said = f"member {shown(info.name)!r} is refused by tarfile's data filter: {failure}"
            raise RefusedError(finding("archive.member_refused", said, archive)) from None
    yield from content


def _size(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise DamagedError("a member's size is not a number")
    return int(text)


def _extension(stream: _Stream, info: tarfile.TarInfo, archive: str, headers: int) -> dict[str, str]:
    """What an extended header says of the member that follows."""
    if info.size > _MOST_HEADER or headers > _MOST_HEADERS:
        said = (
            f"a member has {headers} extended headers, the last one of {info.size:,} bytes: no honest one has so much"
        )
        raise RefusedError(finding("archive.header_too_large", said, archive))
    data = stream.exactly(info.size)
    stream.exactly(-info.size % _BLOCK)
    if info.type == tarfile.GNUTYPE_LONGLINK:
        return {}
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": _text(data.partition(b"\0")[0])}
    said_of = dict(_records(data))
    if info.type == tarfile.XGLTYPE:
        return _global(said_of, archive)
    return said_of


def _global(said_of: dict[str, str], archive: str) -> dict[str, str]:
    """A global header may say who made the archive; one that gives all members a name or a size is up to no good."""
    if any(key in ("path", "size") or key.startswith(_SPARSE) for key in said_of):
        said = "a global header gives all members one name or size: make the archive anew"
        raise RefusedError(finding("archive.global_header", said, archive))
    return {}


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """POSIX pax: each record is "<length> <key>=<value>" and a newline, the length that of the whole record."""
    at = 0
    while at < len(data):
        match = _RECORD.match(data, at)
        end = at + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise DamagedError("an extended header can't be read")
        yield _text(match[2]), _text(data[match.end() : end - 1])
        at = end


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
