"""Runs in processes of their own: what they answer, how they are stopped, and what becomes of it when one is killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from packd.testrun.basic import BasicSandbox
from packd.testrun.bench import Errand
from packd.testrun.cancel import CancelToken
from packd.testrun.crew import Member
from packd.testrun.member import StopButton
from packd.testrun.progress import nobody
from tests.processes import is_alive, long_sleep
from tests.unit.testrun_ground import Ground, number_in, shell
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import Report

_PROGRAM = Path(__file__).with_name("crew_at_work.py")


class AtWork:
    """The process, spoken with line by line."""

    def __init__(self, folder: Path, *, refused: int = 0) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), str(folder), str(refused)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **asked: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()

    def hear(self, what: str) -> Any:
        """The next thing said of `what`; the rest is passed over."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if what in said:
                return said
        raise AssertionError(f"it ended without a word of {what}")

    def crew(self) -> list[int]:
        self.ask(crew=True)
        found: list[int] = self.hear("crew")["crew"]
        return found


@pytest.fixture
def at_work(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AtWork]:
    """A parameter says how many forks are refused to it."""
    made = AtWork(tmp_path, refused=getattr(request, "param", 0))
    yield made
    with made.process:
        made.process.kill()


def test_a_report_and_its_cases_come_back(at_work: AtWork) -> None:
    """From the other process as from a thread: each case, each suite, and the verdict with its detail."""
    at_work.ask(id=1, command="echo hello; exit 3")
    assert at_work.hear("case")["case"] == "shell: shell failed"
    assert at_work.hear("suite")["suite"] == "shell: 1 of 1 failed"
    said = at_work.hear("id")
    assert (said["status"], said["reason"]) == ("failed", "failures")
    assert "exit status 3" in said["detail"]


def test_the_stop_button_reaches_it(at_work: AtWork, tmp_path: Path) -> None:
    """The suite is gone when the report is there, and that says why."""
    at_work.ask(id=1, command=f"echo $$ > {tmp_path}/pid; sleep 300")
    suite = number_in(tmp_path / "pid")
    at_work.ask(cancel="newer content arrived")
    said = at_work.hear("id")
    assert (said["reason"], is_alive(suite)) == ("cancelled", False)
    assert "newer content arrived" in said["detail"]


def test_the_stop_button_may_be_pressed_at_once(at_work: AtWork) -> None:
    """Whether the process has heard of the run by then or not."""
    for number in range(1, 21):
        at_work.ask(id=number, command="sleep 300")
        at_work.ask(cancel=f"enough of {number}")
        said = at_work.hear("id")
        assert (said["id"], said["reason"]) == (number, "cancelled")
        assert f"enough of {number}" in said["detail"]


def test_a_button_that_is_pressed_early_is_for_the_run_that_follows() -> None:
    """And one that is pressed late, for a run that has ended, is not for the next one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        button = StopButton(theirs, gone=lambda: None)
        ended, current = button.of("ended"), button.of("current")
        for run_id in ("follows", "current"):  # heard in this order
            ours.sendall(pickle.dumps((run_id, f"enough of {run_id}")))
        wait_until(lambda: current.cancelled)
        assert button.of("follows").reason == "enough of follows"
        following = button.of("next")
        for run_id in ("ended", "next"):
            ours.sendall(pickle.dumps((run_id, f"enough of {run_id}")))
        wait_until(lambda: following.cancelled)
        assert (ended.reason, following.reason) == (None, "enough of next")


def test_closing_ends_every_process(at_work: AtWork) -> None:
    """When it says that it is closed, none is left."""
    at_work.ask(id=1, command="exit 0")
    at_work.hear("id")
    crew = at_work.crew()
    assert len(crew) == 2  # the one that makes the others, and the one that was needed
    assert at_work.process.stdin is not None
    at_work.process.stdin.close()
    assert at_work.hear("closed")["closed"] == []
    assert not any(map(is_alive, crew))


def test_closing_ends_what_is_left_of_walls_that_were_being_made(at_work: AtWork, tmp_path: Path) -> None:
    """Nobody else would, before the next start: whoever made them has ended, and what they forked does not know it yet."""
    at_work.ask(id=1, command="exit 0")
    at_work.hear("id")
    env = {"PACKD_WORK": str(tmp_path / "work" / "walls")}
    with subprocess.Popen(long_sleep().split(), env={**os.environ, **env}) as left:
        try:
            assert at_work.process.stdin is not None
            at_work.process.stdin.close()
            at_work.hear("closed")
            assert not is_alive(left.pid)
        finally:
            left.kill()


def test_they_end_with_a_killed_daemon(at_work: AtWork, tmp_path: Path) -> None:
    """And a suite's first process with them; what that one started is left to the sandbox, or to the next start."""
    at_work.ask(id=1, command=f"echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done")
    suite = number_in(tmp_path / "pid")
    crew = at_work.crew()[:2]
    at_work.process.kill()
    wait_until(lambda: not any(map(is_alive, [*crew, suite])))


