"""The command line as a whole: its table of commands, their help, what completes, how little is loaded to start."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from packd.cli.app import cli
from packd.cli.commands import COMMANDS, SECTIONS
from packd.cli.completion import script
from packd.cli.text import width
from packd.domain.event_data import PackUnregistered, PackUpdated
from tests.unit.doors_ground import Ground, about, made_ground, report

Packd = Callable[..., Result]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        made.activate("core", 1)
        made.add_run("core", 1, report())
        made.activate("core", 2)
        made.add_run("core", 2, report())
        made.activate("inventory", 1)
        made.fail("inventory", 2)
        made.refuse_drop("My Pack")
        made.say("core", version="1.0.0-alpha.1+build.20260131.0123456789abcdef")
        yield made


def leaves(name: str, command: click.Command | None) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    assert command is not None, name
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for below in command.list_commands(context):
        yield from leaves(f"{name} {below}", command.get_command(context, below))


EVERY = dict(leaf for name in COMMANDS for leaf in leaves(name, cli.get_command(click.Context(cli), name)))


# --- the table and the help ------------------------------------------------------------------------------------------


def test_the_table_is_sorted_and_true() -> None:
    """One line each, by name, so that two people can add one without meeting; each names a command that is there."""
    assert list(COMMANDS) == sorted(COMMANDS)
    for name, entry in COMMANDS.items():
        assert entry.section in SECTIONS, name
        found = cli.get_command(click.Context(cli), name)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize("name", EVERY)
def test_help_has_examples_and_exit_statuses(name: str) -> None:
    """Whoever asks for help gets an example that names the command, and what its exit statuses mean."""
    said = EVERY[name].help or ""
    assert re.search(rf"packd {name}\b", said), said
    assert "Examples:" in said
    assert "Exit status:" in said


def test_help_fits_a_terminal() -> None:
    """At 80 columns no line is longer."""
    for name in EVERY:
        result = CliRunner().invoke(cli, [*name.split(), "--help"], terminal_width=80, env={"COLUMNS": "80"})
        assert result.exit_code == 0
        assert [line for line in result.stdout.splitlines() if len(line) > 80] == [], name


# --- quick to start --------------------------------------------------------------------------------------------------

_HEAVY = {"fastapi", "starlette", "sqlalchemy", "rich", "pydantic", "aiohttp", "alembic", "uvicorn", "structlog", "yaml",
          "asyncio", "watchdog", "apscheduler"}  # fmt: skip


@pytest.mark.parametrize("command", ["list --json", "list", "status", "show core", "why core", "history core",
                                     "tests core", "compare core", "events", "", "--help"])  # fmt: skip
def test_asking_loads_nothing_heavy(ground: Ground, command: str) -> None:
    """What only talks to the daemon imports the standard library, click and little of packd: it starts in an instant."""
    code = (
        "import sys\nfrom packd.cli.app import cli\n"
        f"try: cli({command.split()!r})\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    env = {**os.environ, "PACKD_SOCKET": str(ground.socket)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=env)
    assert set(done.stdout.splitlines()[-1].split()) & _HEAVY == set()
    assert not done.stderr


# --- packd alone -----------------------------------------------------------------------------------------------------


def alone(socket: Path) -> Result:
    return CliRunner().invoke(cli, ["--socket", str(socket)])


def test_packd_alone_with_a_daemon(ground: Ground) -> None:
    """How it is, what needs a look with the command that says why, and what to try."""
    result = alone(ground.socket)
    assert result.exit_code == 0
    for piece in ("the daemon runs (pid 4242", "2 active · 1 refused", "#2 failed", "packd why inventory",
                  "packd why 'My Pack'", "packd events --follow"):  # fmt: skip
        assert piece in result.stdout, piece


def test_packd_alone_without_a_daemon(tmp_path: Path) -> None:
    """It says so, and how to begin; that is no failure."""
    result = alone(tmp_path / "none.sock")
    assert result.exit_code == 0
    assert "no packd daemon answers at" in result.stdout
    assert "packd run packs" in result.stdout
    assert not result.stderr


def test_packd_alone_with_a_daemon_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not said that another one should be started, but where to look."""
    monkeypatch.setattr("packd.cli.overview._PATIENCE_S", 0.1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        result = alone(tmp_path / "s")
    assert "does not answer" in result.stdout
    assert "packd doctor" in result.stdout
    assert "packd run" not in result.stdout


# --- completion ------------------------------------------------------------------------------------------------------


def completed(ground_or_none: Ground | None, *words: str) -> list[str]:
    """What bash would offer behind these words."""
    env = {
        **os.environ, "_PACKD_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["packd", *words]),
        "COMP_CWORD": str(len(words)),
        "PACKD_SOCKET": str(ground_or_none.socket if ground_or_none else "/none.sock"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "packd"], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    assert not done.stderr
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_packs_and_revisions_complete(ground: Ground) -> None:
    """Commands from the table, packs and revisions from the daemon, options and choices from the command."""
    assert completed(ground, "sh") == ["show"]
    assert completed(ground, "show", "co") == ["core"]
    assert set(completed(ground, "why", "")) == {"core", "inventory", "My Pack"}
    assert set(completed(ground, "rollback", "core", "--to", "")) == {"1", "2"}
    assert completed(ground, "compare", "core", "1") == ["1"]
    assert completed(ground, "tests", "--status", "time") == ["timed_out"]
    assert "--watch" in completed(ground, "status", "--w")


def test_without_a_daemon_nothing_completes_and_nobody_complains() -> None:
    """A TAB never prints an error and never hangs."""
    assert completed(None, "show", "co") == []
    assert completed(None, "sta") == ["status"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_what_the_shells_take(shell: str, tmp_path: Path) -> None:
    """Printed for the shell that is asked for, or the one in use; a shell that is here parses it."""
    printed = CliRunner().invoke(cli, ["completion", shell])
    assert printed.exit_code == 0
    assert printed.stdout.strip() == script(shell)
    assert CliRunner().invoke(cli, ["completion"], env={"SHELL": f"/bin/{shell}"}).stdout == printed.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its parser has not read the script")
    file = tmp_path / "script"
    file.write_text(printed.stdout)
    subprocess.run([shell, "-n", str(file)], check=True, timeout=30)


def test_bash_completes_for_real(ground: Ground, tmp_path: Path) -> None:
    """The script, read by a real bash, offers what the daemon has."""
    (tmp_path / "packd").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m packd "$@"\n')
    (tmp_path / "packd").chmod(0o755)
    lines = [script("bash"), "COMP_WORDS=(packd show co); COMP_CWORD=2; _packd_completion packd co show",
             'printf "%s\\n" "${COMPREPLY[@]}"']  # fmt: skip
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PACKD_SOCKET": str(ground.socket)}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=True, env=env
    )
    assert done.stdout.split() == ["core"]


def test_an_unknown_shell() -> None:
    """Said with those that are known."""
    assert CliRunner().invoke(cli, ["completion", "tcsh"]).exit_code == 2
    unknown = CliRunner().invoke(cli, ["completion"], env={"SHELL": "/bin/tcsh"})
    assert (unknown.exit_code, "bash|zsh|fish" in unknown.stderr) == (2, True)


# --- on a terminal ---------------------------------------------------------------------------------------------------


def on_a_terminal(ground: Ground, *arguments: str, columns: int = 80, until: str | None = None, **environ: str) -> str:
    """What a terminal of so many columns gets; interrupted as by ^C when `until` has been seen."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "PACKD_SOCKET": str(ground.socket), **environ}
    command = [sys.executable, "-m", "packd", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    text = b""
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
            if until is not None and until.encode() in text:
                os.kill(process.pid, 2)
                until = None
    except OSError:  # Linux says so when the last writer has gone
        pass
    finally:
        watchdog.cancel()
        os.close(ours)
        process.wait()
    return text.decode()


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", ["", "list", "status", "why inventory", "history core", "tests core", "tests",
                                     "doctor", "show 'My Pack'", "tests inventory --run latest", "events",
                                     "config show --all", "audit"])  # fmt: skip
def test_lines_fit_the_terminal(ground: Ground, command: str, columns: int) -> None:
    """Sentences are broken between words, tables leave columns out: only a long word may be longer than a line."""
    for line in plain(on_a_terminal(ground, *shlex.split(command), columns=columns)):
        assert_fits(line, columns)


@pytest.fixture
def told() -> Iterator[Ground]:
    """A pack came, was updated and went; two endpoints, one of which answers."""
    with made_ground() as made:
        for name in ("deployment-dashboard", "ci"):
            wish = {"name": name, "url": "http://127.0.0.1:9/hooks/packd/production", "allow_private": True}
            made.client.post("/webhooks/endpoints", {**wish, "types": ["pack.*"]})
        pack = about(made.activate("core", 1))
        with made.registry.write() as tx:
            tx.emit(PackUnregistered(pack=pack, reason="operator", last=None), correlation_id="chg_1")
            tx.emit(PackUpdated(pack=pack, duration_ms=1.0, components={}, tests_skipped=False, forced=False),
                    correlation_id="chg_1")  # fmt: skip
        yield made


@pytest.mark.parametrize("columns", [60, 80])
def test_what_tells_rows_apart_is_whole(told: Ground, columns: int) -> None:
    """Names, types and states in the tables about webhooks: what a narrow terminal has no room for is left out instead."""
    for command, words in {
        "webhook deliveries": ("deployment-dashboard", "pack.unregistered", "pack.updated", "delivered"),
        "webhook list": ("deployment-dashboard", "enabled", "WAITING"),
    }.items():
        lines = plain(on_a_terminal(told, *command.split(), columns=columns))
        assert len(lines) > 2, lines
        assert all(width(line) <= columns for line in lines), lines
        shown = [word for line in lines for word in line.split()]
        assert set(words) <= set(shown), lines


def test_a_scope_is_shown_whole_or_not_at_all(ground: Ground) -> None:
    """What a token may do is not told from half of it."""
    ground.client.post("/tokens", {"name": "monitoring-dashboard", "scopes": ["events:read", "packs:write"]})
    for columns in (60, 80, 120):
        shown = "\n".join(plain(on_a_terminal(ground, "token", "list", columns=columns)))
        assert ("events:read, packs:write" in shown) == ("SCOPES" in shown) == (columns > 60), shown


def assert_fits(line: str, columns: int) -> None:
    room = columns if len(line.split()) > 2 else 200
    assert width(line) <= room, line


WIDE = "日本語テスト"


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    """A pack that warns and fails, with a runner called by wide characters."""
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "pack.yaml").write_text(
        f"ref: pack\nversion: 1.0.0\nlabl: x\ntesting: {{runners: {{{WIDE}: {{type: script, entry_point: t.sh}}}}}}\n"
    )
    (pack / "t.sh").write_text("#!/bin/sh\necho 'Total Tests: 4 / Passed: 3 / Failed: 1'\nexit 1\n")
    return pack


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", ["check", "test"])
def test_lines_about_a_folder_fit_the_terminal(ground: Ground, troubled: Path, command: str, columns: int) -> None:
    """Problems, suites, rules and the verdict do, whatever a runner is called."""
    lines = plain(on_a_terminal(ground, command, str(troubled), columns=columns).rpartition("\x1b[K")[2])
    for line in lines:
        assert_fits(line, columns)
    rules = [width(line) for line in lines if f"_ suite {WIDE} [failures] _" in line]
    assert rules == ([columns] if command == "test" else [])
    assert "'label'?) [manifest.unknown_key]" in " ".join(" ".join(lines).split())


def test_a_long_version_goes_on_below_its_event(ground: Ground) -> None:
    """Nothing of an event begins where the next one does."""
    lines = plain(on_a_terminal(ground, "events", columns=40))
    assert all(line.startswith("    ") and width(line) <= 40 for line in lines), lines
    assert "20260131.0123456789abcdef" in "".join(line.strip() for line in lines)


def test_every_command_tells_the_local_time(ground: Ground) -> None:
    """In Tokyo it is nine hours later than what the API says, whichever command is asked."""
    at = ground.client.get("/packs/core")["data"]["active"]["activated_at"]
    here = (datetime.fromisoformat(at) + timedelta(hours=9)).strftime("%Y-%m-%d %H:%M")
    for command in ("why core", "history core", "audit", "events"):
        shown = "\n".join(plain(on_a_terminal(ground, *command.split(), columns=200, TZ="Asia/Tokyo")))
        assert here in shown, shown


def test_a_narrow_terminal_gets_whole_keys(ground: Ground) -> None:
    """Each key of the configuration stands on a line, its value below it."""
    lines = plain(on_a_terminal(ground, "config", "show", "--here", columns=40, PACKD_TESTS__LIMITS__MEMORY_MB="700"))
    place = lines.index("tests.limits.memory_mb")
    assert lines[place + 1].split() == ["700", "environment"]


def test_colours_on_a_terminal_only_if_they_are_wanted(ground: Ground) -> None:
    """A terminal gets colours, with NO_COLOR none."""
    assert "\x1b[3" in on_a_terminal(ground, "list")
    assert "\x1b[" not in on_a_terminal(ground, "list", NO_COLOR="1")


def test_status_can_be_watched(ground: Ground) -> None:
    """On another screen until it is interrupted, which is no failure; the terminal is as it was afterwards."""
    text = on_a_terminal(ground, "status", "--watch", until="pack.registered")
    assert text.startswith("\x1b[?1049h\x1b[?25l")
    assert text.rstrip().endswith("\x1b[?25h\x1b[?1049l")
    assert "2 active · 1 refused" in "\n".join(plain(text))
    assert "pack.registered" in text


def test_watching_as_json(ground: Ground) -> None:
    """One status a line, for as long as somebody reads."""
    command = [sys.executable, "-m", "packd", "status", "--watch", "--json", "--socket", str(ground.socket)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        ground.say("core")
        second = process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert json.loads(first)["pid"] == json.loads(second)["pid"] == 4242
