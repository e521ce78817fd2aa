"""The isolation ladder: what every rung that works here keeps from a suite, how a rung is chosen, and what is said."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from packd.domain.manifest import Suite
from packd.testrun import ladder
from packd.testrun.bwrap import BwrapSandbox
from packd.testrun.executor import CancelToken, Limits, LocalExecutor
from packd.testrun.ladder import Footing, NoRung, choose, rungs, suite_user
from packd.testrun.sandbox import tool
from tests.attacks.rungs import states
from tests.processes import is_alive, long_sleep, running
from tests.unit.testrun_ground import Ground, copy_tree, made_ground, shell
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(tempfile.mkdtemp(prefix="packd-rungs-"))  # for what the rungs prepare once
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
WORKING = states(FOLDER)
APART = [name for name in WORKING if name != "basic"]  # rungs with a view and namespaces of their own


@pytest.fixture(params=list(WORKING))
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """On every rung that works here."""
    yield from made_ground(tmp_path, sandbox=WORKING[request.param])


@pytest.fixture(params=APART)
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """On every rung with a view and namespaces of its own."""
    yield from made_ground(tmp_path, sandbox=WORKING[request.param])


# --- on every rung -------------------------------------------------------------------------------------------------------


def test_a_suite_runs_and_its_report_says_where(ground: Ground) -> None:
    """The rung is in the report; nothing of the run stays."""
    report = ground.run(shell("echo fine; test -w . && test -w $HOME && test -w $TMPDIR"))
    assert report.status == "passed", report
    assert report.isolation == ground.executor.isolation
    wait_until(lambda: list(ground.work_dir.iterdir()) == [])


def test_a_suite_begins_as_any_program_does(ground: Ground) -> None:
    """The mode of new files, and signals, are what they are without packd's own programs on the way."""
    suite = ground.shell("touch new; stat -c %a new; (yes; echo $? > ended) | head -n 1; cat ended")
    plain = subprocess.run(["/bin/sh", "-c", "umask"], capture_output=True, text=True, check=True).stdout
    mode = 0o666 & ~int(plain, 8)
    assert suite.output_tail.split() == [f"{mode:o}", "y", "141"], suite


def test_suites_in_turn_share_a_copy(ground: Ground) -> None:
    """What the first wrote, changed, removed and linked the second finds so."""
    ground.write("data", "old")
    ground.write("gone", "")
    ground.write("folder/inner", "")
    first = (
        "echo new > data; rm -r gone folder; mkdir -p a/b; echo x > a/b/c; chmod 755 a/b/c; ln -s a/b link; mkfifo f"
    )
    second = "test $(cat data) = new && test ! -e gone && test ! -e folder && test -x link/c && test $(cat link/c) = x"
    report = ground.run(shell(first), shell(second))
    assert [suite.status for suite in report.test_suites] == ["passed", "passed"], report


@pytest.mark.parametrize("path", ["results/report.xml", "results", "results/*.xml", "link/report.xml"])
def test_reports_are_read(path: str, ground: Ground) -> None:
    """A file, a folder, a pattern, a link within the pack; what the pack brought along is stale."""
    junit = "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"
    ground.write("results/old.xml", "<testsuite><testcase name='stale'/></testsuite>")
    suite = Suite(
        name="s",
        runner_type="command",
        command=f'ln -s results link; echo "{junit}" > results/report.xml; exit 1',
        result_format="junit-xml",
        result_path=path,
    )
    report = ground.run(suite).test_suites[0]
    assert [case.name for case in report.test_cases] == ["a", "b"], report


def test_links_out_of_the_pack_are_not_read(ground: Ground, tmp_path: Path) -> None:
    """Wherever a link leads, only what is in the copy is a report."""
    outside = tmp_path / "outside.xml"
    outside.write_text("<testsuite><testcase name='a'/></testsuite>")
    suite = Suite(
        name="s",
        runner_type="command",
        command=f"ln -s {outside} report.xml",
        result_format="junit-xml",
        result_path="report.xml",
    )
    assert (ground.run(suite).status, ground.run(suite).reason) == ("error", "inconsistent")


