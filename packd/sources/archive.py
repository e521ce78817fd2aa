"""Fetch one archive file, by https or from this machine, and compare it with its checksum. It is unpacked elsewhere."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import unquote, urlsplit

from packd.domain.refs import archive_suffix
from packd.domain.sources import public_url
from packd.sources.download import download
from packd.sources.errand import wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packd.domain.sources import ArchiveSource
    from packd.sources.errand import Errand

_PIECE: Final = 1024 * 1024
_NAME_BYTES: Final = 200


@dataclass(frozen=True, kw_only=True)
class FetchedArchive:
    """A file of ours."""

    path: Path
    checksum: str  # `sha256:…` of it
    found_at: str  # where it came from, without what may be secret


def fetch_archive(source: ArchiveSource, into: Path, errand: Errand) -> FetchedArchive:
    """Put the archive into the folder `into`, under its own name. Raises SourceFailure."""
    target = into / _name(source.url)
    with target.open("xb") as file:
        digest = hashlib.sha256()

        def sink(piece: bytes) -> None:
            digest.update(piece)
            file.write(piece)

        if source.url.startswith("/"):
            found_at = source.url
            _copy(Path(source.url), errand, sink)
        else:
            found_at = public_url(
                download(source.url, errand=errand, sink=sink, pinned=source.checksum is not None).url
            )
    checksum = f"sha256:{digest.hexdigest()}"
    if source.checksum is not None and checksum != source.checksum:
        raise wrong(
            f"the checksum of {public_url(source.url)} is {checksum}, not {source.checksum}: "
            "it was changed, or damaged on the way; nothing of it was used"
        )
    return FetchedArchive(path=target, checksum=checksum, found_at=found_at)


def _name(url: str) -> str:
    """The last step of its path: the ending tells people, the content tells packd, what it is."""
    path = url if url.startswith("/") else unquote(urlsplit(url).path)
    name = "".join(char for char in PurePosixPath(path).name if char.isprintable() and char not in "/\\")
    suffix = archive_suffix(name) or ""
    stem = name[: len(name) - len(suffix)].lstrip(".").encode()[:_NAME_BYTES].decode(errors="ignore")
    return f"{stem or 'pack'}{suffix}"


def _copy(path: Path, errand: Errand, sink: Callable[[bytes], None]) -> None:
    with _opened(path) as source:
        taken = 0
        while piece := source.read(_PIECE):
            errand.remaining_s(str(path))
            taken += len(piece)
            if taken > errand.max_bytes:
                raise errand.too_large(str(path))
            sink(piece)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, never a pipe or a device that has no end."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as failure:
        raise wrong(f"{path} can't be read: {failure.strerror}") from None
    with os.fdopen(opened, "rb") as source:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise wrong(f"{path} is not a file")
        yield source
