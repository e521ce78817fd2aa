"""Walls that stand: what one program after another is run in, and what they must not have in common."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from packd.domain.manifest import Suite
from packd.testrun import launcher, walled
from packd.testrun.bwrap import BwrapSandbox
from packd.testrun.executor import CancelToken, kill_leftovers
from packd.testrun.processes import children
from packd.testrun.walled import WalledSandbox
from packd.testrun.walls import Vacancy, Walls, WardenGate
from tests.attacks.rungs import states
from tests.processes import is_alive, long_sleep, running
from tests.unit.testrun_ground import Ground, made_ground, shell
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

STATES = states(Path(tempfile.mkdtemp(prefix="packd-walls-")))
pytestmark = pytest.mark.skipif("bwrap" not in STATES, reason="bubblewrap does not work here; .ci/run installs it")
FRESH, STANDING = "bwrap", "bwrap, walls that stand"


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """One worker, whose walls stand before they are needed."""
    yield from made_ground(tmp_path, workers=1, sandbox=STATES[STANDING])


def wardens() -> list[int]:
    """What this process has started and that lives."""
    return [pid for pid in children(os.getpid()) if is_alive(pid)]


def inside(pid: int) -> list[int]:
    return [pid, *(inner for child in children(pid) for inner in inside(child))]


def test_several_programs_share_one_warden(ground: Ground) -> None:
    """Only the first has to wait for a sandbox."""
    before = set(wardens())
    ground.shell("true")
    made = set(wardens()) - before
    assert [ground.shell(f"exit {code}").exit_code for code in range(3)] == [0, 1, 2]
    assert set(wardens()) - before == made
    assert len(made) == 1


def test_nothing_is_left_for_the_next_program(ground: Ground) -> None:
    """Files, memory that is shared by any name, processes and their names, sockets, terminals: all are another's."""
    leave = """
        echo left > /tmp/left; echo left > /dev/shm/left; echo left > $PACKD_WORK/../left 2>/dev/null
        echo left > $HOME/left; mkdir -p $TMPDIR/left
        (setsid sleep 600 >/dev/null 2>&1 &)
        python3 -I - <<'PYTHON'
        import ctypes, socket, os
        libc = ctypes.CDLL(None)
        assert libc.shmget(4711, 4096, 0o1666) >= 0
        os.openpty()
        s = socket.socket(socket.AF_UNIX); s.bind("\\0left")
        t = socket.create_server(("127.0.0.1", 4711))
        PYTHON
    """.replace("\n        ", "\n")
    look = """
        ls -A /tmp /dev/shm $PACKD_WORK/.. $HOME $TMPDIR | grep left
        ls /proc | grep -c '^[0-9]'
        python3 -I - <<'PYTHON'
        import ctypes, socket, os
        libc = ctypes.CDLL(None)
        print("memory" if libc.shmget(4711, 4096, 0) >= 0 else "no memory")
        print("terminals", os.listdir("/dev/pts"))
        s = socket.socket(socket.AF_UNIX); s.bind("\\0left")
        print("listening", open("/proc/net/tcp").read().count(":1267 00000000:0000 0A"))
        PYTHON
    """.replace("\n        ", "\n")
    assert ground.shell(leave).status == "passed"
    said = ground.shell(look).output_tail.splitlines()
    assert not [line for line in said if line == "left"], said
    assert int(next(line for line in said if line.isdecimal())) <= 6
    assert said[-3:] == ["no memory", "terminals ['ptmx']", "listening 0"]


