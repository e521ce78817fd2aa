"""An index of packs: what one of these JSON files says, checked, and as plain values.

    {"registry_name": "main",
     "packs": [{"ref": "core", "version": "1.2.0", "label": "Core", "description": "…", "keywords": ["base"],
                "install_sources": [{"type": "git", "url": "https://…", "ref": "v1.2.0"},
                                    {"type": "archive", "url": "https://…/core-1.2.0.tar.gz", "checksum": "sha256:…"}],
                "dependencies": {"packs": ["utils@^2"]}}]}

A pack stands once for each of its versions. An entry that can't be used is left out and named; the others stay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urljoin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from packd.domain.clipping import clip
from packd.domain.failures import Failure
from packd.domain.manifest import Need
from packd.domain.ranges import as_range, is_version, version_meant
from packd.domain.refs import REF_PATTERN, is_ref
from packd.domain.sources import ArchiveSource, GitSource, PathSource, checked_checksum, checked_revision, read_source
from packd.sources.errand import wrong

_MOST_COMPLAINTS: Final = 20
_KINDS: Final = ("git", "archive")
_WORDS: Final = {
    "string_pattern_mismatch": "must be lower-case letters, digits, - and _, beginning with a letter",
    "missing": "is missing",
    "too_short": "names no place that packd can fetch from",
}


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One version of one pack, as one index offers it."""

    ref: str
    version: str
    index: str  # the index's name
    label: str = ""
    description: str = ""
    author: str = ""
    keywords: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    sources: tuple[GitSource | ArchiveSource | PathSource, ...] = ()  # in the order of preference


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What one index says."""

    name: str
    offers: tuple[Offer, ...] = ()
    complaints: tuple[str, ...] = ()  # what is wrong with entries that were left out


class _Source(BaseModel):
    """Where one version can be fetched from."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    type: Literal["git", "archive"]
    url: Annotated[str, Field(min_length=1, max_length=2000)]
    ref: str | None = None
    path: str | None = None  # git: the pack's folder
    checksum: str | None = None

    @field_validator("checksum")
    @classmethod
    def _is_checksum(cls, value: str | None) -> str | None:
        return _as_value_error(checked_checksum, value) if value else None

    @field_validator("ref")
    @classmethod
    def _is_revision(cls, value: str | None) -> str | None:
        return _as_value_error(checked_revision, value) if value else None


def _known_sources(value: Any) -> Any:
    """Kinds that packd does not know yet are left aside."""
    if not isinstance(value, list):
        return value
    return [
        one
        for one in value
        if not (isinstance(one, dict) and isinstance(one.get("type"), str) and one["type"] not in _KINDS)
    ]


class _Entry(BaseModel):
    """One version of one pack; what is not known is ignored, so that newer indexes can be read."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    ref: Annotated[str, Field(pattern=f"^{REF_PATTERN}$")]
    version: Annotated[str, Field(max_length=128)]
    label: str | None = None
    name: str | None = None
    description: str | None = None
    author: str | None = None
    keywords: list[str] | None = None
    tags: list[str] | None = None
    install_sources: Annotated[list[_Source], Field(min_length=1), BeforeValidator(_known_sources)]
    dependencies: Any = None

    @field_validator("version")
    @classmethod
    def _is_version(cls, value: str) -> str:
        if not is_version(value):
            meant = version_meant(value)
            raise ValueError(f"is not a SemVer version{f', write {meant}' if meant else ''}")
        return value

    @field_validator("dependencies")
    @classmethod
    def _are_needs(cls, value: Any) -> tuple[Need, ...]:
        return read_needs(value)


class _File(BaseModel):
    """The whole file; its entries are judged one by one."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    registry_name: str | None = None
    packs: list[Any]


_FILE: Final = TypeAdapter(_File)
_ENTRY: Final = TypeAdapter(_Entry)


