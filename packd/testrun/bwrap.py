"""The rungs with bubblewrap: namespaces of their own for everything, a view of the machine that holds what is needed,
no rights, a filter of system calls; with a control group of its own where there is one to be had."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from packd.testrun.gate import GatedCell
from packd.testrun.sandbox import tool, tried
from packd.testrun.seccomp import seccomp_program
from packd.testrun.system_files import Someone, prepare_system_files
from packd.testrun.view import view

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from packd.testrun.cgroup import Delegated
    from packd.testrun.sandbox import Order
    from packd.testrun.view import Mount

_OWN_PROCESSES: Final = 2  # bubblewrap itself, and its first process inside
_APART: Final = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_BOUND: Final = ("--die-with-parent", "--new-session", "--cap-drop", "ALL")
_NAMED: Final = ("--hostname", "packd")
_SEALED: Final = ("--remount-ro", "/dev", "--remount-ro", "/")
_BECOMING: Final = ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")


class Unusable(Exception):
    """A rung does not work here; the message says why."""


class BwrapSandbox:
    """Programs run by bubblewrap."""

    def __init__(
        self, folder: Path, *, someone: Someone | None = None, hidden: Sequence[Path] = (), cgroups: Delegated | None
    ) -> None:
        """`folder` is for what is prepared once; programs become `someone` where packd is root; `hidden` they never
        see. Raises Unusable when bubblewrap is missing, OSError when the folder can't be written."""
        program, setpriv = tool("bwrap"), tool("setpriv")
        if program is None:
            raise Unusable("bubblewrap is not installed (`apt-get install bubblewrap`)")
        if os.geteuid() == 0 and setpriv is None:
            raise Unusable("setpriv is not installed (`apt-get install util-linux`)")
        self._program, self._setpriv = program, setpriv
        self._is_root = os.geteuid() == 0
        self._someone = someone if self._is_root else None
        self._hidden = tuple(hidden)
        self._cgroups = cgroups
        self._filter = seccomp_program()
        self._etc = prepare_system_files(folder, someone or Someone(uid=os.geteuid(), gid=os.getegid()))
        self._sealing = self._sealing_options()
        self._naming = self._naming_options()
        self.isolation = "bwrap+cgroup" if cgroups else "bwrap"
        self.shortcomings = self._said()

    def _sealing_options(self) -> tuple[str, ...]:
        """Nested user namespaces are off by the filter; where /proc/sys can be written, once more by the kernel."""
        if self._is_root:  # bubblewrap does not do it when the ids are mapped from outside
            return ()
        return ("--disable-userns",) if self._takes("--disable-userns") else ()

    def _naming_options(self) -> tuple[str, ...]:
        """The machine's name stays hidden, but where nobody may set one: in a service with `ProtectHostname=yes`."""
        return _NAMED if self._takes("--unshare-uts", *_NAMED) else ()

    def _takes(self, *options: str) -> bool:
        return tried((self._program, "--unshare-user", *options, "--ro-bind", "/", "/", "/bin/sh", "-c", ":")) is None

    def _said(self) -> tuple[str, ...]:
        said = []
        if self._cgroups is None:
            said.append("memory and processor time are limited for each process, not for all of a suite together")
        if self._filter is None and not self._sealing:
            said.append("system calls are not filtered on this processor")
        if self._is_root and self._someone is None:
            said.append("suites run as root inside; name another user in tests.user")
        return tuple(said)

    @contextlib.contextmanager
    def cell(self, order: Order) -> Iterator[GatedCell]:
        """See Sandbox."""
        with contextlib.ExitStack() as stack:
            group = stack.enter_context(self._cgroups.group()) if self._cgroups else None
            cell = GatedCell(
                order=order,
                own_processes=_OWN_PROCESSES,
                someone=self._someone if order.private is not None else None,
                maps=self._is_root,
                group=group,
            )
            stack.enter_context(cell)
            cell.command = self._command(order, cell)
            yield cell

    def _command(self, order: Order, cell: GatedCell) -> list[str]:
        options = [
            *_APART,
            *_BOUND,
            *self._naming,
            *(() if order.network else ("--unshare-net",)),
            "--info-fd",
            str(cell.info),
        ]
        if self._is_root:
            options += ["--uid", "0", "--gid", "0", "--userns-block-fd", "0"]
        if cell.someone is not None:
            options += _BECOMING
        if self._filter is not None:
            options += ["--seccomp", str(cell.hand(self._filter))]
        options += ["--proc", "/proc", "--dev", "/dev"]
        for mount in view(order, self._etc, self._hidden):
            options += _words(mount)
        return [
            self._program, *options, *_SEALED, *self._sealing, "--chdir", "/", "--",
            *cell.through_the_gate(self._setpriv),
        ]  # fmt: skip


def _words(mount: Mount) -> list[str]:
    path = str(mount.path)
    match mount.kind:
        case "read":
            return ["--ro-bind", str(mount.source), path]
        case "write":
            return ["--bind", str(mount.source), path]
        case "link":
            return ["--symlink", str(mount.source), path]
        case "folder":
            return ["--perms", "0755", "--dir", path]
        case "empty":
            size = ["--size", str(mount.size)] if mount.size else []
            return ["--perms", f"{mount.mode:04o}", *size, "--tmpfs", path]
