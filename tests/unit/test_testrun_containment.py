"""Suites that misbehave, as real processes: what the rung `basic` promises holds, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from packd.domain.manifest import Suite
from packd.testrun.executor import CancelToken, Limits, kill_leftovers
from packd.testrun.processes import Hurry, children
from tests.processes import command_lines, is_alive
from tests.unit.testrun_ground import Ground, made_ground, number_in, shell
from tests.waiting import until_exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    yield from made_ground(tmp_path)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file outside of the run where a suite can leave a process id."""
    return tmp_path / "note"


def left_in(work_dir: Path) -> list[str]:
    return [path.name for path in work_dir.iterdir()]


def test_a_suite_that_ignores_the_request_to_end_is_killed(ground: Ground, note: Path) -> None:
    """A deadline holds against a process that ignores SIGTERM, and so does it against its children."""
    suite = ground.shell(
        f"trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $! > {note}; while :; do sleep 1; done",
        timeout_s=0.3,
    )
    assert (suite.status, suite.reason) == ("timed_out", "timeout")
    assert not is_alive(int(note.read_text()))
    wait_until(lambda: left_in(ground.work_dir) == [])


def test_a_suite_that_ends_when_asked_is_not_killed(ground: Ground) -> None:
    """A suite that ran out of time gets the chance to clean up."""
    suite = ground.shell("trap 'echo cleaned up; exit 7' TERM; while :; do sleep 0.01; done", timeout_s=0.3)
    assert suite.exit_code == 7
    assert "cleaned up" in suite.output_tail
    assert suite.reason == "timeout"


def test_a_double_forked_process_in_its_own_session_is_killed(ground: Ground, note: Path) -> None:
    """What left its parents and its session behind still belongs to the run."""
    suite = ground.shell(
        f"(setsid sh -c 'echo $$ > {note}.part; mv {note}.part {note}; exec sleep 600' &) ; {until_exists(note)}"
    )
    assert suite.status == "passed"
    assert suite.detail is not None
    assert "left 1 process running" in suite.detail
    assert not is_alive(int(note.read_text()))


def test_a_survivor_without_environment_and_folder_is_killed(ground: Ground, note: Path) -> None:
    """Clearing the environment, leaving the folder and closing every descriptor does not hide a process."""
    suite = ground.shell(
        f"(cd / && env -i setsid sh -c 'exec >/dev/null 2>&1; echo $$ > {note}.part; mv {note}.part {note}; exec sleep 600' &);"
        f" {until_exists(note)}"
    )
    assert suite.status == "passed"
    assert not is_alive(int(note.read_text()))


def test_a_background_process_that_holds_stdout_does_not_hold_up_the_run(ground: Ground) -> None:
    """The end of the first process counts, not the end of its pipe."""
    began = time.monotonic()
    suite = ground.shell("sleep 600 & echo done")
    assert time.monotonic() - began < 20
    assert suite.status == "passed"
    assert "done" in suite.output_tail


def test_a_flood_of_output_is_stopped(ground: Ground) -> None:
    """Printing far more than is kept ends the suite, and only the limit is kept."""
    suite = ground.shell("head -c 1073741824 /dev/zero | tr '\\0' x", limits=Limits(output_kb=64))
    assert (suite.status, suite.reason) == ("failed", "output")
    assert len(suite.output_tail) < 65_536


def test_long_output_is_kept_at_both_ends(ground: Ground) -> None:
    """A suite that prints a lot, but not absurdly much, passes; the last lines can be read."""
    suite = ground.shell(
        "echo first; head -c 300000 /dev/zero | tr '\\0' x; echo; echo last", limits=Limits(output_kb=64)
    )
    assert suite.status == "passed"
    assert suite.output_tail.endswith("last\n")


def test_closing_stdout_changes_nothing(ground: Ground) -> None:
    """A suite may close its output; its end is still seen."""
    assert ground.shell("exec >&- 2>&-; exit 3").exit_code == 3


def test_closed_folders_are_removed(ground: Ground) -> None:
    """Whatever modes a suite leaves, its folder goes."""
    ground.shell("mkdir -p a/b/c && touch a/b/c/f && chmod 000 a/b/c/f a/b/c a/b a; chmod 500 .")
    wait_until(lambda: left_in(ground.work_dir) == [])


def test_very_deep_folders_are_removed(ground: Ground) -> None:
    """A tree that is deeper than a path can be long goes as well."""
    ground.write("deep.py", "import os\nfor _ in range(1500):\n    os.mkdir('folder'); os.chdir('folder')\n")
    suite = ground.shell(f"{sys.executable} deep.py")
    assert suite.status == "passed"
    wait_until(lambda: left_in(ground.work_dir) == [])


