"""Control groups for suites (cgroup v2): what all processes of a suite take together is limited, counted and ended.

Only in a part of the tree that was given to packd, as systemd's `Delegate=` does: there it moves itself into a leaf,
since a group with controllers for its children may hold no process, and makes a group beside that for each suite.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.limits import MIB
from packd.testrun.sandbox import Spent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.testrun.limits import Limits

_LEAF: Final = "daemon"  # where packd itself is
_NEEDED: Final = frozenset({"memory", "pids"})
_WELCOME: Final = ("cpu",)
_DELEGATED: Final = ("user.delegate", "trusted.delegate")  # extended attributes by systemd
_EMPTY_S: Final = 10.0
_LOOK_S: Final = 0.002


class NoCgroup(Exception):
    """No part of the tree can be used; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """One suite's group."""

    path: Path

    def limit(self, limits: Limits, processes: int | None) -> None:
        """Set before anything is in it. Raises OSError."""
        if limits.memory_mb:
            self._set("memory.max", str(limits.memory_mb * MIB))  # files in memory count as well
            self._set("memory.oom.group", "1")
            with contextlib.suppress(OSError):  # not there on a machine without swap accounting
                self._set("memory.swap.max", "0")
        if processes is not None:
            self._set("pids.max", str(processes))

    def add(self, pid: int) -> None:
        """Raises OSError; a process that is gone is none."""
        try:
            self._set("cgroup.procs", str(pid))
        except OSError as trouble:
            if trouble.errno != errno.ESRCH:
                raise

    def spent(self) -> Spent:
        peak = self._get("memory.peak").strip()
        return Spent(
            oom_kills=_number(self._get("memory.events"), "oom_kill"),
            forks_refused=_number(self._get("pids.events"), "max"),
            memory_peak=int(peak) if peak.isdecimal() else None,
        )

    def end(self) -> bool:
        """Kill all that is in it and remove it; False when it can't be."""
        deadline = time.monotonic() + _EMPTY_S
        while True:
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return True
            except OSError:
                if time.monotonic() > deadline:
                    return False
                with contextlib.suppress(OSError):
                    self._kill()
                time.sleep(_LOOK_S)
            else:
                return True

    def _kill(self) -> None:
        for inner in self.path.glob("*/"):
            Group(path=inner).end()
        self._set("cgroup.kill", "1")

    def _set(self, name: str, value: str) -> None:
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)

    def _get(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except OSError:
            return ""


@dataclass(frozen=True, kw_only=True)
class Delegated:
    """The part of the tree that is packd's own."""

    path: Path

    @classmethod
    def take(cls) -> Delegated:
        """Find it and move this process into a leaf of it. To be called before anything is started.

        Raises NoCgroup.
        """
        path = own_group()
        if path.name == _LEAF and _is_delegated(path.parent):
            path = path.parent
        elif not _is_delegated(path):
            raise NoCgroup("this process has no control group of its own to divide (systemd: `Delegate=yes`)")
        missing = _NEEDED - set(_words(path / "cgroup.controllers"))
        if missing:
            raise NoCgroup(f"its control group has no {' and no '.join(sorted(missing))} controller")
        try:
            _settle(path)
        except OSError as trouble:
            raise NoCgroup(f"its control group {path} can't be divided: {trouble}") from trouble
        return cls(path=path)

    @contextlib.contextmanager
    def group(self) -> Iterator[Group]:
        """A new group; nothing of it is left when the block is. Raises OSError."""
        group = Group(path=self.path / f"run-{secrets.token_hex(6)}")
        group.path.mkdir()
        try:
            yield group
        finally:
            group.end()


def own_group() -> Path:
    """The folder of this process's group. Raises NoCgroup."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError as trouble:
        raise NoCgroup(f"control groups can't be read: {trouble}") from trouble
    name = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    mount = _mount()
    if name is None or mount is None:
        raise NoCgroup("control groups of version 2 are not mounted")
    root, point = mount
    relative = name.removeprefix(root) if root != "/" else name
    return point / relative.lstrip("/")


def _mount() -> tuple[str, Path] | None:
    """(the group at its root, where it is mounted), from /proc/self/mountinfo (proc(5))."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                fields = before.split()
                return fields[3], Path(fields[4])
    return None


def _is_delegated(path: Path) -> bool:
    """Given to us by name; for anybody but root it is enough that it can be written."""
    for attribute in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(path, attribute) == b"1":
                return True
    files = ("cgroup.procs", "cgroup.subtree_control")
    return os.geteuid() != 0 and all(os.access(path / name, os.W_OK) for name in files)


def _settle(path: Path) -> None:
    """Move ourselves into the leaf, remove what a killed daemon left, and let children have controllers."""
    leaf = Group(path=path / _LEAF)
    inside = [int(pid) for pid in _words(path / "cgroup.procs")]
    for pid in inside:
        if not _is_descendant(pid):
            raise OSError(f"process {pid}, which is none of packd's, is in it")
    leaf.path.mkdir(exist_ok=True)
    for pid in inside:
        leaf.add(pid)
    for left in path.glob("run-*/"):
        Group(path=left).end()
    there = set(_words(path / "cgroup.controllers"))
    wanted = " ".join(f"+{name}" for name in (*sorted(_NEEDED), *_WELCOME) if name in there)
    (path / "cgroup.subtree_control").write_text(wanted)


def _is_descendant(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return True  # gone
    return pid == os.getpid()


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _number(text: str, key: str) -> int:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.isdecimal():
            return int(value)
    return 0