@pytest.mark.parametrize("state", STATES)
def test_what_a_program_leaves_running_is_counted(state: str, tmp_path: Path) -> None:
    """Whoever left its session and its parents as well; what has ended by itself was not left. So for every suite, be it
    the first or one of several at the same time, and its exit status and output are its own."""
    leave = "sleep 600 & (setsid sleep 600 &) ; true & wait $!; echo said; exit 7"
    for ground in made_ground(tmp_path, workers=2, sandbox=STATES[state]):
        suites = [replace(shell(leave), name=name) for name in ("a", "b")]
        for suite in (ground.shell(leave), *ground.run(*suites, parallel=True).test_suites):
            assert (suite.exit_code, suite.output_tail) == (7, "said\n")
            assert (suite.detail or "").endswith("it left 2 processes running, which packd killed")
        assert ground.shell("true").detail is None
        killed = ground.shell("echo said; kill -SEGV $$")
        assert (killed.status, killed.output_tail) == ("failed", "said\n")


@pytest.mark.parametrize("state", STATES)
def test_what_a_pack_wants_for_its_programs_reaches_none_of_packds(state: str, tmp_path: Path) -> None:
    """Those on the way to it run outside of the sandbox, or with rights that it does not have; and whatever is in the
    environment of a program can have the loader run a pack's code in it, or write what it did to any place."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    env = (("LD_DEBUG", "files"), ("LD_DEBUG_OUTPUT", str(outside / "said")), ("ODD", "a\nb=c"))
    for ground in made_ground(tmp_path, workers=2, sandbox=STATES[state]):
        ask = replace(shell('echo "$LD_DEBUG $ODD $PWD"'), env=env)
        reports = [ground.run(ask), ground.run(ask), ground.run(ask, replace(ask, name="beside"), parallel=True)]
        for suite in (suite for report in reports for suite in report.test_suites):
            assert suite.status == "passed"
            assert "files a\nb=c /" in suite.output_tail
    said = "".join(path.read_text() for path in outside.iterdir())
    assert "needed by /bin/sh" in said or state != "basic"
    ours = ("bwrap", "setsid", "setpriv", "prlimit", "python", "env")
    assert not [name for name in ours if f"needed by /usr/bin/{name}" in said]
    assert not said or state == "basic"


def test_a_program_finds_the_same_as_in_a_sandbox_of_its_own(tmp_path: Path) -> None:
    """The same view, the same rights, the same limits and the same environment, to the word."""
    look = """
        cut -d' ' -f2-4 /proc/self/mounts | sort
        grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|SigBlk|SigIgn|SigCgt)' /proc/self/status
        sed 's/1125[0-9]*/MARK/g' /proc/self/limits; umask; pwd; hostname; cat /proc/net/dev | cut -d: -f1
        env | grep -v PACKD_RUN_ID | sort; find . | sort; ls -la /dev /run /etc/passwd | cut -c1-11
        cat /proc/self/oom_score_adj; ulimit -a; echo $0
    """
    found = {}
    for state in (FRESH, STANDING):
        folder = tmp_path / "same"
        folder.mkdir()
        for ground in made_ground(folder, workers=1, sandbox=STATES[state]):
            ground.write("a/b", "c")
            run = ground.run(shell(look)).test_suites[0]
            told = run.output_tail.replace(ground_id(run.output_tail), "RUN").splitlines()
            found[state] = [without_own_signals(line) for line in told]
        folder.rename(tmp_path / state)
    differing = set(found[FRESH]) ^ set(found[STANDING])
    assert {line for line in differing if not may_differ(line)} == set()


def without_own_signals(line: str) -> str:
    """Two signals belong to the C library, which has them ignored in every program that it spawns (posix_spawn(3)) and
    takes them back when it needs them."""
    if not line.startswith("SigIgn:"):
        return line
    return f"SigIgn:\t{int(line.split()[1], 16) & ~(0b11 << 31):016x}"


def ground_id(text: str) -> str:
    """The name of the run's folder."""
    return next(line for line in text.splitlines() if line.startswith("PACKD_WORK=")).rpartition("/")[2]


def may_differ(line: str) -> bool:
    """Parts of /proc that nobody in there could write to; what packd itself adds in processes, and the run's mark; rights
    that are lost for good with walls, and only for the moment without; where the folder of limited size begins."""
    return line.startswith(("/proc/", "CapBnd", "Max processes", "process ", "Max realtime")) or "/work" in line


