"""What a pack declares that its suites need: the manifest files as they are, and the digest that names their result."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packd.domain.manifest import Suite

REQUIREMENTS: Final = "requirements.txt"
PACKAGE: Final = "package.json"
LOCKS: Final = ("npm-shrinkwrap.json", "package-lock.json")  # the first that is there counts
_NODE_SECTIONS: Final = ("dependencies", "devDependencies", "optionalDependencies")
_INCLUDE: Final = re.compile(r"\s*(?:-r|--requirement|-c|--constraint)(?:\s+|\s*=\s*|(?=[^\s-]))(\S+)")
_FILE_BYTES: Final = 16 * 1024 * 1024  # a lock file of a large project has a few
_FILES: Final = 100  # requirements files that include each other


class Undeclarable(Exception):
    """What the pack declares makes no sense; the message says what and where."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The declarations, read once from the snapshot."""

    files: Mapping[str, bytes] = field(default_factory=dict)  # requirements files by path, included ones too
    requirements: tuple[str, ...] = ()  # those of `files` that are asked for by name
    lines: tuple[str, ...] = ()  # more requirements, one each
    supplied: tuple[str, ...] = ()  # what packd adds because a runner needs it
    node: Mapping[str, bytes] = field(default_factory=dict)  # package.json and its lock

    @property
    def python(self) -> bool:
        """Is anything to be installed for Python?"""
        return bool(self.requirements or self.lines or self.supplied)

    def digest(self, **made_with: str | None) -> str:
        """Names what is built from this with these interpreters: equal content, equal name."""
        said = {
            "files": {path: _sha256(content) for path, content in self.files.items()},
            "requirements": self.requirements,
            "lines": self.lines,
            "supplied": self.supplied,
            "node": {path: _sha256(content) for path, content in self.node.items()},
            "with": made_with,
        }
        return _sha256(json.dumps(said, sort_keys=True).encode())


def wanted(tree: Path, suite: Suite, lines: Sequence[str]) -> Wanted:
    """What one suite of the pack in `tree` needs; `lines` are the requirements of pack.yaml.

    Raises Undeclarable for files that can't be read or lead out of the pack.
    """
    names = [REQUIREMENTS] if (tree / REQUIREMENTS).is_file() else []
    if suite.requirements is not None and suite.requirements not in names:
        names.append(suite.requirements)
    for line in lines:
        if line.strip().startswith("-") or not line.isprintable():
            raise Undeclarable(
                f"meta.python_dependencies: {line[:100]!r} is not the name of a package with its versions"
            )
    files = dict(_requirements(tree, names))
    requirements = tuple(name for name in names if _says_anything(files[name]))
    asks = bool(requirements or lines)
    return Wanted(
        files=files if requirements else {},
        requirements=requirements,
        lines=tuple(lines),
        supplied=("pytest",) if suite.runner_type == "pytest" and asks else (),
        node=_node(tree),
    )


def _requirements(tree: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each file once, with what it includes."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if len(seen) > _FILES:
            raise Undeclarable(f"{names[0]} includes more than {_FILES} files")
        content = _content(tree, name)
        yield name, content
        todo += _included(name, content.decode("utf-8", "replace"))


def _included(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        found = _INCLUDE.match(line)
        if found is None or "://" in found[1]:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found[1].strip("\"'")))
        if path.startswith(("/", "../")) or path == "..":
            raise Undeclarable(f"{name}:{number}: {found[1][:100]!r} does not stay inside the pack")
        yield path


def _says_anything(content: bytes) -> bool:
    lines = (line.strip() for line in content.splitlines())
    return any(line and not line.startswith(b"#") for line in lines)


def _node(tree: Path) -> dict[str, bytes]:
    """Nothing when the pack needs no packages, or brings them along."""
    if not (tree / PACKAGE).is_file() or (tree / "node_modules").is_dir():
        return {}
    content = _content(tree, PACKAGE)
    try:
        said: Any = json.loads(content)
    except (ValueError, RecursionError) as wrong:
        raise Undeclarable(f"{PACKAGE} is not JSON: {wrong}") from None
    if not isinstance(said, dict) or not any(said.get(section) for section in _NODE_SECTIONS):
        return {}
    files = {PACKAGE: content}
    lock = next((name for name in LOCKS if (tree / name).is_file()), None)
    if lock is not None:
        files[lock] = _content(tree, lock)
    return files


def _content(tree: Path, name: str) -> bytes:
    try:
        path = (tree / name).resolve(strict=True)
        if not path.is_relative_to(tree.resolve()):
            raise Undeclarable(f"{name} is a link that leads out of the pack")
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, RuntimeError, ValueError):
        raise Undeclarable(f"{name} is not in the pack") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Undeclarable(f"{name} is no file")
        content = file.read(_FILE_BYTES + 1)
    if len(content) > _FILE_BYTES:
        raise Undeclarable(f"{name} is larger than {_FILE_BYTES >> 20} MiB")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