def test_links_are_removed_and_not_followed(ground: Ground, tmp_path: Path) -> None:
    """Removing a run's folder touches nothing outside of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    ground.shell(f"ln -s {outside} link; mkdir d; ln -s {outside} d/link; chmod 000 d")
    assert (outside / "kept").exists()
    wait_until(lambda: left_in(ground.work_dir) == [])


def test_no_variable_of_the_daemon_reaches_a_suite(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is built from nothing."""
    monkeypatch.setenv("PACKD_SECRET", "hunter2")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    monkeypatch.setenv("HOME", "/nowhere")
    suite = ground.shell("env | sort; cat /proc/self/environ | tr '\\0' '\\n'")
    names = {line.partition("=")[0] for line in suite.output_tail.splitlines()}
    assert names <= {
        "PATH", "HOME", "TMPDIR", "LANG", "TERM", "USER", "LOGNAME", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED",
        "PYTHONPATH", "PACKD_PACK_REF", "PACKD_PACK_VERSION", "PACKD_PACK_DIR", "PACKD_RUN_ID", "PACKD_WORK", "PWD",
    }  # fmt: skip
    assert "hunter2" not in suite.output_tail
    assert "/nowhere" not in suite.output_tail


def test_no_descriptor_of_the_daemon_reaches_a_suite(ground: Ground, tmp_path: Path) -> None:
    """Even an inheritable descriptor stays here; a suite has three."""
    handle = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(handle, True)
    try:
        suite = ground.shell("exec ls -l /proc/self/fd")
    finally:
        os.close(handle)
    links = [line.split()[-3::2] for line in suite.output_tail.splitlines() if "->" in line]
    assert sorted(number for number, target in links if not target.startswith("/proc/")) == ["0", "1", "2"]


def test_stdin_is_empty(ground: Ground) -> None:
    """A suite that asks gets no answer, and does not wait for one."""
    assert ground.shell('read answer; test $? -eq 1 && test -z "$(cat)"').status == "passed"


def test_the_snapshot_is_out_of_reach_of_relative_paths(ground: Ground) -> None:
    """A suite works on a copy of its own: what it writes and removes does not reach the snapshot."""
    ground.write("data.txt", "kept")
    assert ground.shell("echo changed > data.txt; rm -f pack.yaml; touch new; mkdir -p tests/made").status == "passed"
    assert (ground.tree / "data.txt").read_text() == "kept"
    assert sorted(path.name for path in ground.tree.iterdir()) == ["data.txt"]


def test_home_and_temporary_files_are_the_runs_own(ground: Ground) -> None:
    """What is written there goes with the run."""
    assert (
        ground.shell('touch "$HOME/x" "$TMPDIR/y" && case "$HOME" in "${PACKD_WORK}"/*) ;; *) exit 1;; esac').status
        == "passed"
    )
    wait_until(lambda: left_in(ground.work_dir) == [])


def test_memory_is_limited(ground: Ground) -> None:
    """A process that wants more than it may have is refused, and the report says that it was memory."""
    ground.write("eat.py", "x = bytearray(900 * 1024 * 1024)\nprint(len(x))\n")
    suite = ground.shell(f"{sys.executable} eat.py", limits=Limits(memory_mb=256))
    assert (suite.status, suite.reason) == ("failed", "memory")
    assert suite.detail is not None
    assert "256 MiB" in suite.detail


def test_the_size_of_files_is_limited(ground: Ground) -> None:
    """A file that grows past the limit ends its writer, and the report says that it was the disk."""
    suite = ground.shell("exec dd if=/dev/zero of=big bs=1M count=64", limits=Limits(disk_mb=4))
    assert (suite.status, suite.reason) == ("failed", "disk")


def test_the_size_of_all_files_together_is_limited(ground: Ground) -> None:
    """Many small files fill a disk as well as a large one does; what the pack itself holds is not counted."""
    ground.write("large", "x" * 6 * 1024 * 1024)
    # The pauses are for packd to look while it runs; what comes of the second does not hang on when that is.
    assert ground.shell("sleep 0.2; head -c 1000000 large > more", limits=Limits(disk_mb=4)).status == "passed"
    suite = ground.shell(
        "for i in $(seq 100); do head -c 1000000 large > $TMPDIR/$i; sleep 0.02; done", limits=Limits(disk_mb=4)
    )
    assert (suite.status, suite.reason) == ("failed", "disk")
    assert "4 MiB" in (suite.detail or "")


def test_who_ignores_the_end_of_its_processor_time_is_killed_for_it(ground: Ground) -> None:
    """The signal can be ignored; what follows can't, and the report still says what it was."""
    suite = ground.shell("trap '' XCPU; while :; do :; done", limits=Limits(cpu_s=1))
    assert (suite.exit_code, suite.status, suite.reason) == (-signal.SIGKILL, "failed", "cpu")