def test_a_program_can_not_lay_hands_on_who_started_it(ground: Ground) -> None:
    """It runs as the same user, and speaks for the cell: nothing of it can be read, written or stopped from inside."""
    suite = ground.shell("""
        for number in 1 2 3 9 10 12 15; do kill -$number 1 2>/dev/null; done
        for name in mem environ maps fd/0 fd/3 root cwd; do
            ls /proc/1/$name/ >/dev/null 2>&1 && echo "sees $name"
            head -c 1 /proc/1/$name >/dev/null 2>&1 && echo "reads $name"
        done
        echo alive
    """)
    assert suite.output_tail == "alive\n"
    assert suite.status == "passed"


def test_no_program_makes_a_user_namespace(ground: Ground) -> None:
    """The kernel refuses it, whatever the filter of system calls may miss."""
    assert ground.shell("cat /proc/sys/user/max_user_namespaces").output_tail == "0\n"


def test_the_next_cell_is_made_while_a_long_program_runs(ground: Ground) -> None:
    """A short one has the processor for itself; a long one is not waited for."""
    before = set(wardens())
    ground.shell("true")
    (warden,) = set(wardens()) - before
    token = CancelToken()
    running = ground.executor.submit(ground.request(shell(long_sleep())), cancel=token)
    wait_until(lambda: any("sleep" in name_of(pid) for pid in inside(warden)))
    wait_until(lambda: len(cells(warden)) == 2)
    token.cancel("seen")
    assert running.result(30).reason == "cancelled"
    assert ground.shell("true").status == "passed"


def test_packd_says_when_it_waits_for_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when one is there, nor when it does not wait: the warden, who rests until then, takes no word for a request."""
    monkeypatch.syspath_prepend(Path(launcher.__file__).parent)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        gate: Any = None
        walls = Walls((), gate=gate, line=ours, warden=gate)
        assert walls.vacancy() is None
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(10)
        assert walls.vacancy(0.001) is None
        ours.send(b"a request")
        ours.send(b"go")
        assert cell_module().Cells((), theirs, []).asked() == (b"a request", [])


def cell_module() -> Any:
    """Part of a program, which finds the others beside it."""
    return importlib.import_module("cell")


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except FileNotFoundError:
        return ""


def cells(bubblewrap: int) -> list[int]:
    """The first processes of the cells that its warden has made."""
    programs = [pid for pid in inside(bubblewrap) if name_of(pid).startswith("python")]
    return [pid for one in programs for pid in children(one) if pid in programs]


def test_what_no_program_can_be_given_leaves_the_cell_to_the_next_one() -> None:
    """A pack can write a NUL into its command, or half of a character."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    handle = os.pidfd_open(os.getpid())
    with ours, theirs:
        nobody: Any = None
        walls = Walls((), gate=nobody, line=ours, warden=nobody)
        walls._vacancy = vacancy = Vacancy(init=os.getpid(), handle=handle)
        for argv in (["echo", "a\0b"], ["echo", "\ud800"]):
            order: Any = SimpleNamespace(argv=argv, cwd=Path("/"), env={}, private=None)
            with pytest.raises(ValueError, match=r"null byte|surrogates"):
                WardenGate(walls, vacancy).start(order, stdout=1, stderr=2, keep=())
        assert walls.vacancy() is vacancy
    os.close(handle)


def test_a_command_with_a_nul_says_so(ground: Ground) -> None:
    """And the next one is run."""
    ground.shell("true")
    suite = ground.shell("echo a\0b")
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert "null byte" in str(suite.detail)
    assert ground.shell("echo hello").output_tail == "hello\n"


def test_a_killed_program_says_so(ground: Ground) -> None:
    """Its end by a signal is told as one."""
    suite = ground.shell("kill -SEGV $$")
    assert (suite.status, suite.reason, suite.exit_code) == ("failed", "crash", 128 + signal.SIGSEGV)


