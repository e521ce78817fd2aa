"""Follow one process from its start to the moment when nothing of it is left.

Everything that can happen wakes one selector: its end (a pidfd), what it writes, the stop button, the next deadline.
Its end is what counts; the end of a pipe is never waited for, since a survivor may hold it open.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import selectors
import signal
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from packd.testrun.limits import MIB
from packd.testrun.processes import Family, Hurry, Killed, signal_group
from packd.testrun.sandbox import SandboxFailed, Spent
from packd.testrun.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.testrun.cancel import CancelToken
    from packd.testrun.sandbox import Cell, Order, Process, Sandbox

Stopped = Literal["timeout", "cancelled", "output", "processes", "disk"]

EVENTS_VARIABLE: Final = "PACKD_EVENTS_FD"

_PROCESSORS: Final = os.cpu_count() or 1
_CHUNK: Final = 65_536
_FLOOD: Final = 16  # times the output limit before a suite is stopped for it
_EVENTS_FLOOD: Final = 64 * MIB  # of what packd's own runners tell, before a suite is stopped for it
_KEPT_WITHOUT_LIMIT: Final = 16 * 1024 * 1024  # bytes of output that are kept where there is no limit
_REPORT_KEPT: Final = 8 * MIB  # of a report that is printed: as much as of one in a file
_LOOKS_S: Final = (0.05, 0.1, 0.2)  # between looks at its processes and its folder; the last one repeats
_CANCEL_GRACE_S: Final = 0.3
_KILL_AGAIN_S: Final = 1.0
_AFTER_KILL_S: Final = 10.0  # for a killed process to end
_PIPE_READS: Final = 32  # of what is left in a pipe at the end


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a process ended and what it said."""

    exit_code: int  # negative: the signal that ended it
    stopped: Stopped | None  # why packd stopped it; None when it ended by itself
    duration_ms: float
    left: Killed  # what it left running, killed since
    output: str  # stdout and stderr in the order they came, plain text; the middle may be missing
    stdout: str  # stdout alone where it was kept apart, otherwise the same as `output`
    written: int  # bytes printed in all
    told: int = 0  # bytes of events in all
    cpu_s: float = 0.0  # processor time of the process that had most when one could have used up its limit
    spent: Spent = field(default_factory=Spent)


class Supervisor:
    """Starts processes and follows them; one at a time per thread, and the thread must outlive the process."""

    def __init__(self, sandbox: Sandbox, *, adopting: bool, grace_s: float) -> None:
        self._sandbox = sandbox
        self._adopting = adopting
        self._grace_s = grace_s

    def run(
        self, order: Order, *, timeout_s: float, cancel: CancelToken, on_events: Callable[[bytes], None] | None
    ) -> Ending:
        """Run the order to its end. `on_events` gets what the process writes to the descriptor $PACKD_EVENTS_FD.

        Raises OSError when it can't be started.
        """
        family = Family(mark=order.mark, adopting=self._adopting)
        with contextlib.ExitStack() as stack:
            cell = stack.enter_context(self._sandbox.cell(order))
            watch = _Watch(stack, order, family, cell, timeout_s=timeout_s, grace_s=self._grace_s, on_events=on_events)
            return watch.follow(stack, cancel)