def test_one_that_is_killed_is_replaced(at_work: AtWork, tmp_path: Path) -> None:
    """Its run is answered, nothing of it is left, and the next run is carried out."""
    at_work.ask(id=1, command=f"echo $$ > {tmp_path}/pid; (setsid sleep 300 & echo $! > {tmp_path}/left); sleep 300")
    suite, left = number_in(tmp_path / "pid"), number_in(tmp_path / "left")
    carrier = parent(parent_but(suite, "packd-testrun"))
    os.kill(carrier, signal.SIGKILL)
    said = at_work.hear("id")
    assert (said["status"], said["reason"]) == ("error", "unavailable")
    assert "ended from outside" in said["detail"]
    wait_until(lambda: not (is_alive(suite) or is_alive(left)))
    at_work.ask(id=2, command="exit 0")
    assert at_work.hear("id")["status"] == "passed"
    wait_until(lambda: not any((tmp_path / "work").iterdir()))


def test_one_that_is_stopped_goes_on(at_work: AtWork) -> None:
    """A suite that sees its parent, where nothing hides it, may stop that; nobody else would hold it to its time."""
    at_work.ask(id=1, command="kill -STOP $PPID")
    assert at_work.hear("id")["status"] == "passed"


def test_one_that_is_lost_when_it_was_told_to_stop_was_stopped(tmp_path: Path) -> None:
    """What a run that was cancelled came to is nothing that the pack, or the machine, is to blame for."""
    answers: list[Report] = []
    cancel = CancelToken()
    cancel.cancel("newer content arrived")
    tools = SimpleNamespace(work_dir=tmp_path, sandbox=BasicSandbox())
    ground = Ground(tree=tmp_path, executor=None, work_dir=tmp_path)  # type: ignore[arg-type]
    errand = Errand(
        request=ground.request(shell("true")),
        cancel=cancel,
        on_case=None,
        on_suite=nobody,
        on_progress=nobody,
        answer=answers.append,
    )
    Member(None, tools).carry_out(errand)  # type: ignore[arg-type]
    assert [(report.reason, report.detail) for report in answers] == [("cancelled", "newer content arrived")]


def test_one_that_is_lost_while_idle_costs_no_run(at_work: AtWork) -> None:
    """Nothing had begun: the next run has another process from the beginning."""
    at_work.ask(id=1, command="exit 0")
    assert at_work.hear("id")["status"] == "passed"
    (_, idle) = at_work.crew()
    os.kill(idle, signal.SIGKILL)
    wait_until(lambda: not is_alive(idle))
    for number in (2, 3, 4):  # as many workers as there are, and once more
        at_work.ask(id=number, command="exit 0")
        assert at_work.hear("id")["status"] == "passed"


def test_without_the_one_that_makes_them_it_is_not_well(at_work: AtWork) -> None:
    """Whoever watches over the daemon then starts it anew; until then runs are answered."""
    at_work.ask(id=1, command="exit 0")
    at_work.hear("id")
    (maker, _) = at_work.crew()
    os.kill(maker, signal.SIGKILL)
    wait_until(lambda: not is_alive(maker))
    at_work.ask(id=2, command="exit 0")
    assert at_work.hear("id")["reason"] == "unavailable"
    at_work.ask(crew=True)
    assert at_work.hear("crew")["alive"] is False


@pytest.mark.parametrize("at_work", [2], indirect=True)
def test_a_machine_with_too_many_processes_costs_runs_and_not_the_crew(at_work: AtWork) -> None:
    """What could not be carried out says so; as soon as there is room, the next one is."""
    said = []
    for number in range(1, 5):
        at_work.ask(id=number, command="exit 0")
        said.append(at_work.hear("id"))
    lost = [(one["status"], one["reason"]) for one in said if one["status"] != "passed"]
    assert lost == [("error", "unavailable")] * len(lost)
    assert lost
    assert said[-1]["status"] == "passed"
    at_work.ask(crew=True)
    assert at_work.hear("crew")["alive"] is True


def test_signals_for_the_daemon_are_left_to_it(at_work: AtWork, tmp_path: Path) -> None:
    """Ctrl-C in a terminal reaches every process of the daemon; a suite that is asked to end still hears it."""
    at_work.ask(
        id=1, command=f"trap 'echo > {tmp_path}/heard; exit 0' TERM; echo $$ > {tmp_path}/pid; sleep 300 & wait"
    )
    suite = number_in(tmp_path / "pid")
    for process in at_work.crew()[:2]:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(process, number)
    assert is_alive(suite)
    at_work.ask(cancel="enough")
    assert at_work.hear("id")["reason"] == "cancelled"
    assert (tmp_path / "heard").exists()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def parent_but(pid: int, name: str) -> int:
    """The last one above `pid` whose parent has this name."""
    while Path(f"/proc/{parent(pid)}/comm").read_text().strip() != name:
        pid = parent(pid)
    return pid
