"""(f) How long a command takes, beside an interpreter that does nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from known import NO_TESTS, make_known
from measured import running
from table import Figure, Goal, samples

_PACKS = 20
_GOAL = Goal(says="< 150 ms", reached=lambda packd, _: packd < 150)
Took = tuple[float, float]  # milliseconds: by the clock, and of the processor

_ASKED = ("list --json", "list", "status", "why pack7", "show pack7", "events", "--help")


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Commands that ask a daemon with 20 packs, from the start of the process to its end, in turns with `python -c pass`.

    Compiled modules are kept below `folder`, so that it does not matter how packd was installed.
    """
    rounds = 5 if quick else 40
    make_known(folder, _PACKS)
    with running(folder, **NO_TESTS) as daemon:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ |= {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PACKD_SOCKET": str(daemon.socket)}
        commands = {asked: [sys.executable, "-m", "packd", *asked.split()] for asked in _ASKED}
        bare = [sys.executable, "-c", "pass"]
        for command in (bare, *commands.values()):  # compiles what it imports
            _took_ms(command, environ)
        nothing: list[Took] = []
        took: dict[str, list[Took]] = {asked: [] for asked in commands}
        for _ in range(rounds):
            nothing.append(_took_ms(bare, environ))
            for asked, command in commands.items():
                took[asked].append(_took_ms(command, environ))
    figures = [_figure(f"packd {asked}", 0, values, nothing, _GOAL) for asked, values in took.items()]
    return [*figures, _figure("  packd list --json, processor time", 1, took["list --json"], nothing, None)]


def _figure(what: str, which: int, packd: list[Took], bare: list[Took], goal: Goal | None) -> Figure:
    ours, theirs = samples(took[which] for took in packd), samples(took[which] for took in bare)
    return Figure(bench="f", what=what, unit="ms", packd=ours, bare=theirs, goal=goal)


def _took_ms(command: list[str], environ: dict[str, str]) -> Took:
    before, began = _processor_s(), time.perf_counter()
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=False)
    return (time.perf_counter() - began) * 1000, (_processor_s() - before) * 1000


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