class _Watch:
    """One process being followed."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        order: Order,
        family: Family,
        cell: Cell,
        *,
        timeout_s: float,
        grace_s: float,
        on_events: Callable[[bytes], None] | None,
    ) -> None:
        limit = order.limits.output_kb * 1024 or _KEPT_WITHOUT_LIMIT
        self._order = order
        self._family = family
        self._cell = cell
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._on_events = on_events
        self._flood = limit * _FLOOD if order.limits.output_kb else float("inf")
        self._told = 0  # bytes of events
        self._cpu_s = 0.0
        self._cpu_from = float("inf")  # before that no process can have used up its processor time
        self._output = Transcript(limit)
        self._stdout = Transcript(max(limit, _REPORT_KEPT)) if order.separate_stdout else self._output
        self._hurry = stack.enter_context(Hurry())
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._pipes: dict[int, Callable[[bytes], None]] = {}  # reading ends that are open, and who takes what they say
        self._stopped: Stopped | None = None
        self._kill_at = float("inf")
        self._give_up_at = float("inf")
        self._ended_at: float | None = None

    def follow(self, stack: contextlib.ExitStack, cancel: CancelToken) -> Ending:
        stop_button = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        stack.callback(os.close, stop_button)
        process = self._start(stack)
        began = time.monotonic()
        try:
            self._enter()
            began = time.monotonic()
            self._watch(stop_button, lambda: self._cancelled(stop_button))
            stack.enter_context(cancel.waking(lambda: os.eventfd_write(stop_button, 1)))
            self._wait(process, began)
        finally:
            is_empty = False
            try:
                exit_code = self._collect(process)
                is_empty = self._cell.clear()
            finally:
                left = Killed() if is_empty else self._family.kill()
        self._drain()
        spent = self._cell.spent()
        left = replace(left, count=left.count + spent.left)
        if spent.overfull and self._stopped is None:  # it was over before the next look
            self._stopped = "disk"
        output = self._output.text()
        return Ending(
            exit_code=exit_code,
            cpu_s=self._cpu_s,
            stopped=self._stopped,
            duration_ms=round(((self._ended_at or time.monotonic()) - began) * 1000, 3),
            left=left,
            output=output,
            stdout=output if self._stdout is self._output else self._stdout.text(),
            written=self._output.written,
            told=self._told,
            spent=spent,
        )

    # --- starting ----------------------------------------------------------------------------------------------------

    def _start(self, stack: contextlib.ExitStack) -> Process:
        with contextlib.ExitStack() as ours:  # the ends that only the new process keeps
            out = self._pipe(stack, ours, self._printed)
            err = self._pipe(stack, ours, self._output.add) if self._order.separate_stdout else out
            keep: list[int] = []
            order = self._order
            if self._on_events is not None:
                keep.append(self._pipe(stack, ours, self._tell))
                order = replace(order, env={**order.env, EVENTS_VARIABLE: str(keep[-1])})
            process = self._cell.start(order, stdout=out, stderr=err, keep=keep)
        self._family.first = process.pid
        return process

    def _enter(self) -> None:
        try:
            self._cell.enter()
        except SandboxFailed as trouble:
            self._drain()
            said = self._output.text().strip()
            raise SandboxFailed(f"{trouble}: {said}" if said else str(trouble)) from trouble

    def _pipe(self, stack: contextlib.ExitStack, ours: contextlib.ExitStack, take: Callable[[bytes], None]) -> int:
        """A pipe whose reading end is watched; the writing end."""
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, read_end)
        ours.callback(os.close, write_end)
        os.set_blocking(read_end, False)
        self._pipes[read_end] = take
        self._watch(read_end, lambda: self._read(read_end))
        return write_end

    def _tell(self, data: bytes) -> None:
        self._told += len(data)
        if self._on_events is not None:
            self._on_events(data)

    def _printed(self, data: bytes) -> None:
        self._output.add(data)
        if self._stdout is not self._output:
            self._stdout.add(data)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _watch(self, descriptor: int, on_ready: Callable[[], object]) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ, on_ready)

    def _wait(self, process: Process, began: float) -> None:
        for handle in process.handles:
            self._watch(handle, lambda: self._end(process))
        waits = itertools.chain(_LOOKS_S, itertools.repeat(_LOOKS_S[-1]))
        deadline, look_at = began + self._timeout_s, began + next(waits)
        if self._order.limits.cpu_s:
            self._cpu_from = began + self._order.limits.cpu_s / _PROCESSORS
        while self._ended_at is None and time.monotonic() < self._give_up_at:
            next_at = self._kill_at if self._stopped else min(deadline, look_at)
            for key, _ in self._selector.select(max(0.0, next_at - time.monotonic())):
                key.data()
            now = time.monotonic()
            if self._stopped:
                self._kill_if_due(process, now)
            elif now >= deadline:
                self._stop("timeout", self._grace_s)
            elif now >= look_at:
                look_at = now + next(waits)
                self._look()

    def _end(self, process: Process) -> None:
        if process.is_over():
            self._ended_at = time.monotonic()

    def _cancelled(self, button: int) -> None:
        self._selector.unregister(button)
        self._stop("cancelled", min(self._grace_s, _CANCEL_GRACE_S))

    def _look(self) -> None:
        """The kernel counts processes per user, if at all, and files not at all; the suite's own are counted here."""
        most = self._order.limits.processes
        if most and self._family.hold_to(most + self._cell.own_processes, self._hurry):
            self._stop("processes", 0.0)
        elif self._cell.is_overfull():
            self._stop("disk", 0.0)
        if time.monotonic() >= self._cpu_from:
            self._cpu_s = max(self._cpu_s, self._family.most_cpu_s())

    def _read(self, pipe: int) -> bool:
        """Take what is there. False when there is nothing (any more)."""
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(pipe)
            del self._pipes[pipe]
            return False
        self._pipes[pipe](data)
        if self._output.written > self._flood or self._told > _EVENTS_FLOOD:
            self._stop("output", 0.0)
        return True

    # --- ending ------------------------------------------------------------------------------------------------------

    def _stop(self, why: Stopped, grace_s: float) -> None:
        """Ask the process group to end; it is killed after `grace_s` seconds."""
        if self._stopped is not None or self._ended_at is not None:
            return
        self._stopped = why
        self._kill_at = time.monotonic() + grace_s
        self._give_up_at = self._kill_at + _AFTER_KILL_S
        leader = self._cell.leader or self._family.first
        if grace_s > 0 and leader is not None:
            signal_group(leader, signal.SIGTERM)

    def _kill_if_due(self, process: Process, now: float) -> None:
        if now >= self._kill_at and self._ended_at is None:
            process.kill()
            self._kill_at = now + _KILL_AGAIN_S

    def _collect(self, process: Process) -> int:
        """Its exit status. One that still lives (an error on our side, or it hangs in the kernel) is killed.

        Raises SandboxFailed when it was never started.
        """
        if self._ended_at is None:
            process.kill()
        try:
            exit_code = process.wait(None if self._ended_at else _AFTER_KILL_S)
        except SandboxFailed:
            self._family.first = None  # there never was one
            raise
        if exit_code is None:
            return -signal.SIGKILL
        self._family.first = None
        return exit_code

    def _drain(self) -> None:
        """What is left in the pipes. They hold 64 KiB, so more can only come from something that escaped."""
        for pipe in list(self._pipes):
            for _ in range(_PIPE_READS):
                if not self._read(pipe):
                    break
