"""Which interpreters are there, and of what version."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from semantic_version import SimpleSpec, Version

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_PATIENCE_S: Final = 10
_NAMED: Final = re.compile(r"python3(\.\d+)?")
_ASK: Final = (
    "import sys, sysconfig; sys.stdout.write('%d.%d.%d\\n' % sys.version_info[:3] + sys.executable + '\\n' + "
    "sys.base_prefix + '\\n' + sys.implementation.cache_tag + '\\n' + sysconfig.get_platform())"
)
_ANSWER_LINES: Final = 5
_OLDEST: Final = Version("3.8.0")  # what packd's own runners still understand


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """One Python."""

    path: Path
    version: str  # e.g. "3.11.7"; "0.0.0" when it does not say
    base: str  # where it is installed
    tag: str  # e.g. "cpython-311", and the platform

    @property
    def identity(self) -> str:
        """Environments built for one can't be used by another."""
        return f"{self.version} {self.base} {self.tag}"


class Interpreters:
    """The Python that runs tests, and those that can take its place where a pack asks for another version."""

    def __init__(self, default: Path) -> None:
        self.default = asked(default) or Interpreter(path=default, version="0.0.0", base="", tag="")
        self._lock = threading.Lock()
        self._others: tuple[Interpreter, ...] | None = None

    def others(self) -> tuple[Interpreter, ...]:
        """Newest first. Looked for when somebody asks for the first time: each has to be run once."""
        with self._lock:
            if self._others is None:
                found = {self.default.identity: self.default}
                for path in {path.resolve(): path for path in _lying_about() if _is_program(path)}.values():
                    interpreter = asked(path)
                    if interpreter is not None and Version(interpreter.version) >= _OLDEST:
                        found.setdefault(interpreter.identity, interpreter)
                del found[self.default.identity]
                self._others = tuple(sorted(found.values(), key=lambda one: Version(one.version), reverse=True))
            return self._others

    def versions(self) -> tuple[str, ...]:
        """Of the others."""
        return tuple(dict.fromkeys(other.version for other in self.others()))

    def choose(self, wanted: str | None) -> Interpreter | None:
        """The default one if it lies in the range (of semantic-version's SimpleSpec), else the newest that does."""
        if wanted is None:
            return self.default
        spec = SimpleSpec(wanted)
        if Version.coerce(self.default.version) in spec:
            return self.default
        return next((other for other in self.others() if Version.coerce(other.version) in spec), None)


@dataclass(frozen=True, kw_only=True)
class NodePrograms:
    """Node.js and its installer."""

    node: str
    npm: str
    version: str  # of node


def node_programs() -> NodePrograms | None:
    """None where one of them is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    version = node_version()
    return NodePrograms(node=node, npm=npm, version=version) if node and npm and version else None


def python_path(wanted: str | Path | None) -> Path:
    """The Python that runs the tests: a path or a name on PATH; None is the one that runs packd.

    Raises LookupError when there is none of that name.
    """
    if wanted is None:
        return Path(sys.executable)
    found = shutil.which(wanted)
    if found is None:
        raise LookupError(f"tests.python: there is no program '{wanted}'")
    return Path(found)


def node_version() -> str | None:
    """E.g. "20.20.2"; None when there is no Node.js."""
    node = shutil.which("node")
    try:
        return _version_of(node, Path(node).stat().st_mtime_ns) if node else None
    except OSError:
        return None


def asked(python: Path) -> Interpreter | None:
    """What an interpreter says of itself; None when it can't be run."""
    try:
        return _asked(python, python.stat().st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=64)
def _asked(python: Path, _changed_ns: int) -> Interpreter | None:
    if python == Path(sys.executable):
        tag = f"{sys.implementation.cache_tag} {sysconfig.get_platform()}"
        return Interpreter(path=python, version=platform.python_version(), base=sys.base_prefix, tag=tag)
    answer = _said(str(python), "-I", "-c", _ASK)
    lines = answer.split("\n") if answer is not None else []
    if len(lines) != _ANSWER_LINES or not _VERSION.fullmatch(lines[0]):
        return None
    version, executable, base, tag, where = lines
    # A stand-in that only finds the real one by its surroundings would not find it in a test's.
    path = python if python.resolve() == Path(executable).resolve() else Path(executable)
    return Interpreter(path=path, version=version, base=base, tag=f"{tag} {where}")


def _lying_about() -> Iterator[Path]:
    """Pythons on PATH and those that pyenv keeps."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if Path(folder).is_absolute():
            yield from (Path(folder, name) for name in _listed(folder) if _NAMED.fullmatch(name))
    versions = Path(os.environ.get("PYENV_ROOT") or f"{os.environ.get('HOME', '')}/.pyenv", "versions")
    yield from (versions / name / "bin/python3" for name in _listed(versions) if name.startswith("3."))


def _listed(folder: str | Path) -> list[str]:
    """Sorted; empty where there is nothing to be read, as in somebody else's home."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _is_program(path: Path) -> bool:
    """Scripts under a Python's name look for the real one by their surroundings, which tests do not have."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


@functools.lru_cache(maxsize=16)
def _version_of(program: str, _changed_ns: int) -> str | None:
    found = _VERSION.search(_said(program, "--version") or "")
    return found[0] if found else None


def _said(*command: str) -> str | None:
    """What it prints; None when it fails."""
    try:
        asked = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return asked.stdout if asked.returncode == 0 else None


@functools.lru_cache(maxsize=64)
def has_module(python: Path, name: str) -> bool:
    """Can it import that? Asked once."""
    look = "import importlib.util, sys; sys.stdout.write(str(importlib.util.find_spec(sys.argv[1]) is not None))"
    return _said(str(python), "-I", "-c", look, name) == "True"
