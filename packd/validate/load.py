"""Does a pack say what it must? Reads the metadata of a stored, immutable tree and has the rules judge it."""

from __future__ import annotations

import platform
import posixpath
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from packd.domain.positioned import Document, read
from packd.domain.problems import Problem
from packd.validate.components import FOLDERS
from packd.validate.fields import nearest
from packd.validate.findings import MANIFEST, Findings, Metadata, Runtime, ValidationLimits
from packd.validate.rules import in_order, judge
from packd.validate.tree import PackFiles

if TYPE_CHECKING:
    from pathlib import Path

_LIMITS: Final = ValidationLimits()
_RUNTIME: Final = Runtime(python=platform.python_version())
_NAMES: Final = 256  # of folders whose answer is kept: packs have the same few, such as `tests`
_SUFFIXES: Final = (".yaml", ".yml")


def check(tree: Path, *, name: str, limits: ValidationLimits = _LIMITS, runtime: Runtime = _RUNTIME) -> Findings:
    """Validate the pack whose root folder is `tree`; never raises for anything that a pack can contain.

    `name` is the child of the packs directory that it was dropped as (`mypack`, `mypack-1.2.tar.gz`); `runtime` is what
    will run its tests, by default this Python and no Node.js.
    """
    files = PackFiles(tree, limits)
    content = _manifest_content(files)
    if isinstance(content, Problem) and content.code.startswith("manifest."):
        return Findings(problems=in_order([*files.problems, content], limits.problems))
    found: list[Problem] = []
    metadata = _metadata(files, limits, found)
    if isinstance(content, Problem):
        found.append(content)
        document, text = Document(file=MANIFEST, complete=False), ""
    else:
        document = read(content, file=MANIFEST, max_depth=limits.depth, max_values=limits.values)
        text = content.decode("utf-8", "replace")
    findings = judge(document, text, metadata, name=name, files=files, runtime=runtime, limits=limits, found=found)
    if not files.problems:
        return findings
    # What could not be looked at is known only after the rules have asked for everything.
    problems = in_order([*findings.problems, *files.problems], limits.problems)
    return replace(findings, manifest=None, problems=problems)


def _manifest_content(files: PackFiles) -> bytes | Problem:
    kind = files.kind(MANIFEST)
    if kind in ("file", "outside"):
        return files.read(MANIFEST)
    if kind == "folder":
        return Problem(code="manifest.missing", message="pack.yaml is a folder, and must be a file", file=MANIFEST)
    names = files.names("")
    message, suggestion = "There is no pack.yaml at the top of the pack; add one with 'ref: …' and 'version: …'", None
    nested = [folder for folder in names if files.kind(f"{folder}/{MANIFEST}") == "file"]
    alike = next((each for each in names if nearest(each, (MANIFEST, "pack.yml")) and files.kind(each) == "file"), None)
    if not names:
        message = "The folder is empty; a pack has at least a pack.yaml with 'ref: …' and 'version: …'"
    elif alike is not None:
        message, suggestion = f"There is no pack.yaml, only {alike!r}; rename it to pack.yaml", MANIFEST
    elif nested:
        message = f"There is no pack.yaml here, and one in {nested[0]!r}; drop that folder itself"
        suggestion = nested[0]
    return Problem(code="manifest.missing", message=message, suggestion=suggestion)


def _metadata(files: PackFiles, limits: ValidationLimits, found: list[Problem]) -> list[Metadata]:
    """Every component file, read; what can't be read is added to `found`."""
    metadata: list[Metadata] = []
    before, values = files.bytes_read, 0
    top = files.names("")
    for folder, kind in FOLDERS.items():
        if folder.split("/")[0] not in top:
            continue
        found.extend(_no_folder(files, folder))
        for file in files.names(folder):
            path = f"{folder}/{file}"
            if not file.endswith(_SUFFIXES) or files.kind(path) == "folder":
                continue
            too_much = _too_much(limits, files=len(metadata), size=files.bytes_read - before, values=values)
            if too_much is not None:
                found.append(too_much)
                return metadata
            document = _document(files, path, limits)
            values += document.values
            metadata.append(Metadata(kind=kind, document=document))
    found.extend(_folders_alike(files, top))
    return metadata


def _too_much(limits: ValidationLimits, *, files: int, size: int, values: int) -> Problem | None:
    """The limit that is reached before the next component file."""
    if files >= limits.metadata_files:
        message = f"There are more than {limits.metadata_files} component files; split the pack"
        return Problem(code="limits.metadata_files_exceeded", message=message)
    if size > limits.metadata_bytes:
        message = f"The component files hold more than {limits.metadata_bytes / 1024**2:g} MiB together; split the pack"
        return Problem(code="limits.metadata_bytes_exceeded", message=message)
    if values > limits.metadata_values:
        message = f"The component files hold more than {limits.metadata_values} values together; split the pack"
        return Problem(code="limits.metadata_values_exceeded", message=message)
    return None


def _document(files: PackFiles, path: str, limits: ValidationLimits) -> Document:
    content = files.read(path)
    if isinstance(content, Problem):
        return Document(file=path, problems=(content,), complete=False)
    return read(content, file=path, max_depth=limits.depth, max_values=limits.values)


def _no_folder(files: PackFiles, folder: str) -> list[Problem]:
    kind, parent = files.kind(folder), posixpath.dirname(folder)
    if kind in ("folder", None) or (parent and files.kind(parent) != "folder"):
        return []
    what = "is a link that leads out of the pack" if kind == "outside" else "is a file"
    message = f"{folder} {what}; it must be a folder with component files"
    return [Problem(code="component.no_folder", message=message, file=folder)]


def _folders_alike(files: PackFiles, names: tuple[str, ...]) -> list[Problem]:
    """Warnings for folders that nobody reads, and that look like one that is read: `action/`, `Sensors/`."""
    problems = []
    for name in names:
        meant = None if name in FOLDERS else _meant(name)
        if meant is None or not any(file.endswith(_SUFFIXES) for file in files.names(name)):
            continue
        message = f"Components are not looked for in {name!r}"
        problems.append(
            Problem(code="component.unknown_folder", message=message, file=name, suggestion=meant, severity="warning")
        )
    return problems


@lru_cache(_NAMES)
def _meant(name: str) -> str | None:
    """The folder of components that this was probably meant to be."""
    return nearest(name, [folder for folder in FOLDERS if "/" not in folder])
