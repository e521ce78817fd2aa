"""(d) Nothing happens: processor time a minute with 1,000 packs watched."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import bare_start
from known import NO_TESTS, make_known
from measured import MeasuredDaemon, cpu_s, running
from table import Figure, Goal, samples

_PACKS = 1000
_CALM_S = 5.0  # after the start, before measuring
_USUAL_S = 300.0  # `watch.reconcile_every_s`, when nobody sets it
_GOAL = Goal(says="< 0.2 s", reached=lambda packd, _: packd < 0.2)


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Beside a process that only watches the same folders, in the same minutes. The periodic scan counts too."""
    windows, window_s = (2, 15.0) if quick else (4, 30.0)
    make_known(folder, _PACKS)
    with running(folder, **NO_TESTS) as daemon:
        quiet, peer = _beside_peer(daemon, windows, window_s)
    often_s = window_s / 3
    # Watching as by default, except that the scan comes often enough to be seen in a short time.
    watch = {"quiet_ms": 200, "remove_grace_s": 0.5, "reconcile_every_s": often_s}
    with running(folder, watch=watch, **NO_TESTS) as daemon:
        busy = _windows(daemon.process.pid if daemon.process else 0, windows, window_s)
    a_scan = [max(0.0, (each - samples(quiet).median) * often_s / 60) for each in busy]
    with_scans = [each + samples(a_scan).median * 60 / _USUAL_S for each in quiet]
    return [
        _figure("processor time a minute, the scan each 5 minutes included", with_scans, peer, _GOAL),
        _figure("  between two scans", quiet, peer, None),
        Figure(bench="d", what="  one scan of 1,000 packs", unit="s", packd=samples(a_scan), bare=None),
    ]


def _figure(what: str, packd: list[float], bare: list[float], goal: Goal | None) -> Figure:
    return Figure(bench="d", what=what, unit="s", packd=samples(packd), bare=samples(bare), goal=goal)


def _beside_peer(daemon: MeasuredDaemon, windows: int, window_s: float) -> tuple[list[float], list[float]]:
    """Processor seconds a minute of both, in the same windows of time."""
    command = [sys.executable, bare_start.__file__, str(daemon.packs), "--stay"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as peer:
        assert peer.stdout is not None
        peer.stdout.readline()
        time.sleep(_CALM_S)
        ours, theirs = [], []
        for _ in range(windows):
            before, before_peer = daemon.cpu_s(), cpu_s(peer.pid)
            time.sleep(window_s)
            ours.append((daemon.cpu_s() - before) * 60 / window_s)
            theirs.append((cpu_s(peer.pid) - before_peer) * 60 / window_s)
        peer.kill()
    return ours, theirs


def _windows(pid: int, windows: int, window_s: float) -> list[float]:
    time.sleep(_CALM_S)
    found = []
    for _ in range(windows):
        before = cpu_s(pid)
        time.sleep(window_s)
        found.append((cpu_s(pid) - before) * 60 / window_s)
    return found
