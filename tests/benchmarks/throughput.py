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
    """`tests.workers` as it is by default, and as many threads for the bare work.

    The second line isolates the tests as little as the peer does; in the third the peer keeps more of packd's promises.
    """
    batch, rounds = (50, 2) if quick else (200, 5)
    what = f"{batch} packs dropped at once"
    isolated = _in_turns(_made(folder / "isolated"), batch, rounds)
    open_ = _in_turns(_made(folder / "open"), batch, rounds, tests={"isolation": "basic"})
    figures = [_figure(what, *isolated, _GOAL), _figure(f"{what}, tests.isolation basic", *open_, None)]
    if shutil.which("bwrap") is not None:
        alike = _in_turns(_made(folder / "alike"), batch, rounds, kind="Promising")
        figures.append(_figure("  beside the same promises, kept barely", *alike, None))
    return figures


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _figure(what: str, packd: list[float], bare: list[float], goal: Goal | None) -> Figure:
    return Figure(bench="c", what=what, unit="packs/s", packd=samples(packd), bare=samples(bare), goal=goal)


def _in_turns(
    folder: Path, batch: int, rounds: int, *, kind: str = "Work", **settings: Any
) -> tuple[list[float], list[float]]:
    arrivals = Arrivals()
    webhook = {"name": "benchmark", "url": arrivals.url, "secret": SECRET}
    packd: list[float] = []
    plain: list[float] = []
    with running(folder / "packd", webhooks=[webhook], **settings) as daemon:
        bare = Bare(folder, arrivals.url, SECRET, workers=os.cpu_count() or 1, kind=kind)
        for number in range(rounds + 1):
            size = batch if number else _WARM_UP
            ours, theirs = _staged(folder, f"p{number}x", size), _staged(folder, f"b{number}x", size)
            os.sync()
            packd_rate = _rate(ours, daemon.packs, None, arrivals)
            bare_rate = _rate(theirs, bare.packs, bare, arrivals)
            if number:
                packd.append(packd_rate)
                plain.append(bare_rate)
        bare.close()
    arrivals.close()
    return packd, plain


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
