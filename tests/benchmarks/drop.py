"""(a) From the `mv` of a ready pack to the receiver having the webhook that says it is registered."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arrivals import Arrivals
from bare import EVENT, Bare
from measured import running
from packs import write_pack
from receiver import SECRET
from table import Figure, Goal, samples

_WARM_UP = 10  # drops that are not counted
_BREATH_S = 0.03  # between two drops, so that what one leaves to be done does not burden the next
_GOAL = Goal(says="≤ 2.5, < 25 ms", reached=lambda packd, ratio: ratio <= 2.5 and packd < 25)


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """An endpoint as one writes it without thinking (every event of the pack), and one that asked for this event only.

    The last line isolates the test as little as the peer does.
    """
    drops = 30 if quick else 150
    every = _interleaved(folder / "every", drops, {})
    only = _interleaved(folder / "only", drops, {"types": ["pack.registered"]})
    open_ = _interleaved(folder / "open", drops, {}, tests={"isolation": "basic"})
    return [
        _figure("drop to webhook, endpoint with default events", *every, _GOAL),
        _figure("drop to webhook, endpoint with this event only", *only, None),
        _figure("default events, tests.isolation basic", *open_, None),
    ]


def _figure(what: str, packd: list[float], bare: list[float], goal: Goal | None) -> Figure:
    return Figure(bench="a", what=what, unit="ms", packd=samples(packd), bare=samples(bare), goal=goal)


def _interleaved(
    folder: Path, drops: int, endpoint: dict[str, Any], **settings: Any
) -> tuple[list[float], list[float]]:
    """Milliseconds of packd and of the bare work, one after the other in turns."""
    folder.mkdir()
    arrivals = Arrivals()
    webhook = {"name": "benchmark", "url": arrivals.url, "secret": SECRET, **endpoint}
    packd_ms, bare_ms = [], []
    with running(folder / "packd", webhooks=[webhook], **settings) as daemon:
        bare = Bare(folder, arrivals.url, SECRET, workers=1)
        staged = folder / "staged"
        for number in range(_WARM_UP + drops):
            write_pack(staged / f"p{number}", f"p{number}")
            write_pack(staged / f"b{number}", f"b{number}")
        os.sync()
        for number in range(_WARM_UP + drops):
            took_packd = _timed(staged / f"p{number}", daemon.packs, arrivals, "pack.registered", lambda _: None)
            took_bare = _timed(staged / f"b{number}", bare.packs, arrivals, EVENT, bare.do)
            if number >= _WARM_UP:
                packd_ms.append(took_packd)
                bare_ms.append(took_bare)
        bare.close()
    arrivals.close()
    return packd_ms, bare_ms


def _timed(ready: Path, packs: Path, arrivals: Arrivals, event_type: str, do: Callable[[list[str]], None]) -> float:
    time.sleep(_BREATH_S)
    began = time.monotonic()
    ready.rename(packs / ready.name)
    do([ready.name])
    return (arrivals.wait(event_type, [ready.name]) - began) * 1000
