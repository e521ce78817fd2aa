"""The rungs with bubblewrap: namespaces of their own for everything, a view of the machine that holds what is needed,
no rights, a filter of system calls; with a control group of its own where there is one to be had."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from packd.testrun.gate import GatedCell
from packd.testrun.sandbox import NOBODY_NAMED, Unchanged, needed, tried
from packd.testrun.seccomp import seccomp_program
from packd.testrun.shell_gate import ShellGate, Tools
from packd.testrun.system_files import Someone, prepare_system_files
from packd.testrun.view import lasting_view, view
from packd.testrun.walled import WalledSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from packd.testrun.cgroup import Delegated
    from packd.testrun.gate import Gate
    from packd.testrun.sandbox import Lasting, Order
    from packd.testrun.view import LastingView, Mount

_OWN_PROCESSES: Final = 2  # bubblewrap itself, and the first process inside
_APART: Final = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_BOUND: Final = ("--die-with-parent", "--new-session", "--cap-drop", "ALL")
_NAMED: Final = ("--hostname", "packd")
_ROOT_INSIDE: Final = ("--uid", "0", "--gid", "0")
_SEALED: Final = ("--remount-ro", "/dev", "--remount-ro", "/")
_BECOMING: Final = ("CAP_SETUID", "CAP_SETGID")
# To make namespaces and mounts, to have the user namespace refuse further ones, and to give rights up for good.
# The last is asked of who gives another number to the user that root stands for inside (user_namespaces(7)).
_OF_WARDEN: Final = (*_BECOMING, "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SETPCAP", "CAP_SETFCAP")


class BwrapSandbox:
    """Programs run by bubblewrap."""

    fills = True

    def __init__(
        self, folder: Path, *, someone: Someone | None = None, hidden: Sequence[Path] = (), cgroups: Delegated | None
    ) -> None:
        """`folder` is for what is prepared once; programs become `someone` where packd is root; `hidden` they never
        see. Raises Unusable when bubblewrap is missing, OSError when the folder can't be written."""
        self._program = needed("bwrap", "bubblewrap", known_as="bubblewrap")
        self._is_root = os.geteuid() == 0
        self._tools = Tools.found(becoming=self._is_root)
        self._someone = someone if self._is_root else None
        self._hidden = tuple(hidden)
        self._cgroups = cgroups
        self._filter = seccomp_program()
        self._etc = prepare_system_files(folder, someone or Someone(uid=os.geteuid(), gid=os.getegid()))
        self._sealing = self._sealing_options()
        self._naming = self._naming_options()
        self.isolation = "bwrap+cgroup" if cgroups else "bwrap"
        self.as_root = NOBODY_NAMED if self._is_root and self._someone is None else None
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
        if self.as_root:
            said.append(f"suites run as root inside: {self.as_root}")
        return tuple(said)

    def lasting(self) -> Lasting:
        """See Sandbox. Without the filter nothing would stop a program from changing what the next one finds."""
        return WalledSandbox(self) if self._filter is not None else Unchanged(self)

    @contextlib.contextmanager
    def cell(self, order: Order) -> Iterator[GatedCell]:
        """See Sandbox."""
        gate = self.shell_gate(private=order.private is not None)
        with self.gated(order, gate, own_processes=_OWN_PROCESSES) as cell:
            gate.command = partial(self._command, gate)
            yield cell

    @contextlib.contextmanager
    def gated(self, order: Order, gate: Gate, *, own_processes: int) -> Iterator[GatedCell]:
        """A cell behind this gate, in a control group of its own."""
        with contextlib.ExitStack() as stack:
            cell = GatedCell(
                order=order,
                gate=gate,
                own_processes=own_processes,
                someone=self._someone if order.private is not None else None,
                group=stack.enter_context(self._cgroups.group()) if self._cgroups else None,
            )
            yield stack.enter_context(cell)

    def shell_gate(self, *, private: bool = True) -> ShellGate:
        return ShellGate(someone=self._someone if private else None, maps=self._is_root)

    def _command(self, gate: ShellGate, order: Order) -> list[str]:
        options = self._options(gate, network=order.network)
        if gate.someone is not None:
            options += _given(_BECOMING)
        if self._filter is not None:
            options += ["--seccomp", str(gate.hand(self._filter))]
        mounts = view(order, self._etc, self._hidden)
        inside = gate.through(order, self._tools)
        return [*options, "--as-pid-1", *_mounted(mounts), *self._sealing, "--chdir", "/", "--", *inside]

    def _options(self, gate: ShellGate, *, network: bool) -> list[str]:
        options = [
            *(self._program, *_APART, *_BOUND, *self._naming),
            *(() if network else ("--unshare-net",)),
            *("--info-fd", str(gate.info)),
        ]
        if self._is_root:
            options += [*_ROOT_INSIDE, "--userns-block-fd", "0"]
        return options

    # --- for walls that stand ----------------------------------------------------------------------------------------

    def lasting_view(self, order: Order) -> LastingView:
        """What its walls have to show; what the program may write to is mounted in them, for it alone."""
        return lasting_view(order, self._etc, self._hidden)

    def becoming(self) -> dict[str, object]:
        """Whom programs become inside, and what they may ask of the kernel."""
        someone = self._someone
        return {
            "user": someone.uid if someone else None,
            "group": someone.gid if someone else None,
            "known_as": None if self._is_root else [os.geteuid(), os.getegid()],
            "filter": (self._filter or b"").hex(),
        }

    def walls_command(
        self, shown: LastingView, more: Sequence[tuple[Path, Path]], gate: ShellGate, warden: Sequence[str]
    ) -> list[str]:
        """The command line of walls that show this, with a warden in them who sees `more` (what, where)."""
        beside = [word for source, path in more for word in ("--ro-bind", str(source), str(path))]
        return [
            *self._options(gate, network=shown.network),
            *(() if self._is_root else _ROOT_INSIDE),  # else bubblewrap gives up the rights that the warden needs
            *_given(_OF_WARDEN),
            *_mounted(shown.mounts, *beside),
            *("--chdir", "/", "--", *warden),
        ]


def _given(rights: Sequence[str]) -> list[str]:
    return [word for right in rights for word in ("--cap-add", right)]


def _mounted(mounts: Sequence[Mount], *more: str) -> list[str]:
    words = [word for mount in mounts for word in _words(mount)]
    return ["--proc", "/proc", "--dev", "/dev", *words, *more, *_SEALED]


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