def test_a_test_that_met_a_limit_is_told_from_one_that_failed(ground: Ground) -> None:
    """Where every failing case is about the same limit, so is the suite."""
    ground.write(
        "test_a.py",
        """
        import unittest
        class A(unittest.TestCase):
            def test_good(self): pass
            def test_hungry(self): bytearray(900 * 1024 * 1024)
        """,
    )
    hungry = Suite(name="unit", runner_type="unittest", entry_point="test_a.py")
    (suite,) = ground.run(hungry, limits=Limits(memory_mb=256)).test_suites
    assert (suite.status, suite.reason, suite.passed, suite.failed) == ("failed", "memory", 1, 1)


def test_a_runner_that_floods_packd_is_stopped(ground: Ground) -> None:
    """The pipe for cases is bounded as well, whatever a test writes to it."""
    ground.write(
        "test_a.py",
        """
        import os, unittest
        class A(unittest.TestCase):
            def test_flood(self):
                pipes = [fd for fd in range(3, 1000) if os.path.exists(f"/proc/self/fd/{fd}")]
                pipes = [fd for fd in pipes if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")]
                while True:
                    os.write(pipes[0], (b"x" * 1000 + b"\\n") * 1000)
        """,
    )
    flood = Suite(name="unit", runner_type="unittest", entry_point="test_a.py")
    (suite,) = ground.run(flood).test_suites
    assert (suite.status, suite.reason) == ("failed", "output")
    assert "reported" in (suite.detail or "")


def test_processor_time_is_limited(ground: Ground) -> None:
    """A busy loop ends when its processor time is used up, and the report says that it was that."""
    suite = ground.shell("while :; do :; done", limits=Limits(cpu_s=1))
    assert (suite.status, suite.reason) == ("failed", "cpu")


def test_the_number_of_processes_is_limited(ground: Ground) -> None:
    """More processes at once than allowed ends the suite, also for root, whom the kernel does not hold to it."""
    suite = ground.shell("for i in $(seq 40); do sleep 60 & done; wait", limits=Limits(processes=20))
    assert (suite.status, suite.reason) == ("failed", "processes")
    wait_until(lambda: left_in(ground.work_dir) == [])


BOMB = """
deeper=$(($1 - 1))
if [ $deeper -gt 0 ]; then
    for i in 1 2 3; do setsid sh $0 $deeper & done
fi
exec sleep 3
"""


def test_processes_that_multiply_are_stopped_and_gone(ground: Ground) -> None:
    """Each in a session of its own, out of reach of a signal to the group. (This one would end at 363 by itself.)"""
    bomb = f"bomb-{os.getpid()}.sh"
    ground.write(bomb, BOMB)
    suite = ground.shell(f"sh {bomb} 6", limits=Limits(processes=20))
    assert suite.reason == "processes"
    assert not any(bomb in line for _, line in command_lines())
    wait_until(lambda: left_in(ground.work_dir) == [])


def test_where_nobody_may_hurry_nothing_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a service whose system calls are filtered even asking for the usual is refused; the run goes on."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with Hurry() as hurry:
        hurry.begin()


def test_cancelling_stops_a_run_within_a_second(ground: Ground, note: Path) -> None:
    """Also a process that ignores requests to end. (Twice that is allowed here, for a busy machine.)"""
    token = CancelToken()
    request = ground.request(shell(f"trap '' TERM; echo $$ > {note}; while :; do sleep 1; done"))
    future = ground.executor.submit(request, cancel=token)
    pid = number_in(note)
    pressed = time.monotonic()
    token.cancel("newer content arrived")
    report = future.result(timeout=20)
    assert time.monotonic() - pressed < 2.0
    assert (report.status, report.reason) == ("error", "cancelled")
    assert "newer content arrived" in (report.detail or "")
    assert not is_alive(pid)


def test_a_request_that_waits_can_be_cancelled(ground: Ground, note: Path) -> None:
    """Cancelling does not wait for a worker to be free, and the suite never starts."""
    blockers = [CancelToken(), CancelToken()]
    running = [ground.executor.submit(ground.request(shell("sleep 60")), cancel=token) for token in blockers]
    token = CancelToken()
    waiting = ground.executor.submit(ground.request(shell(f"touch {note}")), cancel=token)
    token.cancel("an operator stopped it")
    report = waiting.result(timeout=20)
    assert (report.reason, report.detail) == ("cancelled", "an operator stopped it")
    for blocker in blockers:
        blocker.cancel("enough")
    assert all(each.result(timeout=20).reason == "cancelled" for each in running)
    assert not note.exists()


