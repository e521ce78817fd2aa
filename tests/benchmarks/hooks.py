"""(h) Webhooks: how many a second, and how soon after the commit their first byte arrives."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sink import Sink
from table import Figure, Goal, samples

from packd.flow.departures import AT_ONCE, AT_ONCE_EACH  # POSTs on their way, on both sides

_HERE = Path(__file__).parent
_MANY = 50  # endpoints
_EVERY_S = 0.004  # between deliveries where it is about delay: an event for 50 endpoints is 50 of them

_RATE = Goal(says="≥ 0.50", reached=lambda _, ratio: ratio >= 0.5)
_SOON = Goal(says="< 10 ms", reached=lambda ms, _: ms < 10)
_UNHURT = Goal(says="≤ 1.10", reached=lambda _, ratio: ratio <= 1.1)


class Program:
    """A script of this folder, asked line by line."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **what: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """The part of the daemon that tells, beside aiohttp alone posting the same bytes to the same receiver."""
    sink = Sink()
    teller, bare = Program(str(_HERE / "teller.py"), str(folder)), Program(str(_HERE / "bare_posts.py"))
    try:
        figures = []
        for count in (1, _MANY):
            urls = [f"http://127.0.0.1:{sink.port}/e{number}" for number in range(count)]
            figures += _rates(teller, bare, sink, urls, deliveries=500 if quick else 3000, rounds=2 if quick else 5)
            figures += _delays(teller, bare, sink, urls, events=50 if quick else 300, rounds=2 if quick else 5)
        figures.append(_beside_a_dead_one(teller, sink, urls, events=50 if quick else 300, rounds=2 if quick else 5))
        return figures
    finally:
        for program in (teller, bare, sink):
            program.close()


def _rates(
    teller: Program, bare: Program, sink: Sink, urls: list[str], *, deliveries: int, rounds: int
) -> list[Figure]:
    ours, theirs = [], []
    events = deliveries // len(urls)
    for number in range(rounds + 1):  # the first one warms both up
        teller.ask(endpoints=urls)
        sink.reset()
        began = teller.ask(burst=events)
        sink.wait(events * len(urls))
        rate = events * len(urls) / (max(sink.times().values()) - began)
        bodies = teller.ask(bodies=events)
        sink.reset()
        bare_began = bare.ask(urls=urls, bodies=bodies, at_once=min(AT_ONCE_EACH * len(urls), AT_ONCE))
        sink.wait(events * len(urls))
        bare_rate = events * len(urls) / (max(sink.times().values()) - bare_began)
        if number:
            ours.append(rate)
            theirs.append(bare_rate)
    what = f"deliveries to {_endpoints(urls)}"
    return [Figure(bench="h", what=what, unit="/s", packd=samples(ours), bare=samples(theirs), goal=_RATE)]


def _delays(teller: Program, bare: Program, sink: Sink, urls: list[str], *, events: int, rounds: int) -> list[Figure]:
    ours, theirs = [], []
    for number in range(rounds + 1):
        delays = _told(teller, sink, urls, events)
        bodies = teller.ask(bodies=events)
        sink.reset()
        at = bare.ask(urls=urls, bodies=bodies, every_s=_EVERY_S * max(5, len(urls)))
        sink.wait(events * len(urls))
        if number:
            ours.append(_quantiles(delays))
            theirs.append(_quantiles(_since(at, sink)))
    where = _endpoints(urls)
    return [
        Figure(
            bench="h",
            what=f"commit to first byte, {name}, {where}",
            unit="ms",
            packd=samples(one[place] for one in ours),
            bare=samples(one[place] for one in theirs),
            goal=_SOON if place == 0 and len(urls) == 1 else None,
        )
        for place, name in enumerate(("p50", "p99"))
    ]


def _beside_a_dead_one(teller: Program, sink: Sink, urls: list[str], *, events: int, rounds: int) -> Figure:
    """The other 49, with the last of them well and with it taking connections and never answering; in turns."""
    well, hurt = [], []
    with _dead() as dead:
        for number in range(rounds + 1):
            all_well = _quantiles(_told(teller, sink, urls[:-1], events))[1]
            one_dead = _quantiles(_told(teller, sink, [*urls[:-1], dead], events, arriving=len(urls) - 1))[1]
            if number:
                well.append(all_well)
                hurt.append(one_dead)
    what = f"the same, p99, of {len(urls) - 1} beside a dead one | without it"
    return Figure(bench="h", what=what, unit="ms", packd=samples(hurt), bare=samples(well), goal=_UNHURT)


def _told(teller: Program, sink: Sink, urls: list[str], events: int, arriving: int | None = None) -> list[float]:
    teller.ask(endpoints=urls)
    sink.reset()
    at = teller.ask(paced=events, every_s=_EVERY_S * max(5, len(urls)))
    sink.wait(events * (arriving or len(urls)))
    return _since(at, sink)


def _since(at: dict[str, float], sink: Sink) -> list[float]:
    """Milliseconds; one that was on its way before the committing thread had looked at the clock took none."""
    return [max(0.0, came - at[name.partition(" ")[2]]) * 1000 for name, came in sink.times().items()]


def _quantiles(delays: list[float]) -> tuple[float, float]:
    hundredths = statistics.quantiles(delays, n=100)
    return hundredths[49], hundredths[98]


def _endpoints(urls: list[str]) -> str:
    return "one endpoint" if len(urls) == 1 else f"{len(urls)} endpoints"


@contextmanager
def _dead() -> Iterator[str]:
    """Connections are taken by the kernel, and nobody ever answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
