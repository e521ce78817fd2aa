"""The seam: every request gets its report, in order, from a fixed number of workers, until the executor is closed."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.manifest import Suite
from packd.testrun.basic import BasicSandbox
from packd.testrun.cancel import CancelToken
from packd.testrun.executor import LocalExecutor, kill_leftovers
from packd.testrun.sandbox import Lasting, OpenCell, Order, Unchanged
from packd.testrun.workspace import workspace_at
from tests.unit.testrun_ground import Ground, copy_tree, made_ground, number_in, shell
from tests.waiting import until_exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.domain.reports import Case, SuiteReport


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    yield from made_ground(tmp_path)


def test_no_more_runs_at_once_than_there_are_workers(ground: Ground, tmp_path: Path) -> None:
    """Ten requests on two workers: never three at a time."""
    running = tmp_path / "running"
    running.mkdir()
    command = f"touch {running}/$$; ls {running} | wc -l; sleep 0.05; rm {running}/$$"
    futures = [ground.executor.submit(ground.request(shell(command)), cancel=CancelToken()) for _ in range(10)]
    seen = [int(future.result(timeout=60).test_suites[0].output_tail) for future in futures]
    assert max(seen) <= 2


def test_closing_gives_running_suites_their_time(tmp_path: Path) -> None:
    """What ends within the grace period has its own report; what waits is cancelled at once."""
    for ground in made_ground(tmp_path, workers=1):
        note, over = tmp_path / "note", tmp_path / "over"
        suite = shell(f"echo $$ > {note}; {until_exists(over)}")
        running = ground.executor.submit(ground.request(suite), cancel=CancelToken())
        waiting = ground.executor.submit(ground.request(shell("true")), cancel=CancelToken())
        number_in(note)
        closing = threading.Thread(target=ground.executor.close, args=(60,))
        closing.start()
        assert waiting.result(timeout=30).reason == "cancelled"
        assert not running.done()
        over.touch()
        closing.join(60)
        assert running.result(timeout=0).status == "passed"


def test_closing_ends_what_does_not_end(tmp_path: Path) -> None:
    """After the grace period the rest is cancelled, and close returns when it is gone."""
    for ground in made_ground(tmp_path, workers=1):
        note = tmp_path / "note"
        future = ground.executor.submit(
            ground.request(shell(f"trap '' TERM; echo $$ > {note}; sleep 600")), cancel=CancelToken()
        )
        number_in(note)
        began = time.monotonic()
        ground.executor.close(0.2)
        assert time.monotonic() - began < 10
        assert future.result(timeout=0).reason == "cancelled"
        assert list(ground.work_dir.iterdir()) == []


def test_a_closed_executor_takes_nothing(tmp_path: Path) -> None:
    """It says so instead of keeping somebody waiting for ever."""
    for ground in made_ground(tmp_path):
        ground.executor.close(0)
        with pytest.raises(Failure) as refused:
            ground.executor.submit(ground.request(shell("true")), cancel=CancelToken())
        assert refused.value.code is Code.UNAVAILABLE


def test_a_token_that_was_pressed_before_cancels_at_once(ground: Ground, tmp_path: Path) -> None:
    """Nothing is started."""
    token = CancelToken()
    token.cancel("changed my mind")
    note = tmp_path / "note"
    report = ground.executor.submit(ground.request(shell(f"touch {note}")), cancel=token).result(timeout=10)
    assert (report.reason, report.detail) == ("cancelled", "changed my mind")
    assert not note.exists()


def test_pressing_after_the_end_changes_nothing(ground: Ground) -> None:
    """The report stays what it was."""
    token = CancelToken()
    future = ground.executor.submit(ground.request(shell("true")), cancel=token)
    assert future.result(timeout=30).status == "passed"
    token.cancel("too late")
    assert future.result().status == "passed"


def test_an_error_in_a_listener_reaches_whoever_waits(ground: Ground) -> None:
    """It is a bug, not a failing test; the worker survives it and nothing is left."""

    def listen(suite: str, case: Case) -> None:
        raise RuntimeError(f"{suite} {case.name}")

    future = ground.executor.submit(ground.request(shell("true")), cancel=CancelToken(), on_case=listen)
    with pytest.raises(RuntimeError, match="shell shell"):
        future.result(timeout=30)
    assert ground.shell("true").status == "passed"
    wait_until(lambda: list(ground.work_dir.iterdir()) == [])


def test_cases_are_told_while_the_suite_runs(ground: Ground, tmp_path: Path) -> None:
    """A follower sees the first case before the last test has ended."""
    told, go_on = threading.Event(), tmp_path / "go_on"
    ground.write(
        "tests/test_a.py",
        f"import os, time, unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self):\n"
        f"        while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n",
    )
    suite = Suite(name="u", runner_type="unittest", entry_point="tests")
    future = ground.executor.submit(ground.request(suite), cancel=CancelToken(), on_case=lambda *_: told.set())
    assert told.wait(30)
    assert not future.done()
    go_on.touch()
    assert future.result(timeout=30).status == "passed"


def test_a_suite_that_ended_is_told_while_the_next_one_runs(ground: Ground, tmp_path: Path) -> None:
    """By its counts, also when it reports no cases; what may be long stays out of it."""
    told: queue.SimpleQueue[SuiteReport] = queue.SimpleQueue()
    go_on = tmp_path / "go_on"
    first = shell("echo 'Total Tests: 4 / Passed: 4 / Failed: 0'")
    second = replace(shell(until_exists(go_on)), name="second")
    future = ground.executor.submit(ground.request(first, second), cancel=CancelToken(), on_suite=told.put)
    ended = told.get(timeout=30)
    assert not future.done()
    assert (ended.name, ended.status, ended.total, ended.passed) == ("shell", "passed", 4, 4)
    go_on.touch()
    report = future.result(timeout=30)
    assert [ended, told.get_nowait()] == [suite.bare() for suite in report.test_suites]
    assert report.test_suites[0].output_tail
    assert not ended.output_tail


@pytest.mark.parametrize("run_id", ["", ".", "..", "a/b", "../x", "a\0b", "x" * 101])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path: Path, run_id: str) -> None:
    """It becomes a path."""
    with pytest.raises(ValueError, match="can't be a run id"):
        workspace_at(tmp_path, run_id)


def test_another_rung_can_take_the_place_of_basic(ground: Ground, tmp_path: Path) -> None:
    """Whatever turns an order into a command line is a sandbox; the report carries its name."""

    class Echoing:
        isolation = "echo"
        shortcomings = ()
        fills = False

        @contextlib.contextmanager
        def cell(self, order: Order) -> Iterator[OpenCell]:
            yield OpenCell(command=lambda order: ["/bin/sh", "-c", 'echo "instead of $*"', "sh", *order.argv])

        def lasting(self) -> Lasting:
            return Unchanged(self)

    executor = LocalExecutor(tmp_path / "other", 1, copy_tree, sandbox=Echoing())
    report = executor.submit(ground.request(shell("true")), cancel=CancelToken()).result(timeout=30)
    executor.close(0)
    assert report.isolation == "echo"
    assert report.test_suites[0].output_tail == "instead of /bin/sh -c true\n"


def test_missing_tools_are_said_and_suites_run_all_the_same(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without util-linux: fewer promises, no silence about it."""
    monkeypatch.setattr("packd.testrun.sandbox.SYSTEM_PATH", "/nowhere")
    sandbox = BasicSandbox()
    assert [gap.partition(" ")[0] for gap in sandbox.shortcomings if "is missing" in gap] == ["setpriv", "prlimit"]
    executor = LocalExecutor(tmp_path / "other", 1, copy_tree, sandbox=sandbox)
    report = executor.submit(ground.request(shell("(setsid sleep 600 &); true")), cancel=CancelToken()).result(
        timeout=30
    )
    executor.close(0)
    assert report.status == "passed"
    assert "left 1 process" in (report.detail or "")


