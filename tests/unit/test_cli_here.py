"""The commands that need no daemon: `new`, `check`, `test PATH`, `config`, `run` as far as it refuses, and the help."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from packd.cli.app import cli
from packd.cli.run import _welcome
from packd.config import load
from tests.processes import long_sleep, running
from tests.waiting import wait_until

Packd = Callable[..., Result]


@pytest.fixture
def packd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packd:
    """In a folder of its own, without what the environment says."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PACKD_")]:
        monkeypatch.delenv(name)
    return lambda *arguments, **environ: CliRunner().invoke(cli, arguments, env=environ)


def made(packd: Packd, name: str = "hello") -> Path:
    """A pack in this folder."""
    assert packd("new", name).exit_code == 0
    return Path(name).absolute()


# --- new -----------------------------------------------------------------------------------------------------------


def test_a_new_pack_passes(packd: Packd) -> None:
    """What `new` writes has no problem, and its tests pass, for any ref."""
    pack = made(packd, "my-first_pack2")
    assert packd("check", str(pack)).exit_code == 0
    result = packd("test", str(pack), "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)["report"]
    assert (report["pack_ref"], report["total_tests"], report["passed"]) == ("my-first_pack2", 2, 2)


@pytest.mark.parametrize("name", ["on", "null", "true_"])
def test_a_new_pack_may_be_called_anything(packd: Packd, name: str) -> None:
    """Also what YAML would read as something else than text."""
    result = packd("check", str(made(packd, name)), "--json")
    assert (json.loads(result.stdout)["ref"], result.exit_code) == (name, 0), result.output


def test_a_new_pack_is_whole(packd: Packd) -> None:
    """It comes by one rename, with scripts that can be run, and leaves nothing else behind."""
    pack = made(packd)
    assert os.listdir() == ["hello"]
    assert stat.S_IMODE(pack.stat().st_mode) == 0o755
    assert os.access(pack / "actions/greet.sh", os.X_OK)
    run = subprocess.run(["sh", "tests/run_tests.sh"], cwd=pack, capture_output=True, text=True, check=True)
    assert "Passed: 2" in run.stdout


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_new_overwrites_nothing(packd: Packd, what: str) -> None:
    """Whatever is there already stays as it is."""
    match what:
        case "folder":
            Path("hello").mkdir()
        case "file":
            Path("hello").write_text("mine")
        case "link":
            Path("hello").symlink_to("nowhere")
    result = packd("new", "hello")
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert os.listdir() == ["hello"]


def test_new_wants_a_ref(packd: Packd) -> None:
    """A name that can't be a ref is refused with one that can."""
    result = packd("new", "My Pack!")
    assert result.exit_code == 2
    assert "packd new my_pack" in result.stderr


def test_new_into_another_folder(packd: Packd) -> None:
    """--dir is made if it is missing; what to do next names it."""
    result = packd("new", "hello", "--dir", "deep/packs")
    assert result.exit_code == 0
    assert Path("deep/packs/hello/pack.yaml").is_file()
    assert "packd run deep/packs" in result.stdout
    Path("file").touch()
    assert packd("new", "hello", "--dir", "file").exit_code == 2


# --- check ---------------------------------------------------------------------------------------------------------


def test_check_says_where(packd: Packd) -> None:
    """Every problem with file, line and column, in the form that editors can jump to; exit 1."""
    pack = made(packd)
    manifest = (pack / "pack.yaml").read_text()
    (pack / "pack.yaml").write_text(manifest.replace("0.1.0", "1.0").replace("run_tests.sh", "gone.sh"))
    result = packd("check", "hello")
    assert result.exit_code == 1
    assert "pack.yaml:4:10: " in result.stdout
    assert "[manifest.invalid_version]" in result.stdout
    assert "packd would refuse hello" in result.stdout
    problems = json.loads(packd("check", "hello", "--json").stdout)["problems"]
    assert len(problems) == 2


def test_check_is_here_by_default(packd: Packd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path it is the folder that one stands in."""
    monkeypatch.chdir(made(packd))
    result = packd("check")
    assert result.exit_code == 0
    assert "hello 0.1.0 is fine: 1 action, 1 suite" in result.stdout


def test_check_asks_for_tests_as_a_daemon_would(packd: Packd) -> None:
    """A pack without tests is refused, unless the configuration takes such packs."""
    pack = made(packd)
    (pack / "pack.yaml").write_text("ref: hello\nversion: 0.1.0\n")
    assert "[testing.missing]" in packd("check", "hello").stdout
    assert packd("check", "hello", PACKD_TESTS__REQUIRED="false").exit_code == 0
    Path("packd.yaml").write_text("tests: {required: false}\n")
    assert packd("check", "hello", "--config", "packd.yaml").exit_code == 0
    Path("packd.yaml").unlink()
    (pack / "pack.yaml").write_text("ref: 12\nversion: new\ntesting: {enabled: false}\n")
    told = packd("check", "hello").stdout
    assert all(f"[{code}]" in told for code in ("testing.disabled", "manifest.invalid_ref", "manifest.invalid_version"))
    assert "pack.yaml:3:20: Testing is disabled for this pack: remove `enabled: false` from its `testing:`" in told


def test_what_the_locale_has_no_character_for_is_spelled_out(packd: Packd, tmp_path: Path) -> None:
    """As in a terminal of ISO 8859-1: the rest of the answer, and the exit status, are what they are elsewhere."""
    pack = tmp_path / "é日"
    pack.mkdir()
    asked = [sys.executable, "-m", "packd", "check", str(pack)]
    checked = subprocess.run(asked, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (1, b"")
    assert checked.stdout.endswith(b"1 problem: packd would refuse \xe9\\u65e5\n")


def test_what_is_said_to_be_typed_next_can_be(packd: Packd) -> None:
    """Also where the folder has a name with blanks, or one like an option."""
    said = packd("new", "hello", "--dir", "-my packs").stdout
    tested = next(line for line in said.splitlines() if "packd test" in line).partition("  run its tests")[0]
    assert packd(*shlex.split(tested)[1:]).exit_code == 0
    assert "packd run -- '-my packs'  " in said


def test_what_a_daemon_says_to_try_can_be_typed(packd: Packd, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever its folder and its socket are."""
    flags = {"packs_dir": Path("my packs"), "state_dir": Path("my state")}
    _welcome(load(None, {}, flags))
    said = capsys.readouterr().err
    assert "  packd new hello --dir 'my packs'\n" in said
    assert "  packd list --socket 'my state/packd.sock'\n" in said


@pytest.mark.parametrize(
    "command", [("check",), ("test", "."), ("run",), ("config", "check"), ("doctor",)], ids=" ".join
)
def test_in_a_folder_that_was_removed(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A sentence, not a traceback; what needs no folder goes on to work."""
    (tmp_path / "gone").mkdir()
    packd = shlex.join([sys.executable, "-m", "packd"])
    script = f"cd gone && rmdir ../gone && {packd} --version && {packd} {' '.join(command)}"
    told = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stdout.startswith("packd ")
    assert "packd: the folder that you are in was removed: go to another one" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("target", ["nowhere", "hello/pack.yaml", "hello/actions/greet.sh"])
def test_check_wants_a_pack(packd: Packd, target: str) -> None:
    """Nothing there, or a part of a pack: exit 2, and what to give instead."""
    made(packd)
    result = packd("check", target)
    assert result.exit_code == 2
    assert result.stderr.startswith("packd: ")


def test_check_leaves_nothing_behind(packd: Packd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot, which is read-only, is gone afterwards; the pack is as it was."""
    made(packd)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    before = sorted((str(path), path.stat().st_mtime_ns) for path in Path("hello").rglob("*"))
    assert packd("test", "./hello").exit_code == 0
    assert os.listdir(work) == []
    assert sorted((str(path), path.stat().st_mtime_ns) for path in Path("hello").rglob("*")) == before


def test_an_archive_is_a_pack(packd: Packd) -> None:
    """`packd test hello.tar.gz` tests the archive, without a slash in it too."""
    import tarfile

    made(packd)
    with tarfile.open("hello.tar.gz", "w:gz") as archive:
        archive.add("hello")
    assert packd("check", "hello.tar.gz").exit_code == 0
    assert packd("test", "hello.tar.gz").exit_code == 0


# --- test PATH -----------------------------------------------------------------------------------------------------


def test_failing_tests(packd: Packd) -> None:
    """Exit 1, and the end of what the suite printed."""
    pack = made(packd)
    script = pack / "actions/greet.sh"
    script.write_text(script.read_text().replace("Hello", "Hullo"))
    result = packd("test", "./hello")
    assert result.exit_code == 1
    assert "FAILED: greets by name" in result.stdout
    assert "not accepted" in result.stdout


def test_a_refused_pack_is_not_run(packd: Packd) -> None:
    """What a daemon would refuse is not run: the problems are said instead."""
    pack = made(packd)
    (pack / "pack.yaml").unlink()
    result = packd("test", "./hello")
    assert result.exit_code == 1
    assert "[manifest.missing]" in result.stdout
    assert "nothing was run" in result.stdout
    value = json.loads(packd("test", "./hello", "--json").stdout)
    assert (value["ok"], value["accepted"], value["report"]) == (False, False, None)


def test_one_suite(packd: Packd) -> None:
    """--runner chooses; an unknown one is answered with those that there are."""
    made(packd)
    assert packd("test", "./hello", "--runner", "shell").exit_code == 0
    unknown = packd("test", "./hello", "--runner", "python")
    assert unknown.exit_code == 1
    assert "it has: shell" in unknown.stderr


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupting_ends_the_suite(packd: Packd, tmp_path: Path, request_to_end: signal.Signals) -> None:
    """Ctrl-C, a CI system and a closed terminal end what runs, and the working copy goes; shells know the exit status."""
    pack = made(packd)
    suite = long_sleep()
    (pack / "tests/run_tests.sh").write_text(f"#!/bin/sh\nexec {suite}\n")
    work = tmp_path / "work"
    work.mkdir()
    asked = subprocess.Popen(
        [sys.executable, "-m", "packd", "test", "./hello"],
        env={**os.environ, "TMPDIR": str(work)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: running(suite), "the suite to run")
    asked.send_signal(request_to_end)
    _, said = asked.communicate(timeout=30)
    assert asked.returncode == 128 + request_to_end, said
    assert b"Traceback" not in said
    assert not running(suite)
    assert os.listdir(work) == []


def test_a_run_tells_of_suites_that_ended(packd: Packd) -> None:
    """Whoever follows it gets the counts of each, as the live line does."""
    from packd.flow.offline import Terms, run_path

    said: list[tuple[str, dict[str, Any]]] = []
    run_path(made(packd), terms=Terms(), say=lambda name, told: said.append((name, told)))
    (suite,) = [told for name, told in said if name == "suite"]
    assert suite == {"suite": "shell", "status": "passed", "total": 2, "passed": 2, "failed": 0, "skipped": 0}


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")


@needs_root
def test_root_lets_suites_run_as_someone_else(packd: Packd) -> None:
    """Also where nothing but the user keeps them apart."""
    pack = made(packd)
    (pack / "tests/run_tests.sh").write_text('#!/bin/sh\ntest "$(id -u)" != 0\n')
    result = packd("test", str(pack), PACKD_TESTS__ISOLATION="basic", PACKD_TESTS__PYTHON="/bin/true")
    assert (result.exit_code, result.stderr) == (0, "")


@needs_root
def test_suites_that_run_as_root_are_warned_of(packd: Packd, tmp_path: Path) -> None:
    """Before and apart from the report, which says it too."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to(sys.executable)
    told = {"PACKD_TESTS__ISOLATION": "basic", "PACKD_TESTS__PYTHON": str(closed / "python")}
    result = packd("test", str(made(packd)), "--json", **told)
    assert result.stderr.startswith("warning: suites run as root: a first try ended with exit status 126: ")
    gaps = json.loads(result.stdout)["report"]["not_contained"]
    assert f"warning: {gaps[1]}\n" == result.stderr


# --- config --------------------------------------------------------------------------------------------------------


def test_config_show(packd: Packd) -> None:
    """What was set and by whom, as a file would say it; --all has the defaults too; secrets never."""
    Path("packd.yaml").write_text("watch: {quiet_ms: 700}\nlog: {level: debug}\n")
    text = packd("config", "show", "--config", "packd.yaml", PACKD_TESTS__WORKERS="3").stdout
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "700" in lines["watch.quiet_ms"]
    assert "packd.yaml:1" in lines["watch.quiet_ms"]
    assert "environment PACKD_TESTS__WORKERS" in lines["tests.workers"]
    assert "rollback.folder" not in lines
    assert "rollback.folder" in packd("config", "show", "--here", "--all").stdout
    Path("packd.yaml").write_text(
        "watch: {ignore: ['*.bak', a b]}\n"
        "webhooks: [{name: ci, url: 'http://ci.example', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, headers: {Authorization: x, X-Team: y}}]\n"
    )
    text = packd("config", "show", "--config", "packd.yaml").stdout
    assert "  ['*.bak', a b]  " in text
    assert "  {Authorization: '**********', X-Team: '**********'}  " in text
    nobody = packd("--socket", "nobody.sock", "config", "show", "--json")
    assert "no packd daemon answers at nobody.sock" in nobody.stderr
    assert "what one that is started here would use" in nobody.stderr
    everything = json.loads(nobody.stdout)
    assert {"key": "markers", "value": "failed", "origin": "default"} in everything


def test_config_check(packd: Packd) -> None:
    """Everything that is wrong at once, each with its place and what was meant; exit 2."""
    Path("packd.yaml").write_text("watsh: {}\nlog: {level: loud}\n")
    result = packd("config", "check", "packd.yaml")
    assert result.exit_code == 2
    assert "packd.yaml:1:1" in result.stderr
    assert "'watch'" in result.stderr
    assert "packd.yaml:2:14" in result.stderr
    value = json.loads(packd("config", "check", "packd.yaml", "--json").stdout)
    assert (value["ok"], len(value["problems"])) == (False, 2)
    Path("packd.yaml").write_text("log: {level: debug}\n")
    assert packd("config", "check", "packd.yaml").exit_code == 0
    missing = packd("config", "check", "nowhere.yaml")
    assert (missing.exit_code, "give another configuration file" in missing.stderr) == (2, True)


def test_config_schema(packd: Packd) -> None:
    """A JSON Schema, for editors."""
    schema = json.loads(packd("config", "schema").stdout)
    assert "quiet_ms" in json.dumps(schema)
    assert json.loads(packd("config", "schema", "--json").stdout) == schema


# --- run -----------------------------------------------------------------------------------------------------------


def test_run_refuses_a_bad_configuration(packd: Packd) -> None:
    """Nothing is made before the settings are right."""
    result = packd("run", "packs", PACKD_TEST__WORKERS="2")
    assert result.exit_code == 2
    assert "PACKD_TESTS__WORKERS" in result.stderr
    assert not Path("packs").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("run file", "the packs directory {0}/file can't be made: {0}/file is no folder; give another PACKS_DIR"),
        ("run file/packs", "the packs directory {0}/file/packs can't be made: {0}/file is no folder; give another"),
        (
            "run p --state-dir file",
            "the state directory {0}/file can't be made: {0}/file is no folder; give another one",
        ),
        (
            "run p --state-dir /proc/x",
            "directory /proc/x can't be made: nothing can be made in /proc; give another one",
        ),
    ],
)
def test_run_says_which_folder_can_not_be_made(packd: Packd, flags: str, said: str) -> None:
    """Why, and what to give instead."""
    Path("file").write_text("")
    result = packd(*flags.split())
    assert result.exit_code == 2
    assert said.format(Path.cwd()) in result.stderr
    assert result.stderr.startswith("packd: can't start: ")


# What is said of a path that can't be used, by each command that takes one.
_WITH_A_PATH = (
    ("check", "{}"),
    ("test", "{}"),
    ("new", "hello", "--dir", "{}"),
    ("run", "{}", "--state-dir", "state"),
    ("run", "{}", "--once", "--state-dir", "state"),
    ("db", "check", "--state-dir", "{}"),
    ("db", "backup", "{}", "--state-dir", "state"),
    ("register", "{}"),
)


@pytest.mark.parametrize("command", _WITH_A_PATH, ids=" ".join)
def test_a_name_that_no_file_system_takes(packd: Packd, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A part of the path has more than 255 bytes: a sentence that names it, wherever it is first looked at."""
    Path("state").mkdir()
    result = packd(*(word.format(tmp_path / ("x" * 256)) for word in command), XDG_STATE_HOME="/nowhere")
    assert result.exit_code in (2, 3)
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("packd: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be")
@pytest.mark.parametrize("command", [*_WITH_A_PATH, ("doctor", "--state-dir", "{}")], ids=" ".join)
def test_a_folder_that_nobody_may_enter(packd: Packd, tmp_path: Path, command: tuple[str, ...]) -> None:
    """What lies in it is refused with its name and the way out, and `doctor` goes on to its end."""
    Path("state").mkdir()
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    packd(*(word.format("/proc/none") for word in command))  # all that is imported late, while it can be
    os.seteuid(65534)
    try:
        result = packd(*(word.format(secret / "x") for word in command), XDG_STATE_HOME="/nowhere")
    finally:
        os.seteuid(0)
    assert isinstance(result.exception, SystemExit)
    if command[0] == "doctor":
        assert "wrong" in result.stdout.splitlines()[-1]
    elif command[0] != "register":  # there is no daemon that could be asked
        assert result.exit_code == 2
        assert "Permission denied" in result.stderr
        assert re.search("another", result.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be")
@pytest.mark.parametrize(
    ("command", "exit_status", "said"),
    [
        ("status --state-dir {}", 3, "become its user, or join the group"),
        ("--state-dir {} status", 3, "become its user, or join the group"),
        ("run packs --state-dir {}", 2, "give another one with --state-dir"),
        ("check {}", 1, "let the user that packd runs as read it"),
        ("new hello --dir {}", 2, "give another path"),
        ("db check --state-dir {}", 2, "packd.db: Permission denied"),
    ],
)
def test_what_nobody_may_read(
    packd: Packd, monkeypatch: pytest.MonkeyPatch, command: str, exit_status: int, said: str
) -> None:
    """Is refused by what needs it, with the way out and the status of that; it is no wrong usage of packd."""
    here = Path(tempfile.mkdtemp())  # pytest's own folder is root's alone
    here.chmod(0o755)
    monkeypatch.chdir(here)
    for folder, mode in (("packs", 0o777), ("secret", 0o711 if command.startswith("db") else 0o700)):
        Path(folder).mkdir()
        Path(folder).chmod(mode)
    Path("secret/packd.db").touch(mode=0o600)
    packd(*command.format("/proc/none").split())  # all that is imported late, while it can be
    os.setresuid(65534, 65534, 0)
    try:
        result = packd(*command.format(here / "secret").split())
    finally:
        os.setresuid(0, 0, 0)
        shutil.rmtree(here)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == exit_status, result.output
    assert said in result.output
    assert "Usage:" not in result.output


def test_no_service_is_installed_where_no_systemd_runs(
    packd: Packd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its programs may be there, as in a container: nothing is written that nobody would start."""
    monkeypatch.setattr("packd.service.manager._BOOTED", tmp_path / "none")
    result = packd("service", "install", "--user", XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert result.exit_code == 2
    assert "this machine is not run by systemd" in result.stderr
    assert not (tmp_path / "config").exists()
    assert packd("service", "install", "--user", "--no-start", XDG_CONFIG_HOME=str(tmp_path / "config")).exit_code == 0
    assert (tmp_path / "config/systemd/user/packd.service").exists()


def test_packs_inside_the_state_are_refused(packd: Packd) -> None:
    """By `run` before anything is made, and by `config check`."""
    result = packd("run", "packs", "--state-dir", "packs/state")
    assert (result.exit_code, Path("packs").exists()) == (2, False)
    assert "would be taken for a pack" in result.stderr
    Path("packd.yaml").write_text("packs_dir: p\nstate_dir: p/state\n")
    checked = packd("config", "check", "packd.yaml", "--json")
    (problem,) = json.loads(checked.stdout)["problems"]
    assert (checked.exit_code, "would be taken for a pack" in problem["message"]) == (2, True)


def test_what_is_unwise_is_a_line_of_the_log(packd: Packd) -> None:
    """In its format, from the first line on, so that what reads the log understands all of it."""
    Path("packd.yaml").write_text(
        "webhooks: [{name: a, url: 'http://127.0.0.1:9/', secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]\n"
    )
    Path("packd.yaml").chmod(0o644)
    command = [
        sys.executable,
        "-m",
        "packd",
        "run",
        "packs",
        "--once",
        "--config",
        "packd.yaml",
        "--state-dir",
        "state",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    first, *_ = [json.loads(line) for line in done.stderr.splitlines()]
    assert (first["level"], first["event"]) == ("warning", "config.unwise")
    assert "holds a secret and can be read by everybody" in first["detail"]


def test_run_takes_its_flags(packd: Packd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags reach the settings, from before the command's name as well; the daemon's answer is the exit status."""
    seen: list[Any] = []

    def run(settings: Any, *, once: bool, source: Any, scout: Any, lock: Any) -> int:
        assert source.file is None
        assert scout is None
        assert lock is not None
        seen.append((settings, once))
        return 1

    monkeypatch.setattr("packd.daemon.run", run)
    monkeypatch.setattr("packd.logs.configure", lambda *_: None)
    result = packd("--socket", "s.sock", "run", "mine", "--state-dir", "state", "--once")
    assert result.exit_code == 1
    settings, once = seen[0]
    here = Path.cwd()
    assert (settings.packs_dir, settings.state_dir, settings.socket_path, once) == (
        here / "mine", here / "state", here / "s.sock", True,
    )  # fmt: skip


# --- where nothing can be written ------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["config show --here --all", "config show --here --json", "--help"])
@pytest.mark.parametrize(("to", "why"), [("/dev/full", "No space left on device"), ("&-", "Bad file descriptor")])
def test_an_answer_that_can_not_be_written(command: str, to: str, why: str, unbuffered: str) -> None:
    """One sentence on stderr, exit 1."""
    environ = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    shell = f"exec {shlex.quote(sys.executable)} -m packd {command} >{to}"
    run = subprocess.run(["sh", "-c", shell], env=environ, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, f"packd: can't write to stdout: {why}\n")


# --- help ----------------------------------------------------------------------------------------------------------


def test_help_lists_every_command(packd: Packd) -> None:
    """Every command with its line, by what one wants to do; exit 0."""
    result = packd("--help")
    assert result.exit_code == 0
    for piece in ("Begin:", "Look:", "Change:", "run ", "rollback ", "packd new hello", "Exit status:"):
        assert piece in result.stdout, piece


def test_every_command_has_help(packd: Packd) -> None:
    """Its first line says what it does, and the list does not promise a command that is not there."""
    for name in cli.list_commands(None):  # type: ignore[arg-type]
        result = packd(name, "--help")
        assert result.exit_code == 0, name
        assert result.stdout.startswith(f"Usage: cli {name}"), name


@pytest.mark.parametrize(
    ("typed", "meant"), [("stauts", "status"), ("hist", "history"), ("reg", "register"), ("webhook del", "deliveries")]
)
def test_a_mistyped_command(packd: Packd, typed: str, meant: str) -> None:
    """The nearest one is named, before all one that begins with what was typed."""
    result = packd(*typed.split())
    assert result.exit_code == 2
    assert f"did you mean '{meant}'?" in result.stderr


HEAVY = (
    "fastapi",
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "aiohttp",
    "pydantic",
    "watchdog",
    "rich",
    "structlog",
    "yaml",
)


@pytest.mark.parametrize(
    "command",
    ["--help", "status --help", "events --help", "test --help", "run --help", "status --socket /none", "list --socket /none",
     "new Bad"],
)  # fmt: skip
def test_commands_are_light(command: str) -> None:
    """A command that only asks loads nothing that only the daemon needs."""
    code = (
        "import sys; from packd.__main__ import main\n"
        f"sys.argv[1:] = {command.split()!r}\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr, sep=',', end='|')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.endswith("\n|") or run.stderr == "|", run.stderr


def test_no_color(tmp_path: Path) -> None:
    """NO_COLOR is heeded on a terminal, and so is one that shows none; without it there are colours."""
    import pty

    def said(**environ: str) -> bytes:
        ours, theirs = pty.openpty()
        run = subprocess.Popen([sys.executable, "-m", "packd", "show", "x", "--socket", str(tmp_path / "none")],
                               stdout=theirs, stderr=theirs, env={**os.environ, **environ})  # fmt: skip
        os.close(theirs)
        text = b""
        try:
            while chunk := os.read(ours, 4096):
                text += chunk
        except OSError:  # Linux says so when the last writer has gone
            pass
        os.close(ours)
        run.wait()
        return text

    assert b"\x1b[31m" in said(NO_COLOR="", TERM="xterm")
    for plain in (said(NO_COLOR="1", TERM="xterm"), said(NO_COLOR="", TERM="dumb")):
        assert b"no packd daemon answers" in plain
        assert b"\x1b" not in plain
