"""Environments that were built, by the digest of what they were built from. Shared by packs, revisions and processes.

    <folder>/<digest>.json           says which build is the good one; replaced by rename, so it is there or it is not
    <folder>/<digest>.lock           held by whoever builds it; removed by a sweep when nothing else of the digest is there
    <folder>/<digest>.<build>/       one build, read-only; its own `.lock` is shared by whoever uses it

A build that was interrupted has no record and is removed by the next sweep; a rebuild leaves running tests the old one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.domain.reports import Environment
from packd.testrun.environments.build import LOCK, Unbuilt, remove_environment
from packd.testrun.environments.resolved import node_packages, python_packages
from packd.testrun.interpreters import node_programs
from packd.testrun.progress import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.testrun.cancel import CancelToken
    from packd.testrun.environments.build import Builder
    from packd.testrun.environments.wanted import Wanted
    from packd.testrun.interpreters import Interpreter
    from packd.testrun.progress import Tell

_LOOK_AGAIN_S: Final = 0.05  # whether another has built it
_CACHE: Final = "downloads"  # of the installers


@dataclass(frozen=True, kw_only=True)
class Built:
    """An environment in use: it stays while the block is open that handed it out."""

    folder: Path
    resolved: Environment
    python: Path | None  # the interpreter of its virtual environment, if it has one
    node_modules: Path | None


class Environments:
    """The folder of environments. Any number of threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def provide(
        self,
        wanted: Wanted,
        interpreter: Interpreter,
        builder: Builder,
        cancel: CancelToken,
        *,
        rebuild: bool = False,
        tell: Tell = nobody,
    ) -> Iterator[Built | Unbuilt]:
        """The environment for `wanted`, built now unless it is there. Waits when another is building it.

        `tell` gets a few words on what is going on, whenever that is another thing.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        node = node_programs() if wanted.node else None
        key = wanted.digest(python=interpreter.identity if wanted.python else None, node=node.version if node else None)
        with contextlib.ExitStack() as stack:
            taken = None if rebuild else self._taken(key, stack)
            yield taken or self._made(key, wanted, interpreter, builder, cancel, stack, rebuild=rebuild, tell=tell)

    def sweep(self, unused_for_s: float) -> int:
        """Remove what nobody used for so long, and what is no good; returns how many. What is in use stays."""
        if not self._folder.is_dir():
            return 0
        for record in self._folder.glob("*.json"):
            if time.time() - record.stat().st_mtime > unused_for_s:
                with self._locked_or_not(record.stem) as alone:
                    if alone:
                        record.unlink(missing_ok=True)
        discarded = sum(self._discard(folder) for folder in self._folder.glob("*.*/"))
        for lock in self._folder.glob("*.lock"):
            self._tidy(lock.stem)
        return discarded

    def finished(self) -> list[Path]:
        """The folders of those that are good."""
        found = []
        for record in self._folder.glob("*.json"):
            try:
                found.append(self._folder / str(json.loads(record.read_bytes())["folder"]))
            except (OSError, ValueError, KeyError, TypeError):  # swept just now
                continue
        return found

    # --- taking what is there ----------------------------------------------------------------------------------------

    def _taken(self, key: str, stack: contextlib.ExitStack) -> Built | None:
        """None when it has to be built."""
        record = self._record(key)
        try:
            said = json.loads(record.read_bytes())
            folder = self._folder / str(said["folder"])
            _share(folder, stack)
            resolved = Environment(
                python=said["python"],
                packages=tuple(said["packages"]),
                node=said["node"],
                node_packages=tuple(said["node_packages"]),
            )
            os.utime(record)  # a sweep goes by it
        except (OSError, ValueError, KeyError, TypeError):  # not there, or swept just now
            return None
        return _built(folder, resolved)

    def _made(
        self,
        key: str,
        wanted: Wanted,
        interpreter: Interpreter,
        builder: Builder,
        cancel: CancelToken,
        stack: contextlib.ExitStack,
        *,
        rebuild: bool,
        tell: Tell,
    ) -> Built | Unbuilt:
        before = time.time_ns()
        with contextlib.ExitStack() as building:
            if not self._lock(key, cancel, building, tell):
                return Unbuilt(sentence=cancel.reason or "the run was cancelled", cause="cancelled")
            # Another may have built it in the meantime.
            built = self._taken(key, stack) if not rebuild or self._made_since(key, before) else None
            if built is not None:
                return built
            folder = self._folder / f"{key}.{secrets.token_hex(4)}"
            trouble = builder.build(
                wanted, interpreter, folder, self._folder / _CACHE, cancel, refresh=rebuild, tell=tell
            )
            if trouble is not None:
                _remove(folder)
                return trouble
            _share(folder, stack)
            resolved = _resolved(folder, interpreter, wanted)
            self._write(key, folder, resolved)
        return _built(folder, resolved)

    def _made_since(self, key: str, moment_ns: int) -> bool:
        try:
            return int(json.loads(self._record(key).read_bytes())["made_at_ns"]) > moment_ns
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _write(self, key: str, folder: Path, resolved: Environment) -> None:
        fresh = self._folder / f"{key}.json.{secrets.token_hex(4)}"
        said = {"folder": folder.name, "made_at_ns": time.time_ns(), **asdict(resolved)}
        fresh.write_text(json.dumps(said))
        fresh.replace(self._record(key))

    def _record(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    # --- locks: the kernel lets go of them however a process ends ------------------------------------------------------

    def _lock(self, key: str, cancel: CancelToken, stack: contextlib.ExitStack, tell: Tell) -> bool:
        """Hold the right to build it; False when the run is cancelled meanwhile."""
        waiting = False
        while not self._locked(key, stack):
            if cancel.reason is not None:
                return False
            if not waiting:
                tell("waiting for another run that installs the same packages")
                waiting = True
            time.sleep(_LOOK_AGAIN_S)
        return True

    @contextlib.contextmanager
    def _locked_or_not(self, key: str) -> Iterator[bool]:
        with contextlib.ExitStack() as stack:
            yield self._locked(key, stack)

    def _locked(self, key: str, stack: contextlib.ExitStack) -> bool:
        """Hold it until the stack is closed, unless another does; a lock that was removed meanwhile is nobody's."""
        path = self._folder / f"{key}.lock"
        with contextlib.ExitStack() as trying:
            descriptor = _opened(path, trying)
            if not (_flocked(descriptor, fcntl.LOCK_EX) and _is_at(descriptor, path)):
                return False
            stack.push(trying.pop_all())
        return True

    def _tidy(self, key: str) -> None:
        """Remove what an interrupted writer left of a record, and the lock when there is nothing to lock any more."""
        with self._locked_or_not(key) as alone:
            if not alone:
                return
            for unfinished in self._folder.glob(f"{key}.json.*"):
                unfinished.unlink(missing_ok=True)
            if not self._record(key).exists() and not any(self._folder.glob(f"{key}.*/")):
                (self._folder / f"{key}.lock").unlink(missing_ok=True)

    def _discard(self, folder: Path) -> bool:
        """Remove a build that no record names and nobody uses or makes."""
        key = folder.name.partition(".")[0]
        with self._locked_or_not(key) as not_building:
            if not not_building or self._names(key, folder):
                return False
            with contextlib.ExitStack() as stack:
                with contextlib.suppress(FileNotFoundError):
                    if not _flocked(_opened(folder / LOCK, stack, make=False), fcntl.LOCK_EX):
                        return False
                _remove(folder)
        return True

    def _names(self, key: str, folder: Path) -> bool:
        try:
            return str(json.loads(self._record(key).read_bytes())["folder"]) == folder.name
        except (OSError, ValueError, KeyError, TypeError):
            return False


def _share(folder: Path, stack: contextlib.ExitStack) -> None:
    """Keep it from being swept. Raises FileNotFoundError when it is gone."""
    descriptor = _opened(folder / LOCK, stack, make=False)
    if not _flocked(descriptor, fcntl.LOCK_SH):  # being swept
        raise FileNotFoundError(folder)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):  # tried again at the next sweep
        remove_environment(folder)


def _opened(path: Path, stack: contextlib.ExitStack, *, make: bool = True) -> int:
    flags = (os.O_RDWR | os.O_CREAT) if make else os.O_RDONLY
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _flocked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _built(folder: Path, resolved: Environment) -> Built:
    python, modules = folder / "python" / "bin" / "python", folder / "node" / "node_modules"
    return Built(
        folder=folder,
        resolved=resolved,
        python=python if python.exists() else None,
        node_modules=modules if modules.is_dir() else None,
    )


def _resolved(folder: Path, interpreter: Interpreter, wanted: Wanted) -> Environment:
    node = node_programs() if wanted.node else None
    return Environment(
        python=interpreter.version,
        packages=python_packages(folder / "python"),
        node=node.version if node else None,
        node_packages=node_packages(folder / "node"),
    )