def test_a_folder_that_can_not_be_removed_is_told_of(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report stands; whoever runs the daemon hears of it, and the next start tries again."""
    told: queue.SimpleQueue[str] = queue.SimpleQueue()

    def refuse(folder: Path) -> None:
        raise OSError(1, "Operation not permitted", str(folder))

    monkeypatch.setattr("packd.testrun.run.remove_folder", refuse)
    executor = LocalExecutor(tmp_path / "other", 1, copy_tree, on_trouble=told.put)
    report = executor.submit(ground.request(shell("true")), cancel=CancelToken()).result(timeout=30)
    assert report.status == "passed"
    assert "can't be removed" in told.get(timeout=30)
    executor.close(0)
    assert kill_leftovers(tmp_path / "other").folders == 1


def test_a_bad_run_id_does_not_end_the_worker(ground: Ground) -> None:
    """It is the caller's mistake: told to the caller, and the next request is carried out."""
    for _ in range(3):
        request = replace(ground.request(shell("true")), run_id="../x")
        with pytest.raises(ValueError, match="can't be a run id"):
            ground.executor.submit(request, cancel=CancelToken()).result(timeout=30)
    assert ground.shell("true").status == "passed"


def test_a_run_id_that_is_in_use_does_not_disturb_its_run(ground: Ground, tmp_path: Path) -> None:
    """The second gets a report that says so; the first keeps its folder."""
    note = tmp_path / "note"
    end = tmp_path / "end"
    first = ground.request(shell(f"echo $$ > {note}; {until_exists(end)}; touch still_here"))
    running = ground.executor.submit(first, cancel=CancelToken())
    number_in(note)
    second = ground.executor.submit(first, cancel=CancelToken()).result(timeout=30)
    assert (second.status, second.reason) == ("error", "unavailable")
    end.touch()
    assert running.result(timeout=30).status == "passed"
