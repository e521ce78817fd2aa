"""(e) One run of a trivial shell suite, on every rung that works here; and what a cached environment adds to it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from table import Figure, Goal, samples

from packd.domain.manifest import Suite
from packd.testrun.executor import CancelToken, Limits, LocalExecutor, RunRequest
from tests.attacks import rungs
from tests.unit.environments_ground import executor_at, quiet_origins, served_index

_WARM_UP = 10  # rounds that are not counted
_MOST_MS = {"basic": 5.0}  # more than the program itself; on every other rung:
_MOST_APART_MS = 12.0
_MOST_CACHED_MS = 1.0  # more than the same run without an environment


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """From asking the executor to its report, all limits set, beside starting the same program and reading its output."""
    rounds = 40 if quick else 200
    tree = _tree(folder / "tree")
    figures = []
    for name, sandbox in rungs.working(folder / "rungs").items():
        executor = LocalExecutor(folder / name, 1, _copy, sandbox=sandbox)
        ours, plain = _interleaved(rounds, lambda n, e=executor: _run(e, tree, n), lambda _: _plain(tree))
        executor.close(1)
        goal = _at_most(_MOST_MS.get(name, _MOST_APART_MS))
        figures.append(_figure(f"a trivial shell suite, {name}", ours, plain, goal))
    figures.append(_cached(folder, rounds))
    return figures


def _cached(folder: Path, rounds: int) -> Figure:
    """The same pack with and without packages that were installed before."""
    with served_index(folder / "index") as index:
        index.add("hue", "1.0")
        needy = _tree(folder / "needy")
        (needy / "requirements.txt").write_text("hue\n")
        executor = executor_at(folder / "environments", quiet_origins(index), workers=1)
        bare = folder / "tree"
        made, without = _interleaved(rounds, lambda n: _run(executor, needy, n), lambda n: _run(executor, bare, -n - 1))
        executor.close(1)
    return _figure("  in a cached environment, beside none", made, without, _at_most(_MOST_CACHED_MS))


def _figure(what: str, packd: list[float], bare: list[float], goal: Goal) -> Figure:
    return Figure(bench="e", what=what, unit="ms", packd=samples(packd), bare=samples(bare), goal=goal)


def _at_most(more_ms: float) -> Goal:
    return Goal(says=f"≤ {more_ms:g} ms more", reached=lambda packd, ratio: packd - packd / ratio <= more_ms)


def _interleaved(
    rounds: int, packd: Callable[[int], None], peer: Callable[[int], None]
) -> tuple[list[float], list[float]]:
    """Milliseconds of both, in turns."""
    ours, theirs = [], []
    for number in range(_WARM_UP + rounds):
        for work, taken in ((packd, ours), (peer, theirs)):
            began = time.perf_counter()
            work(number)
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(0.005)  # what a run leaves to be removed is removed behind its report
    return ours[_WARM_UP:], theirs[_WARM_UP:]


def _run(executor: LocalExecutor, tree: Path, number: int) -> None:
    suite = Suite(name="shell", runner_type="script", entry_point="tests/run_tests.sh")
    request = RunRequest(
        run_id=f"run_{number}".replace("-", "m"),
        ref="trivial",
        version="1.0.0",
        tree=tree,
        suites=(suite,),
        default_timeout_s=60,
        limits=Limits(),
        started_at="2024-05-01T10:00:00Z",
    )
    report = executor.submit(request, cancel=CancelToken()).result()
    assert report.status == "passed", report


def _plain(tree: Path) -> None:
    subprocess.run([tree / "tests" / "run_tests.sh"], check=True, capture_output=True)


def _tree(folder: Path) -> Path:
    (folder / "tests").mkdir(parents=True)
    script = folder / "tests" / "run_tests.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    return folder


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
