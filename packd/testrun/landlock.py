"""The rung for machines without bubblewrap: a launcher of packd's own makes the namespaces and the view, and Landlock
guards what is opened."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.gate import GatedCell
from packd.testrun.launcher import kernel
from packd.testrun.sandbox import NOBODY_NAMED, Unchanged, Unusable
from packd.testrun.seccomp import seccomp_program
from packd.testrun.shell_gate import ShellGate, Tools
from packd.testrun.system_files import Someone, prepare_system_files
from packd.testrun.view import view

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packd.testrun.sandbox import Lasting, Order
    from packd.testrun.view import Mount

_LAUNCHER: Final = Path(__file__).parent / "launcher" / "confine.py"
_OWN_PROCESSES: Final = 2  # the launcher, and the first process inside
_ALWAYS_WRITABLE: Final = ("/dev",)  # sealed but for its devices and /dev/shm
_ALWAYS_READABLE: Final = ("/",)


class LandlockSandbox:
    """Programs run by the launcher."""

    isolation = "landlock"
    fills = True

    def __init__(self, folder: Path, *, someone: Someone | None = None, hidden: Sequence[Path] = ()) -> None:
        """As BwrapSandbox. Raises Unusable when the kernel has no Landlock."""
        if kernel.landlock_version() == 0:
            raise Unusable("this kernel has no Landlock")
        self._tools = Tools.found(becoming=False)
        self._is_root = os.geteuid() == 0
        self._someone = someone if self._is_root else None
        self._hidden = tuple(hidden)
        self._filter = (seccomp_program() or b"").hex()
        self._etc = prepare_system_files(folder, someone or Someone(uid=os.geteuid(), gid=os.getegid()))
        said = ["memory and processor time are limited for each process, not for all of a suite together"]
        if not self._filter:
            said.append("system calls are not filtered on this processor")
        self.as_root = NOBODY_NAMED if self._is_root and someone is None else None
        if self.as_root:
            said.append(f"suites run as root inside: {self.as_root}")
        self.shortcomings = tuple(said)

    @contextlib.contextmanager
    def cell(self, order: Order) -> Iterator[GatedCell]:
        """See Sandbox."""
        someone = self._someone if order.private is not None else None
        gate = ShellGate(someone=someone, maps=self._is_root)
        with GatedCell(order=order, gate=gate, own_processes=_OWN_PROCESSES, someone=someone) as cell:
            gate.command = partial(self._command, gate)
            yield cell

    def _command(self, gate: ShellGate, order: Order) -> list[str]:
        described = gate.hand(json.dumps(self._described(order, gate)).encode())
        return [sys.executable, "-I", "-S", str(_LAUNCHER), str(described), str(gate.info)]

    def lasting(self) -> Lasting:
        """See Sandbox."""
        return Unchanged(self)

    def _described(self, order: Order, gate: ShellGate) -> dict[str, object]:
        mounts = view(order, self._etc, self._hidden)
        writable = [str(mount.path) for mount in mounts if mount.kind == "write" or _is_own(mount)]
        return {
            "argv": gate.through(order, self._tools),
            "network": order.network,
            "hostname": "packd",
            "mapped_from_outside": self._is_root,
            "user": gate.someone.uid if gate.someone else None,
            "group": gate.someone.gid if gate.someone else None,
            "filter": self._filter,
            "mounts": [_plain(mount) for mount in mounts],
            "readable": list(_ALWAYS_READABLE),
            "writable": [*_ALWAYS_WRITABLE, "/proc", *writable],
        }


def _is_own(mount: Mount) -> bool:
    """Not what only hides something."""
    return mount.kind == "empty" and bool(mount.mode & 0o200)


def _plain(mount: Mount) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(mount).items()}