def test_cancelling_ends_the_whole_tree_within_a_second(ground: Ground) -> None:
    """Also what ignores requests and left its session. (Twice that is allowed here, for a busy machine.)"""
    token = CancelToken()
    apart = long_sleep()
    request = ground.request(shell(f"trap '' TERM; setsid {apart} & while :; do sleep 1; done"))
    future = ground.executor.submit(request, cancel=token)
    wait_until(lambda: running(apart))
    pressed = time.monotonic()
    token.cancel("newer content arrived")
    report = future.result(timeout=20)
    assert time.monotonic() - pressed < 2.0
    assert report.reason == "cancelled"
    assert not running(apart)


def test_a_suite_that_is_late_may_clean_up(ground: Ground) -> None:
    """It is asked to end before it is killed."""
    suite = ground.shell("trap 'echo cleaned up; exit 7' TERM; while :; do sleep 0.01; done", timeout_s=0.3)
    assert (suite.exit_code, suite.reason) == (7, "timeout")
    assert "cleaned up" in suite.output_tail


def test_events_come_through(ground: Ground) -> None:
    """packd's own runners tell of each case while it runs."""
    ground.write("tests/test_a.py", "import unittest\nclass A(unittest.TestCase):\n    def test_it(self): pass\n")
    report = ground.run(Suite(name="u", runner_type="unittest", entry_point="tests/test_a.py"))
    assert report.status == "passed", report
    assert [case.name for _, case in ground.told] == [case.name for case in report.test_suites[0].test_cases]


# --- on every rung that has a view of its own -----------------------------------------------------------------------------


