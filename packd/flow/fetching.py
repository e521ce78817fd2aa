"""From a source to a folder or an archive of ours, with the record of where it came from."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packd.domain.failures import Code, Failure
from packd.domain.refs import archive_suffix
from packd.domain.sources import ArchiveSource, FolderSource, GitSource, PathSource, covers, public_url
from packd.sources.archive import fetch_archive
from packd.sources.errand import Errand, SourceFailure
from packd.sources.git import fetch_git

if TYPE_CHECKING:
    from packd.sources.index import Offer

Fetchable = GitSource | ArchiveSource | PathSource


@dataclass(frozen=True, kw_only=True)
class FetchTerms:
    """What every fetch of this daemon keeps to."""

    timeout_s: float = 300.0
    max_bytes: int = 512 * 1024 * 1024
    max_files: int = 20_000
    allow_private: bool = False
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FetchedPack:
    """Content that nobody else writes to, except where it is a folder of somebody's."""

    path: Path  # a folder, or an archive
    shown: str  # where it came from, as it is told
    provenance: Mapping[str, Any]  # kept with the revision
    digest: str | None = None  # what the content has to have, as packd digests it; None: whatever it has


class Fetcher:
    """Fetches into folders below one of ours, which are gone afterwards."""

    def __init__(self, folder: Path, terms: FetchTerms) -> None:
        """What a crash left in `folder` is removed."""
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self.terms = terms

    @contextmanager
    def room(self) -> Iterator[Path]:
        """A private folder for one installation."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)

    def errand(self, on_progress: Callable[[str], None], cancelled: threading.Event) -> Errand:
        """One fetch by the terms of this daemon."""
        return Errand(
            timeout_s=self.terms.timeout_s,
            max_bytes=self.terms.max_bytes,
            max_files=self.terms.max_files,
            allow_private=self.terms.allow_private,
            allow=self.terms.allow,
            on_progress=on_progress,
            cancelled=cancelled.is_set,
        )

    def check_allowed(self, source: Fetchable, *, is_owner: bool, actor: str) -> None:
        """Raises Failure FORBIDDEN for what only the daemon's own user may have fetched."""
        if is_owner:
            return
        if isinstance(source, PathSource):
            raise Failure(
                Code.FORBIDDEN,
                f"{actor} may not install from a path on the daemon's machine: only its own user may, over the socket",
            )
        if not any(covers(beginning, source.url) for beginning in self.terms.allow):
            raise Failure(
                Code.FORBIDDEN,
                f"{actor} may not install from {public_url(source.url)}: sources.allow does not name it; "
                "packs of the configured indexes can be installed by name",
            )

    def fetch(self, source: Fetchable, room: Path, errand: Errand) -> FetchedPack:
        """Raises SourceFailure, Failure."""
        known = look(source) if isinstance(source, PathSource) else source
        try:
            into = Path(tempfile.mkdtemp(dir=room))
            match known:
                case GitSource():
                    return _from_git(known, into, errand)
                case ArchiveSource():
                    return _from_archive(known, into, errand)
                case FolderSource(path=path):
                    return FetchedPack(path=Path(path), shown=path, provenance={"kind": "folder", "source": path})
        except OSError as failure:
            said = f"what is fetched can't be written to {self._folder}: {failure.strerror}"
            raise Failure(Code.UNAVAILABLE, said) from failure

    def fetch_offer(self, offer: Offer, room: Path, begin: Callable[[str], Errand]) -> FetchedPack:
        """From the first of its sources that can be reached. `begin` gets where it is fetched from.

        Raises SourceFailure of the last one.
        """
        for number, source in enumerate(offer.sources, start=1):
            try:
                shown = source.path if isinstance(source, PathSource) else public_url(source.url)
                fetched = self.fetch(source, room, begin(shown))
            except SourceFailure as failure:
                if not failure.elsewhere or number == len(offer.sources):
                    raise
            else:
                return FetchedPack(
                    path=fetched.path,
                    shown=fetched.shown,
                    digest=fetched.digest,
                    provenance={**fetched.provenance, "index": offer.index},
                )
        raise Failure(Code.BAD_REQUEST, f"the index '{offer.index}' says nowhere to fetch {offer.ref} from")


def look(source: PathSource) -> GitSource | ArchiveSource | FolderSource:
    """What lies at a path. Raises Failure BAD_REQUEST."""
    path = os.path.realpath(source.path)
    if not source.path.startswith("/"):
        raise Failure(Code.BAD_REQUEST, f"path must be absolute: {source.path}")
    if not os.path.lexists(path):
        raise Failure(Code.BAD_REQUEST, f"there is nothing at {source.path} on the daemon's machine")
    if not Path(path).is_dir():
        _no_git_words(source, f"{source.path} is a file")
        return ArchiveSource(url=path, checksum=source.checksum)
    wants_git = source.git or source.ref is not None or source.folder
    if wants_git or (_is_repository(path) and not Path(path, "pack.yaml").exists()):
        return GitSource(url=path, ref=source.ref, path=source.folder, checksum=source.checksum)
    if source.checksum is not None:
        raise Failure(Code.BAD_REQUEST, f"{source.path} is a folder: a checksum is for archives and for git")
    return FolderSource(path=path)


def _no_git_words(source: PathSource, what: str) -> None:
    if source.ref is not None or source.folder or source.git:
        raise Failure(Code.BAD_REQUEST, f"{what}, no repository: leave --ref, # and git+ out")


def _is_repository(path: str) -> bool:
    return Path(path, ".git").exists() or (Path(path, "HEAD").is_file() and Path(path, "objects").is_dir())


def _from_git(source: GitSource, into: Path, errand: Errand) -> FetchedPack:
    fetched = fetch_git(source, into, errand)
    folder = f"#{source.path}" if source.path else ""
    provenance = {
        "kind": "git",
        "source": fetched.found_at,
        "ref": fetched.revision,
        "commit": fetched.commit,
        **({"folder": source.path} if source.path else {}),
    }
    return FetchedPack(
        path=fetched.path, shown=f"{fetched.found_at}{folder}", provenance=provenance, digest=source.checksum
    )


def _from_archive(source: ArchiveSource, into: Path, errand: Errand) -> FetchedPack:
    fetched = fetch_archive(source, into, errand)
    path = fetched.path
    if archive_suffix(path.name) is None:  # its content says what it is; its name only that it is one
        path = path.rename(path.with_name(f"{path.name}.tar"))
    provenance = {
        "kind": "archive",
        "source": fetched.found_at,
        "checksum": fetched.checksum,
        "pinned": source.checksum is not None,
    }
    return FetchedPack(path=path, shown=fetched.found_at, provenance=provenance)
