"""(c) Many packs dropped at once: how many a second, until the receiver has been told of the last."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from arrivals import Arrivals
from bare import EVENT, Bare
from measured import running
from packs import write_pack
from receiver import SECRET
from table import Figure, Goal, samples

_WARM_UP = 10  # packs that are not counted
_GOAL = Goal(says="≥ 0.60", reached=lambda _, ratio: ratio >= 0.6)


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """`tests.workers` as it is by default, and as many threads for the bare work; the second time without isolation.

    Each time there is a peer that keeps more of packd's promises, in the same turns, so that what those alone take can be
    seen by the side of the bare work.
    """
    batch, rounds = (50, 2) if quick else (200, 5)
    what, alike = f"{batch} packs dropped at once", "  beside the same promises, kept barely"
    figures = []
    if shutil.which("bwrap") is not None:
        packd, beside = _in_turns(folder / "isolated", batch, rounds, ["Work", "Promising"])
        figures += [_figure(what, packd, beside["Work"], _GOAL), _figure(alike, packd, beside["Promising"], None)]
    packd, beside = _in_turns(folder / "open", batch, rounds, ["Work", "Telling"], tests={"isolation": "basic"})
    figures.append(_figure(f"{what}, tests.isolation basic", packd, beside["Work"], None if figures else _GOAL))
    return [*figures, _figure(alike, packd, beside["Telling"], None)]


def _figure(what: str, packd: list[float], bare: list[float], goal: Goal | None) -> Figure:
    return Figure(bench="c", what=what, unit="packs/s", packd=samples(packd), bare=samples(bare), goal=goal)


def _in_turns(
    folder: Path, batch: int, rounds: int, peers: list[str], **settings: Any
) -> tuple[list[float], dict[str, list[float]]]:
    """The rates of packd, and those of each peer."""
    folder.mkdir()
    arrivals = Arrivals()
    webhook = {"name": "benchmark", "url": arrivals.url, "secret": SECRET}
    packd: list[float] = []
    plain: dict[str, list[float]] = {kind: [] for kind in peers}
    with running(folder / "packd", webhooks=[webhook], **settings) as daemon:
        bare = {kind: _started(folder / kind, kind, arrivals) for kind in peers}
        for number in range(rounds + 1):
            size = batch if number else _WARM_UP
            ours = _staged(folder, f"p{number}x", size)
            theirs = {kind: _staged(folder, f"{kind.lower()}{number}x", size) for kind in peers}
            os.sync()
            rate = _rate(ours, daemon.packs, None, arrivals)
            rates = {kind: _rate(theirs[kind], bare[kind].packs, bare[kind], arrivals) for kind in peers}
            if number:
                packd.append(rate)
                for kind in peers:
                    plain[kind].append(rates[kind])
        for one in bare.values():
            one.close()
    arrivals.close()
    return packd, plain


def _started(folder: Path, kind: str, arrivals: Arrivals) -> Bare:
    folder.mkdir()
    return Bare(folder, arrivals.url, SECRET, workers=os.cpu_count() or 1, kind=kind)


def _staged(folder: Path, prefix: str, size: int) -> list[Path]:
    names = [f"{prefix}{number}" for number in range(size)]
    return [write_pack(folder / "staged" / name, name) for name in names]


def _rate(ready: list[Path], packs: Path, bare: Bare | None, arrivals: Arrivals) -> float:
    """Packs a second, from the first rename to the last webhook."""
    time.sleep(1.0)  # what the batch before left to be done is over
    names = [pack.name for pack in ready]
    began = time.monotonic()
    for pack in ready:
        pack.rename(packs / pack.name)
    if bare is not None:
        bare.do(names)
    last = arrivals.wait(EVENT if bare else "pack.registered", names)
    return len(names) / (last - began)