def test_nothing_of_the_machine_is_seen(apart: Ground, tmp_path: Path) -> None:
    """No home, no state, no other pack, no process of others, no variable of the daemon, no descriptor."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    suite = apart.shell(f"""
        for path in {secret} {apart.tree} /root/.bashrc /home/* /etc/shadow /etc/hostname.own /var/log /sys/kernel; do
            test ! -e "$path" || echo "sees $path"
        done
        ls -A {tmp_path} {apart.work_dir}
        test "$(ls -d /proc/[0-9]* | wc -l)" -lt 8 || ls -d /proc/[0-9]*
        test "$(cat /etc/hosts | grep -c localhost)" = 2 || cat /etc/hosts
        ls /proc/self/fd | tr '\\n' ' '
    """)
    seen = suite.output_tail.splitlines()
    assert not [line for line in seen if line.startswith(("sees", "/proc"))], seen
    assert "tree" not in seen
    assert seen[-1].split() == ["0", "1", "2", "3"]  # the last one is the folder that is being listed


def test_the_system_is_read_only(apart: Ground) -> None:
    """Also the root of the view, which would have no limit of size."""
    suite = apart.shell("for f in / /usr /usr/bin /etc /dev /var; do touch $f/x 2>/dev/null && echo $f; done; true")
    assert (suite.status, suite.output_tail) == ("passed", "")


def test_a_suite_has_no_rights(apart: Ground) -> None:
    """Not root, no capabilities, none to be had; no namespaces of its own; no mounts."""
    suite = apart.shell("""
        test "$(id -u)" != 0 || echo root
        grep -E '^Cap(Eff|Prm|Inh|Amb)' /proc/self/status | grep -v 0000000000000000
        grep CapBnd /proc/self/status | grep -i 1ffffffffff
        grep NoNewPrivs /proc/self/status | grep -v 1
        unshare -U true 2>/dev/null && echo user namespace
        unshare -Ur mount -t tmpfs none /tmp 2>/dev/null && echo mount
        true
    """)
    assert (suite.status, suite.output_tail) == ("passed", "")


def test_the_network_is_its_own(apart: Ground) -> None:
    """There is a loopback that works, and nothing of this machine on it, abstract sockets included."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0packd-{os.getpid()}")
        abstract.listen()
        apart.write(
            "look.py",
            f"""
            import socket
            own = socket.create_server(("127.0.0.1", 0))
            socket.create_connection(own.getsockname(), 5)
            for family, address in ((socket.AF_INET, {tcp.getsockname()!r}), (socket.AF_UNIX, "\\0packd-{os.getpid()}")):
                try:
                    socket.socket(family).connect(address)
                except OSError:
                    continue
                print("reached", address)
            """,
        )
        suite = apart.shell("/usr/bin/env python3 look.py")
    assert (suite.status, suite.output_tail) == ("passed", "")


def test_the_network_is_there_when_it_is_allowed(apart: Ground) -> None:
    """A suite that asks for it gets it where the daemon allows that, and not otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        wish = shell(f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}", network=True)
        bash = Suite(name="s", runner_type="command", command=f"bash -c '{wish.command}'", network=True)
        allowed, denied = apart.run(bash, allow_network=True), apart.run(bash)
    assert (allowed.status, allowed.to_dict()["test_suites"][0]["network"]) == ("passed", True)
    assert (denied.status, denied.to_dict()["test_suites"][0]["network"]) == ("failed", False)
    assert [report.to_dict()["test_suites"][0]["network_denied"] for report in (allowed, denied)] == [False, True]


@pytest.mark.parametrize("place", [".", "$HOME", "$TMPDIR", "/tmp", "/dev/shm"])
def test_the_size_of_all_files_together_is_limited(place: str, apart: Ground) -> None:
    """Many files, each within the limit: there is no room for them."""
    command = f"cd {place}; for i in $(seq 20); do dd if=/dev/zero of=f$i bs=1M count=1 status=none || exit 1; done"
    suite = apart.shell(command, limits=Limits(disk_mb=4))
    assert (suite.status, suite.reason) == ("failed", "disk"), suite


def test_what_the_pack_brings_does_not_count(apart: Ground) -> None:
    """A pack that is larger than what its suite may write runs all the same."""
    apart.tree.joinpath("big").write_bytes(bytes(6 * 1024 * 1024))
    assert apart.shell("test -s big && echo x > y", limits=Limits(disk_mb=2)).status == "passed"


def test_the_kernel_holds_a_crowd(apart: Ground) -> None:
    """More processes than the limit: it is stopped, and nothing is left."""
    suite = apart.shell("for i in $(seq 200); do sleep 60 & done; wait", limits=Limits(processes=20))
    assert (suite.status, suite.reason) == ("failed", "processes")


def test_runs_side_by_side_do_not_see_each_other(tmp_path: Path) -> None:
    """Neither files in /tmp nor processes."""
    pause = long_sleep()
    for ground in made_ground(tmp_path, workers=2, sandbox=WORKING[APART[0]]):
        command = f"echo mine > /tmp/file.$PACKD_RUN_ID; {pause}; ls /tmp/file.* | wc -l; ls -d /proc/[0-9]* | wc -l"
        futures = [ground.executor.submit(ground.request(shell(command)), cancel=CancelToken()) for _ in range(2)]
        for pid in wait_until(lambda: len(found := running(pause)) == 2 and found, "both to be at work"):
            os.kill(pid, signal.SIGTERM)
        for future in futures:
            files, processes = future.result(30).test_suites[0].output_tail.split()[-2:]
            assert (files, int(processes) < 8) == ("1", True)


def test_the_interpreter_is_seen_wherever_it_is(apart: Ground) -> None:
    """Also below a home folder, of which nothing else is seen."""
    apart.write("look.py", "import sys, os; print(sys.prefix); assert not os.path.exists('/root/.ssh')")
    report = apart.run(Suite(name="s", runner_type="script", entry_point="look.py"))
    assert report.status in ("passed", "error"), report


def test_many_at_once(tmp_path: Path) -> None:
    """Sandboxes are made and left by many threads at the same time; every run has its own report."""
    for ground in made_ground(tmp_path, workers=4, sandbox=WORKING[APART[0]]):
        futures = [
            ground.executor.submit(ground.request(shell(f"echo {number}")), cancel=CancelToken())
            for number in range(12)
        ]
        assert [future.result(60).test_suites[0].output_tail for future in futures] == [f"{n}\n" for n in range(12)]
    assert threading.active_count() < 40


# --- when it can't be entered -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["echo no such luck >&2; exit 1", "kill -9 $$", "exit 0"])
def test_a_sandbox_that_can_not_be_made_is_no_failed_suite(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is that it could not be run, with bubblewrap's own words."""
    sandbox = WORKING.get("bwrap")
    if sandbox is None:
        pytest.skip("bubblewrap does not work here; .ci/run installs it")
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sandbox._rung, "_program", str(fake))  # type: ignore[attr-defined]
    for ground in made_ground(tmp_path, sandbox=sandbox):
        suite = ground.shell("true")
        assert (suite.status, suite.reason) == ("error", "unavailable")
        assert "sandbox could not be made" in (suite.detail or "")
        assert ("no such luck" in (suite.detail or "")) == ("luck" in script)


# --- choosing --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def footing(tmp_path: Path) -> Footing:
    return Footing(folder=tmp_path / "sandbox", someone=suite_user(None))


def test_the_best_that_works_is_taken(footing: Footing) -> None:
    """And those above it are named with the reason why not."""
    sandbox, missed = choose("auto", footing)
    assert sandbox.isolation == next(iter(WORKING))
    assert [rung.name for rung in missed] == [name for name in ladder.NAMES if name not in WORKING][: len(missed)]
    assert all(rung.why_not for rung in missed)


def test_all_of_them_can_be_listed(footing: Footing) -> None:
    """For whoever asks what would be possible: name, does it work, why not."""
    found = rungs(footing)
    assert [rung.name for rung in found] == list(ladder.NAMES)
    assert all(rung.works == (rung.why_not is None) for rung in found)
    assert found[-1].works


def test_without_bubblewrap_the_next_one_is_taken(footing: Footing, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` goes down the ladder, `bwrap` refuses with the reason and the way out."""
    monkeypatch.setattr("packd.testrun.sandbox.tool", lambda name: None if name == "bwrap" else tool(name))
    sandbox, missed = choose("auto", footing)
    assert not sandbox.isolation.startswith("bwrap")
    assert "bubblewrap is not installed (`apt-get install bubblewrap`)" in [rung.why_not for rung in missed]
    with pytest.raises(NoRung, match=r"bubblewrap is not installed.*tests\.isolation to auto"):
        choose("bwrap", footing)


def test_a_rung_that_is_there_and_does_not_work_is_not_taken(
    footing: Footing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Being installed is not enough: something was really run on it."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("packd.testrun.sandbox.tool", lambda name: str(fake) if name == "bwrap" else tool(name))
    why = {rung.name: rung.why_not for rung in choose("auto", footing)[1]}
    assert "No permissions to create new namespace" in (why["bwrap"] or "")


def test_a_trial_that_a_daemon_was_killed_in_is_ended(footing: Footing) -> None:
    """bubblewrap may be killed before what it has forked knows that it is to die with it."""
    left = footing.folder / "probe-left"
    left.mkdir(parents=True)
    orphan = "sleep 300 >/dev/null & echo $!"
    said = subprocess.run(["/bin/sh", "-c", orphan], env={"PACKD_WORK": str(left)}, stdout=subprocess.PIPE, check=True)
    assert is_alive(int(said.stdout))
    choose("basic", footing)
    assert not is_alive(int(said.stdout))
    assert not left.exists()


def test_basic_when_it_is_wanted(footing: Footing) -> None:
    """Whatever else there is."""
    assert choose("basic", footing)[0].isolation == "basic"


def test_the_user_of_suites() -> None:
    """A name or a number; root and nobody's name are refused; without root packd's own."""
    if os.geteuid() != 0:
        assert suite_user("nobody") is None
        return
    found = suite_user(None)
    assert found is not None
    assert found.uid != 0
    assert suite_user(str(found.uid)) == found
    with pytest.raises(NoRung, match=r"tests\.user is root"):
        suite_user("root")
    with pytest.raises(NoRung, match="there is no user 'nobodyatall'"):
        suite_user("nobodyatall")


def test_what_is_hidden_stays_hidden_within_what_is_seen(tmp_path: Path) -> None:
    """A state directory inside of a folder that the interpreter needs is covered."""
    if "bwrap" not in WORKING:
        pytest.skip("bubblewrap does not work here; .ci/run installs it")
    home = tmp_path / "home"
    (home / "state").mkdir(parents=True)
    (home / "state" / "secret").write_text("hunter2")
    (home / "bin").mkdir()
    program = home / "bin" / "look"
    program.write_text(f"#!/bin/sh\nls {home} {home}/state\n")
    program.chmod(0o755)
    sandbox = BwrapSandbox(tmp_path / "sandbox", someone=suite_user(None), hidden=(home / "state",), cgroups=None)
    for ground in made_ground(tmp_path, sandbox=sandbox):
        ground.use_python(program)
        suite = ground.run(Suite(name="s", runner_type="unittest", entry_point="tests")).test_suites[0]
        assert "secret" not in suite.output_tail


# --- basic, as someone else --------------------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")


def reachable(tmp_path: Path) -> Path:
    """A folder that everybody can get to: pytest's own are closed."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path


@needs_root
def test_basic_becomes_someone_else(tmp_path: Path) -> None:
    """Where packd is root: its folder is theirs, and 0600 files of root's are not."""
    state = reachable(tmp_path) / "state"
    state.mkdir(mode=0o700)
    (state / "packd.db").write_text("hunter2")
    (state / "store").mkdir()
    footing = Footing(folder=state / "sandbox", someone=suite_user(None), state=state, python=Path("/bin/true"))
    sandbox, _ = choose("basic", footing)
    assert not [gap for gap in sandbox.shortcomings if "root" in gap], sandbox.shortcomings
    executor = LocalExecutor(state / "work", 1, copy_tree, sandbox=sandbox)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").touch(mode=0o600)
    ground = Ground(tree=tree, executor=executor, work_dir=state / "work")
    suite = ground.shell(f"""
        test "$(id -u)" != 0 && echo x > file && touch $HOME/a $TMPDIR/b || echo closed
        cat {state}/packd.db; ls {state}; ls {state}/store; ls {state}/work
        grep -E '^Cap(Eff|Prm|Inh)' /proc/self/status | grep -v 0000000000000000
        true
    """)
    executor.close(0)
    assert suite.status == "passed", suite
    assert "hunter2" not in suite.output_tail
    assert "closed" not in suite.output_tail
    assert suite.output_tail.count("ermission denied") == 4, suite.output_tail
    assert "Cap" not in suite.output_tail


@needs_root
def test_basic_says_so_when_it_stays_root(tmp_path: Path) -> None:
    """An interpreter that only root can get to: said, or refused when a user was asked for."""
    hidden = tmp_path / "closed"
    hidden.mkdir(mode=0o700)
    (hidden / "python").symlink_to("/bin/true")
    state = reachable(tmp_path) / "state"
    state.mkdir(mode=0o700)
    footing = Footing(folder=state / "sandbox", someone=suite_user(None), state=state, python=hidden / "python")
    sandbox, _ = choose("basic", footing)
    assert [gap for gap in sandbox.shortcomings if gap.startswith("suites run as root: a first try")]
    assert (sandbox.as_root or "").endswith("Permission denied")
    for ground in made_ground(tmp_path, sandbox=sandbox):
        assert ground.run(shell("true")).to_dict()["not_contained"] == list(sandbox.shortcomings)
    with pytest.raises(NoRung, match=r"tests\.user can't run suites"):
        choose("basic", replace(footing, must_become=True))


@needs_root
def test_basic_stays_root_where_packds_own_runners_are_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where packd is installed below a closed home and runs tests with the system's Python."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "packd_case_stream.py").touch()
    monkeypatch.setattr("packd.testrun.ladder.HARNESS", closed)
    python = reachable(tmp_path) / "python"
    python.write_text('#!/bin/sh\nexec cat "$3"\n')
    python.chmod(0o755)
    closed.chmod(0o700)
    footing = Footing(folder=tmp_path / "sandbox", someone=suite_user(None), python=python)
    assert (choose("basic", footing)[0].as_root or "").endswith("Permission denied")
    closed.chmod(0o711)
    assert choose("basic", footing)[0].as_root is None


@needs_root
def test_without_setpriv_nobody_becomes_someone_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no small shortcoming: suites run as root, and not at all when a user was asked for."""
    monkeypatch.setattr("packd.testrun.sandbox.SYSTEM_PATH", "/nowhere")
    footing = Footing(folder=reachable(tmp_path) / "sandbox", someone=suite_user(None))
    sandbox, _ = choose("basic", footing)
    assert "suites run as root: setpriv is missing" in sandbox.shortcomings
    with pytest.raises(NoRung, match=r"tests\.user can't run suites: setpriv is missing"):
        choose("basic", replace(footing, must_become=True))