def test_a_program_that_can_not_be_started_says_so(ground: Ground) -> None:
    """As a shell would."""
    ground.write("tests/run", "#!/usr/bin/env python3\n", mode=0o755)
    ground.write("lib/x", "")
    suite = ground.run(Suite(name="s", runner_type="command", command="exec ./nothing")).test_suites[0]
    assert suite.exit_code == 127


def test_a_machine_that_can_start_no_program_is_not_taken_for_one_that_fails(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many processes, whoever has them: nothing of the pack was run, so nothing is known of it but that it has to be
    tried again."""
    crowded = tmp_path / "launcher"
    shutil.copytree(Path(launcher.__file__).parent, crowded)
    with (crowded / "cell.py").open("a") as cell:
        cell.write(f"\ndef _refused(*_, **__):\n    raise BlockingIOError({errno.EAGAIN}, 'Too many processes')\n")
        cell.write("\nos.posix_spawn = _refused\n")
    monkeypatch.setattr(walled, "_LAUNCHER", crowded)
    ground.remake(workers=1, sandbox=STATES[STANDING])
    suites = [ground.shell("true")]
    while suites[-1].status == "passed":  # as it is in a sandbox of its own, before there are walls
        suites.append(ground.shell("true"))
    suite = suites[-1]
    assert (suite.status, suite.reason, suite.exit_code) == ("error", "unavailable", None)
    assert suite.environment is not None
    assert suite.environment.failed == "machine"
    assert "temporarily unavailable" in str(suite.detail)


def test_a_dead_warden_is_replaced(ground: Ground) -> None:
    """The next program is run all the same, and the one after that has walls again."""
    before = set(wardens())
    assert ground.shell("true").status == "passed"
    (warden,) = set(wardens()) - before
    os.kill(warden, signal.SIGKILL)
    wait_until(lambda: not is_alive(warden))
    assert [ground.shell("true").status for _ in range(3)] == ["passed"] * 3
    assert len(set(wardens()) - before) == 1


def test_where_no_warden_can_live_it_goes_without(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that forbids what a warden does runs every program in a sandbox of its own, and is not asked for ever."""
    made: list[object] = []
    real = WalledSandbox._made

    def counted(self: WalledSandbox, view: Any) -> Any:
        made.append(view)
        return real(self, view)

    monkeypatch.setattr(WalledSandbox, "_made", counted)
    monkeypatch.setattr(BwrapSandbox, "becoming", lambda _: {})  # it can't read its orders, and ends
    ground.executor.close(0)
    ground.remake(workers=1, sandbox=STATES[FRESH]._rung)  # type: ignore[attr-defined]
    assert {ground.shell("true").status for _ in range(12)} == {"passed"}
    assert len(made) <= 3


def test_a_cell_that_died_before_it_was_used_is_nobodys_failure(ground: Ground) -> None:
    """What waits for a program may be killed, as for want of memory: the program runs, or it says that it could not."""
    before = set(wardens())
    ground.shell("true")
    (warden,) = set(wardens()) - before
    waiting = inside(warden)[2:]
    for pid in reversed(waiting):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, waiting)))
    suites = [ground.shell("true") for _ in range(3)]
    assert {suite.reason for suite in suites} <= {None, "unavailable"}, suites
    assert suites[-1].status == "passed"


