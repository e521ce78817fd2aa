"""The gate of a sandbox that is made for one program by a command: a shell waits in it, then starts the program, and
says in the end what that left running."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.gate import Inside
from packd.testrun.processes import children
from packd.testrun.sandbox import SandboxFailed, in_its_environment, needed, own_environment, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packd.testrun.sandbox import Child, Order
    from packd.testrun.system_files import Someone

# The shell is the first process inside: no program in there can end it, it is the parent of every orphan, and its end is
# that of all (pid_namespaces(7)), which it counts before. It speaks through its stdin, which the program does not get; its
# stderr is put out of the way, as the first number that is nobody's, else what it says of how the program ended would be
# among what the program printed.
_GATE: Final = r"""
echo >&0 && read -r _ && cd "$1" && unset OLDPWD && shift || exit
for PACKD_FD in 3 4 5 6 7 8 9; do [ -e "/proc/self/fd/$PACKD_FD" ] || break; done
eval "unset PACKD_FD; exec $PACKD_FD>&2 2>/dev/null; (exec \"\$@\" </dev/null 2>&$PACKD_FD $PACKD_FD>&-)"
status=$? left=0
for process in /proc/[0-9]*; do
  [ "$process" != /proc/1 ] || continue
  state=
  while read -r key state _; do [ "$key" != State: ] || break; done <"$process/status"
  case $state in "" | [ZX]) ;; *) left=$((left + 1)) ;; esac
done
echo "$left" >&0
exit "$status"
"""
_LONGEST_COUNT: Final = 16  # bytes


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Of util-linux and coreutils, on the way from the shell to the program."""

    setsid: str
    env: str
    setpriv: str | None

    @classmethod
    def found(cls, *, becoming: bool) -> Tools:
        """`becoming`: the program may become somebody else. Raises Unusable when one is missing."""
        setpriv = needed("setpriv", "util-linux") if becoming else None
        return cls(setsid=needed("setsid", "util-linux"), env=needed("env", "coreutils"), setpriv=setpriv)


def _no_command(_: Order) -> Sequence[str]:
    raise LookupError("the rung did not say what to run")


@dataclass(kw_only=True)
class ShellGate:
    """See Gate. `command` is set by the rung, which needs some of what is here for it."""

    someone: Someone | None = None  # whom the program becomes
    maps: bool = False  # user ids are mapped from here, before anything else
    command: Callable[[Order], Sequence[str]] = _no_command
    info: int = -1  # where the command tells of the first process inside, as bubblewrap's --info-fd
    _info: int = -1
    _pid: int = -1
    _init: int | None = None
    _keep: list[int] = field(default_factory=list)
    _ours: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _theirs: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # ends that only they keep

    def __post_init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._talk = self._ours.enter_context(ours)
        self._stdin = self._theirs.enter_context(theirs)
        self._info, self.info = os.pipe2(os.O_CLOEXEC)
        self._ours.callback(os.close, self._info)
        self._theirs.callback(os.close, self.info)
        self._keep.append(self.info)

    def hand(self, content: bytes) -> int:
        """A descriptor that they can read this from."""
        descriptor = os.memfd_create("packd", os.MFD_CLOEXEC)
        self._theirs.callback(os.close, descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._keep.append(descriptor)
        return descriptor

    def through(self, order: Order, tools: Tools) -> list[str]:
        """What the rung has to run inside. The program has a session of its own: it is asked to end without the shell."""
        drop: list[str] = []
        if self.someone is not None and tools.setpriv is not None:
            drop = [
                tools.setpriv,
                f"--reuid={self.someone.uid}",
                f"--regid={self.someone.gid}",
                "--clear-groups",
                "--inh-caps=-all",
                "--",
            ]
        program = in_its_environment(order, tools.env, PWD=str(order.cwd))
        return ["/bin/sh", "-c", _GATE, "sh", str(order.cwd), tools.setsid, *drop, *program]

    def start(self, order: Order, *, stdout: int, stderr: int, keep: Sequence[int]) -> Child:
        """See Gate."""
        command, env = self.command(order), own_environment(order)
        keep = (*self._keep, *keep)
        return self._started(command, env, self._stdin.fileno(), stdout=stdout, stderr=stderr, keep=keep)

    def start_with(self, command: Sequence[str], stdin: int, env: dict[str, str]) -> Child:
        """The same for a command that nothing is heard of but what it says on its `stdin`."""
        nowhere = subprocess.DEVNULL
        return self._started(command, env, stdin, stdout=nowhere, stderr=nowhere, keep=self._keep)

    def _started(
        self, command: Sequence[str], env: dict[str, str], stdin: int, *, stdout: int, stderr: int, keep: Sequence[int]
    ) -> Child:
        started = spawn(command, env=env, cwd="/", stdin=stdin, stdout=stdout, stderr=stderr, keep=keep)
        self._pid = started.pid
        return started

    def arrived(self, deadline: float) -> Inside:
        """See Gate."""
        init = self.first_inside(deadline, self._talk)
        self._wait(self._talk.fileno(), deadline)
        if not self._talk.recv(1):
            raise SandboxFailed("the sandbox could not be made")
        self._init = init
        return Inside(init=init, program=init, others=(self._pid,))

    def leader(self) -> int | None:
        """See Gate."""
        return None if self._init is None else next(iter(children(self._init)), None)

    def first_inside(self, deadline: float, talk: socket.socket) -> int:
        """The number of the first process inside, which knows its users from now on; `talk` leads to its stdin."""
        self._theirs.close()
        init = self._hear_of_init(deadline)
        if self.maps:
            _map_users(init, self.someone)
            talk.send(b"m")
        return init

    def left(self) -> int:
        """See Gate."""
        with contextlib.suppress(OSError):
            said = self._talk.recv(_LONGEST_COUNT, socket.MSG_DONTWAIT).strip()
            return int(said) if said.isdigit() else 0
        return 0

    def has_cleared(self) -> bool:
        """See Gate. Of its first process inside it is only known that it ends."""
        return False

    def open(self) -> None:
        """See Gate."""
        self._talk.sendall(b"\n")

    def close(self) -> None:
        """See Gate."""
        self._theirs.close()
        self._ours.close()

    def _hear_of_init(self, deadline: float) -> int:
        said = b""
        while not said.rstrip().endswith(b"}"):
            self._wait(self._info, deadline)
            data = os.read(self._info, 4096)
            if not data:
                raise SandboxFailed("the sandbox could not be made")
            said += data
        return int(json.loads(said)["child-pid"])

    def _wait(self, descriptor: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise SandboxFailed("the sandbox was not made in time")


def _map_users(init: int, someone: Someone | None) -> None:
    """Root, who makes the sandbox, and whom the program becomes."""
    for kind, number in (("uid", someone.uid if someone else 0), ("gid", someone.gid if someone else 0)):
        lines = "0 0 1\n" + (f"{number} {number} 1\n" if number else "")
        Path(f"/proc/{init}/{kind}_map").write_text(lines)