def test_a_cancelled_run_does_not_start_its_next_suite(ground: Ground, note: Path) -> None:
    """Cancelling is for the run, not for the suite that happens to be running."""
    token = CancelToken()
    request = ground.request(shell(f"echo $$ > {note}; sleep 60"), shell(f"touch {note}.second"))
    future = ground.executor.submit(request, cancel=token)
    number_in(note)
    token.cancel("stop")
    assert [suite.reason for suite in future.result(timeout=20).test_suites] == ["cancelled", "cancelled"]
    assert not note.with_name("note.second").exists()


def test_orphans_go_with_their_own_run(tmp_path: Path) -> None:
    """With ten runs side by side, the end of one kills what it left behind and nothing of another."""
    for ground in made_ground(tmp_path, workers=10):
        tokens = [CancelToken() for _ in range(10)]
        notes = [tmp_path / f"orphan{number}" for number in range(10)]
        futures = [
            ground.executor.submit(
                ground.request(
                    shell(
                        f"(env -i setsid sh -c 'echo $$ > {note}; exec sleep 600' &); {until_exists(note.with_suffix('.end'))}"
                    )
                ),
                cancel=token,
            )
            for token, note in zip(tokens, notes, strict=True)
        ]
        orphans = [number_in(note) for note in notes]
        for number in range(5):
            notes[number].with_suffix(".end").touch()
            assert futures[number].result(timeout=30).status == "passed"
            assert [is_alive(pid) for pid in orphans] == [False] * (number + 1) + [True] * (9 - number)
        for token in tokens:
            token.cancel("enough")
        assert all(future.result(timeout=30) for future in futures)
        assert not any(is_alive(pid) for pid in orphans)


def test_no_remains_are_left_to_be_waited_for(ground: Ground) -> None:
    """An orphan that ended by itself was adopted; its exit status is taken when the run ends."""
    before = set(children(os.getpid()))
    is_over = "until grep -q '^State:\tZ' /proc/$(cat {name})/status; do sleep 0.01; done"
    suite = ground.shell(f"""
        (setsid sh -c 'echo $$ > one; exit 3' &); (env -i setsid sh -c 'echo $$ > other' &)
        {until_exists("one")}; {until_exists("other")}
        {is_over.format(name="one")}; {is_over.format(name="other")}
    """)
    assert suite.status == "passed"
    assert set(children(os.getpid())) - before == set()


def test_exit_statuses_of_others_are_left_alone(ground: Ground) -> None:
    """Reaping orphans does not take the exit status that another part of the daemon waits for."""
    other = subprocess.Popen(["sh", "-c", "exit 42"], start_new_session=True)
    ground.shell("(setsid sleep 60 &); true")
    assert other.wait(timeout=10) == 42


DAEMON = """
import sys, shutil
from pathlib import Path
from packd.domain.manifest import Suite
from packd.testrun.executor import CancelToken, Limits, LocalExecutor, RunRequest
root = Path(sys.argv[1])
executor = LocalExecutor(root / "work", 1, lambda a, b: shutil.copytree(a, b))
suite = Suite(name="s", runner_type="command", command=sys.argv[2])
executor.submit(RunRequest(run_id="run_x", ref="p", version="1.0.0", tree=root / "tree", suites=(suite,),
    default_timeout_s=60, limits=Limits(), started_at=""), cancel=CancelToken()).result()
"""


def test_a_killed_daemon_takes_the_suite_with_it_and_the_next_start_finds_the_rest(
    ground: Ground, tmp_path: Path
) -> None:
    """After kill -9 the direct child is gone at once; orphans and the folder go when leftovers are looked for."""
    root = tmp_path / "daemon"
    (root / "tree").mkdir(parents=True)
    first, orphan, bare = (tmp_path / name for name in ("first", "orphan", "bare"))
    command = (
        f"(setsid sh -c 'echo $$ > {orphan}; exec sleep 600' &); (env -i setsid sh -c 'echo $$ > {bare}; exec sleep 600' &);"
        f" echo $$ > {first}; while :; do sleep 1; done"
    )
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(root), command])
    pids = [number_in(path) for path in (first, orphan, bare)]
    assert kill_leftovers(tmp_path / "work").processes == 0  # another daemon's runs are not ours
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(timeout=10)
    wait_until(lambda: not is_alive(pids[0]))
    assert is_alive(pids[1])
    assert is_alive(pids[2])
    found = kill_leftovers(root / "work")
    assert found.processes >= 2
    assert found.folders == 1
    assert found.troubles == ()
    assert not any(is_alive(pid) for pid in pids)
    assert left_in(root / "work") == []


def test_leftovers_of_nothing_are_none(tmp_path: Path) -> None:
    """The first start of all finds nothing, not even the folder."""
    assert kill_leftovers(tmp_path / "missing").processes == 0
