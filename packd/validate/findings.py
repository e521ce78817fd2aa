"""What goes into validation and what comes out: plain values, and the one question that rules ask of the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from packd.domain.manifest import ComponentKind, Manifest
from packd.domain.positioned import Document
from packd.domain.problems import Problem

MANIFEST = "pack.yaml"


@dataclass(frozen=True, kw_only=True)
class ValidationLimits:
    """How much of a pack is read before it is called too much."""

    metadata_files: int = 2000  # YAML files in component folders
    metadata_file_bytes: int = 1024 * 1024  # one of them, or pack.yaml
    metadata_bytes: int = 8 * 1024 * 1024  # all of those in component folders: one takes a second of processor time
    metadata_values: int = 1_000_000  # in all of those: what was read takes some 150 bytes of memory each
    traversed_entries: int = 10_000  # names looked at in component folders and below the tests folder
    depth: int = 64  # YAML containers inside containers
    values: int = 100_000  # YAML scalars and containers in one file, aliases expanded
    problems: int = 1000  # reported at once


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What will run the tests."""

    python: str  # a version, e.g. "3.11.7"
    node: str | None = None  # a version, e.g. "20.20.2"; None: there is no Node.js
    other_pythons: Callable[[], tuple[str, ...]] = tuple  # versions that can take its place; asked only when it matters


NoTests = Literal["missing", "disabled"]  # there is no `testing:` section, or it is switched off


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that validation has to say about one content of one pack."""

    manifest: Manifest | None = None  # None when any problem is an error: later stages trust every field of it
    problems: tuple[Problem, ...] = ()  # pack.yaml first, then by file and place
    ref: str | None = None  # the declared ref whenever it can be read and is valid, whatever else is wrong
    version: str | None = None  # the declared version, likewise
    no_tests: NoTests | None = None  # pack.yaml was read and declares none; no problem by itself
    switched_off_at: tuple[int, int] | None = None  # line and column of what makes `no_tests` "disabled"


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """One YAML file of a component folder, read."""

    kind: ComponentKind
    document: Document


PathKind = Literal["file", "folder", "outside"]


class Files(Protocol):
    """The pack's files by their paths inside it: "/"-separated and relative, "" for the pack itself."""

    def kind(self, path: str) -> PathKind | None:
        """What `path` is after following links; "outside" when they lead out of the pack, None when it isn't there."""

    def names(self, folder: str) -> tuple[str, ...]:
        """The names in one folder, sorted; nothing when it is no folder of the pack."""

    def under(self, folder: str) -> tuple[str, ...]:
        """Paths of the files at any depth below a folder, sorted, without hidden ones and installed packages."""

    def source(self, path: str) -> str:
        """The text of a file, or "" when it can't be read as such."""
