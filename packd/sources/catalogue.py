"""Everything that the configured indexes offer, kept fresh by ETag and usable from the last copy while one is away."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from semantic_version import Version

from packd.domain.failures import Failure
from packd.domain.sources import public_url
from packd.sources.download import download
from packd.sources.errand import wrong
from packd.sources.index import Listing, Offer, read_index

if TYPE_CHECKING:
    from packd.sources.errand import Errand

_LARGEST: Final = 32 * 1024 * 1024  # bytes of one index


@dataclass(frozen=True, kw_only=True)
class IndexSite:
    """Where one index is."""

    name: str
    url: str  # http, https, or an absolute path
    priority: int = 100  # the lower, the more it is preferred


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All indexes at one moment, the preferred one first."""

    listings: tuple[Listing, ...] = ()
    complaints: tuple[str, ...] = ()  # indexes that are away, entries that were left out

    def offers(self, ref: str) -> tuple[Offer, ...]:
        """Every version of a pack, newest first, from the first index that has the pack at all.

        Another index can't put a newer version in front of it: who names a pack like one of yours gains nothing.
        """
        for listing in self.listings:
            found = [offer for offer in listing.offers if offer.ref == ref]
            if found:
                return tuple(sorted(found, key=lambda offer: rank(offer.version), reverse=True))
        return ()

    def refs(self) -> list[str]:
        """Every pack that is offered, by name."""
        return sorted({offer.ref for listing in self.listings for offer in listing.offers})

    def search(self, words: Iterable[str]) -> list[tuple[Offer, ...]]:
        """The packs in which every word occurs, the best match first; each with all its versions, newest first."""
        lowered = [word.lower() for word in words]
        found = [(self.offers(ref)) for ref in self.refs()]
        scored = [(_score(offers[0], lowered), offers[0].ref, offers) for offers in found]
        return [offers for score, _, offers in sorted(scored, key=lambda one: (-one[0], one[1])) if score > 0]


def rank(version: str) -> tuple[bool, Any]:
    """To sort by: releases behind all pre-releases, so that the greatest is the newest release."""
    parsed = Version.coerce(version)
    return (not parsed.prerelease, parsed)


class Indexes:
    """Reads the configured indexes. Safe for several threads."""

    def __init__(self, sites: Iterable[IndexSite], *, cache: Path) -> None:
        """`cache` is a folder of ours for the last copies."""
        self._sites = sorted(sites, key=lambda site: site.priority)
        self._cache = cache
        self._lock = threading.Lock()
        self._parsed: dict[str, tuple[str, Listing]] = {}  # by name: (digest of the content, what it says)

    @property
    def names(self) -> list[str]:
        return [site.name for site in self._sites]

    def read(self, errand: Errand) -> Catalogue:
        """Ask every index what is new.

        Raises SourceFailure when none of them can be read; one that is away is a complaint.
        """
        listings, complaints, last = [], [], None
        with self._lock:
            for site in self._sites:
                try:
                    listing, stale = self._listing(site, errand)
                except Failure as failure:
                    complaints.append(failure.sentence)
                    last = failure
                    continue
                listings.append(listing)
                complaints += [*listing.complaints, *stale]
        if last is not None and not listings:
            raise last
        if not self._sites:
            complaints.append("no index is configured: name some under sources.indexes")
        return Catalogue(listings=tuple(listings), complaints=tuple(complaints))

    def _listing(self, site: IndexSite, errand: Errand) -> tuple[Listing, list[str]]:
        if site.url.startswith("/"):
            return self._parse(site, _read_file(Path(site.url), site.name)), []
        content, stale = self._fetch(site, errand)
        return self._parse(site, content), stale

    def _parse(self, site: IndexSite, content: bytes) -> Listing:
        digest = hashlib.sha256(content).hexdigest()
        known = self._parsed.get(site.name)
        if known is None or known[0] != digest:
            known = self._parsed[site.name] = (digest, read_index(content, name=site.name, base=site.url))
        return known[1]

    def _fetch(self, site: IndexSite, errand: Errand) -> tuple[bytes, list[str]]:
        """The content, and what is to be said about its age."""
        place = self._cache / hashlib.sha256(site.url.encode()).hexdigest()[:32]
        known = _read_copy(place)
        content = bytearray()

        def sink(piece: bytes) -> None:
            content.extend(piece)
            if len(content) > _LARGEST:
                raise wrong(f"the index '{site.name}' is larger than {_LARGEST // 1024 // 1024} MiB")

        asked = {"If-None-Match": known[0]} if known and known[0] else {}
        try:
            fetched = download(site.url, errand=errand, sink=sink, headers=asked)
        except Failure as failure:
            if known is None:
                raise
            return known[1], [f"the index '{site.name}' is as it was last seen: {failure.sentence}"]
        if fetched.status == 304 and known is not None:
            return known[1], []
        read_index(bytes(content), name=site.name, base=site.url)  # what can't be read does not replace what can
        self._keep(place, fetched.etag, bytes(content))
        return bytes(content), []

    def _keep(self, place: Path, etag: str | None, content: bytes) -> None:
        """One file, so that content and ETag always belong together."""
        self._cache.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(".new")
        fresh.write_bytes(json.dumps({"etag": etag}).encode() + b"\n" + content)
        fresh.replace(place)


def _read_copy(place: Path) -> tuple[str | None, bytes] | None:
    try:
        head, _, content = place.read_bytes().partition(b"\n")
        etag = json.loads(head)["etag"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (etag if isinstance(etag, str) else None), content


def _read_file(path: Path, name: str) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise wrong(f"the index '{name}' is larger than {_LARGEST // 1024 // 1024} MiB")
        return path.read_bytes()
    except OSError as failure:
        raise wrong(f"the index '{name}' can't be read: {public_url(str(path))}: {failure.strerror}") from None


def _score(offer: Offer, words: list[str]) -> int:
    """0: a word does not occur."""
    places = (
        (offer.ref.lower(), 8),
        (offer.label.lower(), 4),
        (" ".join(offer.keywords).lower(), 3),
        (offer.description.lower(), 1),
        (offer.author.lower(), 1),
    )
    total = 1
    for word in words:
        weights = [weight for text, weight in places if word in text]
        if not weights:
            return 0
        total += max(weights) + (8 if offer.ref == word else 4 if offer.ref.startswith(word) else 0)
    return total
