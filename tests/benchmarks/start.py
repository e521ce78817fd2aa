"""(b) Starting with packs that are known and unchanged: time until ready, and the most memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bare_start
from known import NO_TESTS, make_known
from measured import running
from table import Figure, Goal, samples

_GOAL = Goal(says="≤ 2", reached=lambda _, ratio: ratio <= 2)
_MEMORY_GOAL = Goal(says="< 200 MB", reached=lambda packd, _: packd < 200)
_IMPORTS = "import packd.cli.run, packd.config, packd.logs, packd.daemon"


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    sizes = (1000,) if quick else (1000, 10_000)
    return [figure for size in sizes for figure in _measure(folder / str(size), size, rounds=3 if quick else 7)]


def _measure(folder: Path, size: int, *, rounds: int) -> list[Figure]:
    """In turns: the daemon, the bare walk and watches, an interpreter that only imports, and one that does nothing."""
    make_known(folder, size)
    ready_s, loaded_s, peak_mb, bare_s, imports_s, nothing_s = [], [], [], [], [], []
    for number in range(rounds + 1):
        ready, loaded, peak = _daemon(folder, size)
        bare = _bare(folder / "packs", size)
        imports, nothing = _python(_IMPORTS), _python("pass")
        if number:  # the first round warms the caches of the kernel
            ready_s.append(ready)
            loaded_s.append(loaded)
            peak_mb.append(peak)
            bare_s.append(bare)
            imports_s.append(imports)
            nothing_s.append(nothing)
    named = f"{size:,} packs"
    return [
        _figure(f"start to ready, {named}", "s", ready_s, bare_s, _GOAL),
        _figure(f"  start to loaded: what is dropped is read, {named}", "s", loaded_s, bare_s, None),
        _figure("  `python -c` with its imports, and with none", "s", imports_s, nothing_s, None),
        Figure(
            bench="b", what=f"  peak memory, {named}", unit="MB", packd=samples(peak_mb), bare=None, goal=_MEMORY_GOAL
        ),
    ]


def _figure(what: str, unit: str, packd: list[float], bare: list[float], goal: Goal | None) -> Figure:
    return Figure(bench="b", what=what, unit=unit, packd=samples(packd), bare=samples(bare), goal=goal)


def _daemon(folder: Path, size: int) -> tuple[float, float, float]:
    """Seconds from starting the process to `GET /readyz` answering 200 and to the line `daemon.started`; the peak in MB."""
    (folder / "log.jsonl").unlink(missing_ok=True)  # of starts before this one
    began = time.monotonic()
    with running(folder, **NO_TESTS) as daemon:
        took = time.monotonic() - began
        daemon.wait_until(lambda: any(line["event"] == "daemon.started" for line in daemon.logged()), "the first line")
        loaded = time.monotonic() - began
        unchanged = daemon.reconciled().get("unchanged", 0)
        assert unchanged == size, f"{unchanged} of {size} packs are known and unchanged: {daemon.reconciled()}"
        time.sleep(1.0)  # whatever a start leaves to be done, its memory counts too
        return took, loaded, daemon.peak_mb()


def _bare(packs: Path, size: int) -> float:
    """Seconds, with starting the interpreter."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, bare_start.__file__, str(packs)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found: dict[str, Any] = json.loads(process.stdout.readline())
        took = time.monotonic() - began
    assert found["folders"] == size * 6 + 1, found
    return took


def _python(code: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - began