def read_index(content: bytes, *, name: str, base: str) -> Listing:
    """What an index says. `base` is its own URL or path: sources may be relative to it.

    Raises SourceFailure when it is no index at all; single bad entries are complaints.
    """
    try:
        file = _FILE.validate_python(json.loads(content))
    except (ValueError, RecursionError) as failure:
        said = _first_error(failure) if isinstance(failure, ValidationError) else f"it is no JSON: {failure}"
        raise wrong(f"the index '{name}' can't be read: {said}") from None
    offers: dict[tuple[str, str], Offer] = {}
    complaints: list[str] = []
    for number, raw in enumerate(file.packs):
        try:
            offer = _offer(_ENTRY.validate_python(raw), index=name, base=base)
        except (ValidationError, Failure) as failure:
            complaints.append(f"{name}: packs.{number}{_which(raw)}{_said(failure)}")
            continue
        if (offer.ref, offer.version) in offers:
            complaints.append(f"{name}: packs.{number}{_which(raw)} stands there twice; the first one counts")
        offers.setdefault((offer.ref, offer.version), offer)
    return Listing(name=name, offers=tuple(offers.values()), complaints=tuple(complaints[:_MOST_COMPLAINTS]))


def read_needs(value: Any) -> tuple[Need, ...]:
    """The packs of a `dependencies` value in any of its forms. Raises ValueError."""
    if isinstance(value, dict):
        value = value.get("packs")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("must be a list of packs, or a mapping with 'packs'")
    needs = tuple(_need(item) for item in value)
    if len({need.ref for need in needs}) < len(needs):
        raise ValueError("names a pack twice")
    return needs


def _need(item: Any) -> Need:
    if isinstance(item, dict):
        ref, wanted = item.get("ref") or item.get("name"), item.get("version") or "*"
    elif isinstance(item, str):
        ref, at, wanted = item.partition("@")
        wanted = wanted if at else "*"
    else:
        raise ValueError("names a pack like 'core', 'core@>=1.2' or {ref: core, version: \">=1.2\"}")
    if not isinstance(ref, str) or not is_ref(ref.strip()):
        raise ValueError(f"{clip(str(item), 80)!r} names no pack")
    spec = as_range(wanted) if isinstance(wanted, str) else None
    if spec is None:
        raise ValueError(f"{clip(str(wanted), 80)!r} is not a version range")
    return Need(ref=ref.strip(), range=spec)


def _offer(entry: _Entry, *, index: str, base: str) -> Offer:
    return Offer(
        ref=entry.ref,
        version=entry.version,
        index=index,
        label=entry.label or entry.name or "",
        description=entry.description or "",
        author=entry.author or "",
        keywords=tuple(entry.keywords or entry.tags or ()),
        needs=tuple(need for need in entry.dependencies or () if need.ref != entry.ref),
        sources=tuple(_source(source, base) for source in entry.install_sources),
    )


def _source(source: _Source, base: str) -> GitSource | ArchiveSource | PathSource:
    """Relative addresses start from the index; an index from elsewhere can't name what lies on this machine."""
    relative = ":" not in source.url.partition("/")[0]
    url = urljoin(base, source.url) if relative else source.url
    folder = f"#{source.path}" if source.type == "git" and source.path else ""
    ref = source.ref if source.type == "git" else None
    meant = read_source(f"{source.type}+{url}{folder}", ref=ref, checksum=source.checksum)
    if isinstance(meant, PathSource) and not base.startswith("/"):
        raise wrong(f"'{clip(source.url, 80)}' is a path on this machine, which only an index on this machine may name")
    if not isinstance(meant, GitSource | ArchiveSource | PathSource):
        raise wrong(f"'{clip(source.url, 80)}' is no place")
    return meant


def _which(raw: Any) -> str:
    ref = raw.get("ref") if isinstance(raw, dict) else None
    return f" ({clip(ref, 80)})" if isinstance(ref, str) else ""


def _said(failure: ValidationError | Failure) -> str:
    return f".{_first_error(failure)}" if isinstance(failure, ValidationError) else f": {failure.sentence}"


def _first_error(failure: ValidationError) -> str:
    """`install_sources.0.url: Field required`."""
    error = failure.errors()[0]
    place = ".".join(str(step) for step in error["loc"])
    said = _WORDS.get(error["type"]) or (str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"])
    more = f" (and {failure.error_count() - 1} more)" if failure.error_count() > 1 else ""
    return f"{place or 'it'}: {said}{more}"


def _as_value_error(check: Any, value: str) -> str:
    try:
        checked: str = check(value)
    except Failure as failure:
        raise ValueError(failure.sentence) from None
    return checked
