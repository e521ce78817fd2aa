"""Walls that stand: a sandbox of bubblewrap's is made once and serves one program after another of the same thread.

Making one takes several times as long as a small suite. So a warden is put inside of it (`launcher/warden.py`), which lets
each program run in a cell of its own there: processes, mounts, folders and whatever else a program can change or leave
behind are made anew for each, by the warden; what no program can change stays. A program that needs another view gets
other walls, and what has no walls yet is run in a sandbox of its own, as it would be without any.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.processors import HERE
from packd.testrun.mark import WALLS, WORK_VARIABLE
from packd.testrun.sandbox import SandboxFailed
from packd.testrun.view import SHM, TMP, room_in_common
from packd.testrun.walls import Walls, WardenGate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from packd.testrun.bwrap import BwrapSandbox
    from packd.testrun.sandbox import Cell, Order
    from packd.testrun.view import LastingView, Mount

_LAUNCHER: Final = Path(__file__).parent / "launcher"
_SEEN_AS: Final = Path("/run/packd")  # where the launcher lies inside, until the warden runs
_MOST: Final = 3  # walls of one thread: as many views as packs commonly need side by side
_MOST_KNOWN: Final = 64
_TRIES: Final = 3  # to make walls that a warden lives in, on a machine that may forbid it
_NEXT_TAKES_S: Final = 0.05  # at most, to make a cell: waiting for it is quicker than a sandbox of its own
_LARGEST: Final = 96 * 1024  # bytes of a command line and its environment
_MAKING_TAKES_S: Final = 10.0


@dataclass(frozen=True)
class _Standing:
    """What a thread has."""

    walls: OrderedDict[LastingView, Walls]  # those used last behind
    asked_for: set[LastingView]  # views that had no walls when they were needed
    in_vain: Counter[LastingView]  # how often they were made, and never had a cell
    known: dict[tuple[object, ...], LastingView]  # the view of orders that are alike in this; long in finding


class WalledSandbox:
    """See Lasting: bubblewrap's rung with walls that stand, for the threads of the process that it is made in."""

    def __init__(self, rung: BwrapSandbox) -> None:
        self._rung = rung
        self.isolation = rung.isolation
        self.shortcomings = rung.shortcomings
        self.as_root = rung.as_root
        self.fills = rung.fills
        self._own = threading.local()  # a warden dies with the thread that it was started in

    def lasting(self) -> WalledSandbox:
        return self

    def cell(self, order: Order) -> AbstractContextManager[Cell]:
        """See Sandbox."""
        if not is_ordinary(order):
            return self._rung.cell(order)
        view = self._view(order)
        gate = self._gate(view)
        return self._without(order, view) if gate is None else self._within(order, view, gate)

    @contextlib.contextmanager
    def _within(self, order: Order, view: LastingView, gate: WardenGate) -> Iterator[Cell]:
        try:
            with self._rung.gated(order, gate, own_processes=1) as cell:
                yield cell
        except SandboxFailed:
            self._drop(view)  # the next one gets a sandbox of its own
            raise

    @contextlib.contextmanager
    def _without(self, order: Order, view: LastingView) -> Iterator[Cell]:
        with self._rung.cell(order) as cell:
            yield cell
        self._make_soon(view)

    def close(self) -> None:
        """See Lasting."""
        while self._standing.walls:
            self._standing.walls.popitem()[1].close()

    @property
    def _standing(self) -> _Standing:
        standing: _Standing | None = getattr(self._own, "standing", None)
        if standing is None:
            standing = self._own.standing = _Standing(OrderedDict(), set(), Counter(), {})
        return standing

    def _gate(self, view: LastingView) -> WardenGate | None:
        """Of the cell that waits, if there is one."""
        walls = self._found(view)
        try:
            vacancy = walls.vacancy(_NEXT_TAKES_S if walls.served else 0.0) if walls is not None else None
        except OSError:
            self._drop(view)
            return None
        return WardenGate(walls, vacancy) if walls is not None and vacancy is not None else None

    def _view(self, order: Order) -> LastingView:
        """As the rung says it, asked once for orders that can't differ in it. What is missing may come."""
        alike = (*_alike(order), room_in_common(order))
        known = self._standing.known
        view = known.get(alike)
        if view is None:
            view = self._rung.lasting_view(order)
            if len(known) >= _MOST_KNOWN:
                known.clear()
            if all(path.exists() for path in order.readable):
                known[alike] = view
        return view

    def _found(self, view: LastingView) -> Walls | None:
        walls = self._standing.walls.get(view)
        if walls is None:
            return None
        if not walls.still_stand():
            self._drop(view)
            return None
        self._standing.walls.move_to_end(view)
        return walls

    def _drop(self, view: LastingView) -> None:
        self._standing.known.clear()
        walls = self._standing.walls.pop(view, None)
        if walls is not None:
            self._standing.in_vain[view] += not walls.served
            walls.close()

    def _make_soon(self, view: LastingView) -> None:
        """The warden comes while something else is done. A view that is one of many is not worth it the first time."""
        standing = self._standing
        if view in standing.walls or standing.in_vain[view] >= _TRIES:
            return
        if standing.walls and view not in standing.asked_for:
            standing.asked_for.add(view)
            return
        try:
            standing.walls[view] = self._made(view)
        except OSError:  # it goes without
            standing.in_vain[view] += 1
        if len(standing.walls) > _MOST:
            standing.walls.popitem(last=False)[1].close()

    def _made(self, view: LastingView) -> Walls:
        """Raises OSError."""
        only_for_warden = _needed_by_warden(view.mounts)
        own = [mount for mount in view.mounts if mount.is_own]
        described = {
            "only_for_warden": [str(path) for _, path in only_for_warden],
            "own": [{"path": str(one.path), "size": one.size, "mode": one.mode} for one in own],
            "below_own": [str(one.path) for one in view.mounts if _is_covered(one, own)],
            "processors": HERE.described(),
            **self._rung.becoming(),
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        gate = self._rung.shell_gate()
        with theirs, contextlib.ExitStack() as given_up:
            given_up.callback(ours.close)
            given_up.callback(gate.close)
            python = os.path.realpath(sys.executable)
            warden = (python, "-I", "-S", str(_SEEN_AS / "warden.py"), str(gate.hand(json.dumps(described).encode())))
            command = self._rung.walls_command(view, only_for_warden, gate, warden)
            room = next(mount.path for mount in own if mount.path not in (TMP, SHM))
            # By this the next daemon finds what one that was killed in the middle of it may have left.
            started = gate.start_with(command, theirs.fileno(), {WORK_VARIABLE: str(room / WALLS)})
            given_up.pop_all()
        walls = Walls(view.mounts, gate=gate, line=ours, warden=started)
        try:
            walls.begun(time.monotonic() + _MAKING_TAKES_S)
        except OSError:
            walls.close()
            raise
        return walls


def is_ordinary(order: Order) -> bool:
    """One that works in its own folder, has the warden for itself, and fits into a request."""
    if order.private is None or order.writable or not order.alone:
        return False
    words = (*order.argv, *order.env, *order.env.values())
    return sum(map(len, words)) < _LARGEST


def _alike(order: Order) -> tuple[object, ...]:
    """All that the view of an ordinary order depends on, but for what the machine has and how much its folder holds."""
    parent = order.private.parent if order.private is not None else None
    return order.network, order.readable, order.argv[0], order.env.get("PATH"), parent, order.limits.disk_mb


def _needed_by_warden(view: Sequence[Mount]) -> list[tuple[Path, Path]]:
    """(what, where it is seen) beside the view: the launcher, and an interpreter that is not the system's."""
    homes = {Path(os.path.realpath(sys.executable)).parent.parent, Path(sys.base_prefix).resolve()}
    shown = [mount.path for mount in view if mount.kind == "read"]
    hidden = [home for home in sorted(homes) if not any(home.is_relative_to(path) for path in shown)]
    return [(_LAUNCHER, _SEEN_AS), *((home, home) for home in hidden)]


def _is_covered(mount: Mount, own: Sequence[Mount]) -> bool:
    """By what is mounted anew for each program, and to be seen all the same."""
    return mount.kind != "folder" and not mount.is_own and any(one.path in mount.path.parents for one in own)