def test_what_lies_in_its_place_now_is_seen(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Walls that show a folder which was replaced since are made anew."""
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "version").write_text("1")
    real = BwrapSandbox.lasting_view

    def with_folder(self: BwrapSandbox, order: Any) -> Any:
        object.__setattr__(order, "readable", (*order.readable, *(() if shown in order.readable else (shown,))))
        return real(self, order)

    monkeypatch.setattr(BwrapSandbox, "lasting_view", with_folder)
    assert ground.shell(f"cat {shown}/version").output_tail == "1"
    shown.rename(tmp_path / "before")
    shown.mkdir()
    (shown / "version").write_text("2")
    assert ground.shell(f"cat {shown}/version").output_tail == "2"


def test_the_copy_does_not_pass_the_disk(ground: Ground, tmp_path: Path) -> None:
    """The sandbox is filled from the snapshot; only what is needed afterwards lies in the run's folder."""
    ground.write("data", "x")
    command = "test -w data && echo 1..1 > report.tap && echo ok 1 >> report.tap"
    suite = Suite(name="s", runner_type="command", command=command, result_format="tap", result_path="report.tap")
    seen: list[Path] = []

    def look(suite: str, case: Any) -> None:
        seen.extend(path.relative_to(ground.work_dir) for path in ground.work_dir.rglob("*") if path.is_file())

    request = ground.request(suite)
    report = ground.executor.submit(request, cancel=CancelToken(), on_case=look).result(timeout=60)
    assert report.status == "passed", report
    assert seen == [Path(request.run_id, "pack", "report.tap")]
    wait_until(lambda: list(ground.work_dir.iterdir()) == [])


def test_suites_side_by_side_have_sandboxes_of_their_own(tmp_path: Path) -> None:
    """The warden has one program at a time: what runs beside it shares no network with it."""
    pause = long_sleep()
    listen = "import socket, subprocess; s = socket.create_server(('127.0.0.1', 4712)); subprocess.run({})"
    command = f'python3 -I -c "{listen.format(pause.split())}"'
    for ground in made_ground(tmp_path, workers=2, sandbox=STATES[STANDING]):
        suites = [Suite(name=name, runner_type="command", command=command) for name in "ab"]
        both = ground.executor.submit(ground.request(*suites, parallel=True), cancel=CancelToken())
        for pid in wait_until(lambda: len(found := running(pause)) == 2 and found, "both to listen"):
            os.kill(pid, signal.SIGTERM)
        report = both.result(30)
        assert report.status == "passed", report


def test_walls_are_let_go_of(tmp_path: Path) -> None:
    """An executor that was closed leaves no warden behind."""
    before = set(wardens())
    for ground in made_ground(tmp_path, workers=2, sandbox=STATES[STANDING]):
        ground.shell("true")
        assert set(wardens()) - before
    wait_until(lambda: set(wardens()) == before)


def test_walls_that_a_killed_daemon_left_are_ended_by_the_next(ground: Ground) -> None:
    """They name the folder of runs as theirs, as runs do."""
    before = set(wardens())
    ground.shell("true")
    (left,) = set(wardens()) - before
    assert kill_leftovers(ground.work_dir).processes >= 1
    wait_until(lambda: not is_alive(left))


def test_many_views_do_not_pile_up(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Walls that were not used for longest make room for others."""
    monkeypatch.setattr(walled, "_MOST", 2)
    before = set(wardens())
    rung = STATES[STANDING]._rung  # type: ignore[attr-defined]
    sandbox = WalledSandbox(rung)
    ground.executor.close(0)
    try:
        for number in range(4):
            view = rung.lasting_view(order_with(number))
            sandbox._make_soon(view)
            sandbox._make_soon(view)
            wait_until(lambda: len(set(wardens()) - before) <= 2)
    finally:
        sandbox.close()
    wait_until(lambda: set(wardens()) == before)


def order_with(number: int) -> Any:
    from packd.testrun.limits import Limits
    from packd.testrun.mark import Mark
    from packd.testrun.sandbox import SYSTEM_PATH, Order

    folder = Path("/tmp/packd-none")
    return Order(
        argv=("/bin/sh",), cwd=folder, env={"PATH": SYSTEM_PATH}, limits=Limits(disk_mb=16 + number),
        mark=Mark.of(folder), private=folder / "run", fill=lambda *_: None,
    )  # fmt: skip
