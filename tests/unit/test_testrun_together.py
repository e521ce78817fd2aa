"""Several suites of a run: one after another in one copy, or all at once in a copy each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from packd.domain.manifest import Suite
from packd.testrun.executor import CancelToken
from tests.unit.testrun_ground import Ground, made_ground
from tests.waiting import until_exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    yield from made_ground(tmp_path)


def command(name: str, text: str) -> Suite:
    return Suite(name=name, runner_type="command", command=text)


def meeting(name: str, other: str, place: Path) -> Suite:
    """A suite that passes when the other one runs at the same time."""
    wait = f"for i in $(seq 1000); do test -e {place}/{other} && exit 0; sleep 0.01; done; exit 1"
    return command(name, f"touch {place}/{name}; {wait}")


def test_together_when_asked(ground: Ground, tmp_path: Path) -> None:
    """`parallel: true`: all at once, and in the report in their order."""
    report = ground.run(meeting("a", "b", tmp_path), meeting("b", "a", tmp_path), parallel=True)
    assert [(suite.name, suite.status) for suite in report.test_suites] == [("a", "passed"), ("b", "passed")]


def test_together_each_has_its_own_copy(ground: Ground, tmp_path: Path) -> None:
    """What one writes the other does not see, and nothing of any copy stays."""
    writes = command("w", f"touch mine {tmp_path}/written")
    looks = command("l", f"{until_exists(tmp_path / 'written')}; test ! -e mine")
    assert ground.run(writes, looks, parallel=True).status == "passed"
    wait_until(lambda: not list(ground.work_dir.iterdir()))


def test_one_after_another_otherwise(ground: Ground) -> None:
    """By default suites share one copy, in their order."""
    assert ground.run(command("w", "touch mine"), command("r", "test -e mine")).status == "passed"


def test_together_never_more_than_workers(ground: Ground, tmp_path: Path) -> None:
    """However many suites a pack has, no more run at once than `tests.workers` says (two here)."""
    count = f"touch {tmp_path}/on.$0; ls {tmp_path}/on.* | wc -l >> {tmp_path}/counts; sleep 0.05; rm {tmp_path}/on.$0"
    suites = [command(name, f"sh -c '{count}' {name}") for name in "abcdef"]
    assert ground.run(*suites, parallel=True).status == "passed"
    counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
    assert len(counts) == 6
    assert max(counts) <= 2


def test_what_one_leaves_behind_does_not_end_another(ground: Ground, tmp_path: Path) -> None:
    """The survivors of a suite that ended are killed, the processes of one that still runs are not."""
    up, over = tmp_path / "up", tmp_path / "over"
    quick = command("quick", f"{until_exists(up)}; setsid sleep 60 & true")
    slow = command("slow", f"({until_exists(over)}) & child=$!; touch {up}; wait $child")
    report = ground.executor.submit(
        ground.request(quick, slow, parallel=True), cancel=CancelToken(), on_suite=lambda _: over.touch()
    ).result(60)
    assert {suite.name: suite.status for suite in report.test_suites} == {"quick": "passed", "slow": "passed"}


def test_cancelling_all(ground: Ground, tmp_path: Path) -> None:
    """The stop button is for all of them."""
    suites = [command(name, f"touch {tmp_path / name}; sleep 60") for name in ("a", "b")]
    cancel = CancelToken()
    running = ground.executor.submit(ground.request(*suites, parallel=True), cancel=cancel)
    wait_until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    cancel.cancel("enough")
    assert [suite.reason for suite in running.result(20).test_suites] == ["cancelled", "cancelled"]
