"""Settings: who wins, what is refused and with which words, and what is told of where a value came from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from packd.config import BadConfig, Settings, check_layout, effective, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
HOME = {"HOME": "/home/ada"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that is not that of the file."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    file = folder / "packd.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


def of(text: str, folder: Path, environ: Mapping[str, str] = HOME, **flags: Any) -> Settings:
    return load(written(folder, text), environ, flags)


def refused(file: Path | None, environ: Mapping[str, str] = HOME, flags: Mapping[str, Any] | None = None) -> list[str]:
    with pytest.raises(BadConfig) as failure:
        load(file, environ, flags or {})
    assert all(problem.code for problem in failure.value.problems)
    return [str(problem).removeprefix(f"{file}:" if file else "") for problem in failure.value.problems]


def origins(settings: Settings) -> dict[str, str]:
    return {key: origin for key, _, origin in effective(settings)}


def test_nothing_needs_to_be_said(folder: Path) -> None:
    """Without file, variables and flags there are defaults for everything."""
    settings = load(None, HOME, {})
    assert settings.packs_dir == folder / "here" / "packs"
    assert str(settings.state_dir) == "/home/ada/.local/state/packd"
    assert settings.socket_path == settings.state_dir / "packd.sock"
    assert settings.watch.quiet_ms == 500
    assert settings.warnings == ()
    assert set(origins(settings).values()) == {"default"}


def test_flags_beat_environment_beats_file_beats_defaults(folder: Path) -> None:
    """The stronger place wins key by key, and each value knows which it was."""
    file = written(folder, "watch:\n  quiet_ms: 1\n  remove_grace_s: 1\n  longest_wait_s: 10\nmarkers: all\n")
    environ = HOME | {"PACKD_WATCH__REMOVE_GRACE_S": "2.5", "PACKD_WATCH__LONGEST_WAIT_S": "20"}
    settings = load(file, environ, {"watch.longest_wait_s": 30, "packs_dir": "elsewhere", "log.level": None})
    assert (settings.watch.quiet_ms, settings.watch.remove_grace_s, settings.watch.longest_wait_s) == (1, 2.5, 30)
    told = origins(settings)
    assert told["watch.quiet_ms"] == f"{file}:2"
    assert told["watch.remove_grace_s"] == "environment PACKD_WATCH__REMOVE_GRACE_S"
    assert told["watch.longest_wait_s"] == "flag --longest-wait-s"
    assert told["packs_dir"] == "flag PACKS_DIR"
    assert told["markers"] == f"{file}:5"
    assert told["log.level"] == "default"


def test_relative_paths_start_where_they_are_written(folder: Path) -> None:
    """In a file: its folder; in variables and flags: the working directory; `~`: the home folder."""
    settings = of("packs_dir: drop/../drop\n", folder, HOME | {"PACKD_STATE_DIR": "~/s"}, **{"api.socket": "x.sock"})
    assert settings.packs_dir == folder / "drop"
    assert str(settings.state_dir) == "/home/ada/s"
    assert settings.socket_path == folder / "here" / "x.sock"


@pytest.mark.parametrize(
    ("environ", "flags", "state", "origin"),
    [
        ({}, {}, "/home/ada/.local/state/packd", "default"),
        ({"XDG_STATE_HOME": "/xdg"}, {}, "/xdg/packd", "environment XDG_STATE_HOME"),
        ({"XDG_STATE_HOME": "relative"}, {}, "/home/ada/.local/state/packd", "default"),
        ({"STATE_DIRECTORY": "/var/a:/var/b", "XDG_STATE_HOME": "/x"}, {}, "/var/a", "environment STATE_DIRECTORY"),
        ({"STATE_DIRECTORY": "/a", "PACKD_STATE_DIR": "/b"}, {}, "/b", "environment PACKD_STATE_DIR"),
        ({"STATE_DIRECTORY": "/a", "PACKD_STATE_DIR": "/b"}, {"state_dir": "/c"}, "/c", "flag --state-dir"),
    ],
)
def test_where_the_state_is_kept(
    folder: Path, environ: dict[str, str], flags: dict[str, Any], state: str, origin: str
) -> None:
    """What is said of it wins over what systemd gives, and that over the XDG base directories."""
    settings = load(None, HOME | environ, flags)
    assert (str(settings.state_dir), origins(settings)["state_dir"]) == (state, origin)


def test_where_the_socket_is(folder: Path) -> None:
    """$PACKD_SOCKET wins over systemd's runtime folder, its long name over both, and a file over the folder too."""
    runtime = HOME | {"RUNTIME_DIRECTORY": "/run/packd"}
    assert str(load(None, runtime, {}).socket_path) == "/run/packd/packd.sock"
    assert str(of("api: {socket: /a}", folder, runtime).socket_path) == "/a"
    assert str(of("api: {socket: /a}", folder, runtime | {"PACKD_SOCKET": "/b"}).socket_path) == "/b"
    both = runtime | {"PACKD_SOCKET": "/b", "PACKD_API__SOCKET": "/c"}
    assert str(load(None, both, {}).socket_path) == "/c"


def test_a_socket_path_that_no_socket_can_have(folder: Path) -> None:
    """More bytes than a Unix socket's address takes are refused here rather than when it is bound."""
    (problem,) = refused(None, HOME, {"state_dir": "/" + "x" * 120})
    assert problem.startswith("flag --state-dir: the path of the socket has 132 bytes")


def test_the_file_can_be_named_by_a_variable(folder: Path) -> None:
    """$PACKD_CONFIG is the file when no flag names one."""
    file = written(folder, "markers: all")
    assert load(None, HOME | {"PACKD_CONFIG": str(file)}, {}).markers == "all"


def test_null_and_empty_say_nothing(folder: Path) -> None:
    """A section whose lines are all commented out, a null and an empty variable leave the default."""
    text = "watch:\ntests:\n  workers: null\n  limits:\nmarkers: null\nwebhooks:\n"
    settings = of(text, folder, HOME | {"PACKD_LOG__LEVEL": ""})
    assert settings.model_dump() == load(None, HOME, {}).model_dump() | {"packs_dir": folder / "here" / "packs"}


@pytest.mark.parametrize("text", ["*.bak,node_modules", " *.bak , node_modules ,", '["*.bak", "node_modules"]'])
def test_lists_in_variables(folder: Path, text: str) -> None:
    """A list is written with commas or as YAML or JSON."""
    assert load(None, HOME | {"PACKD_WATCH__IGNORE": text}, {}).watch.ignore == ("*.bak", "node_modules")


def test_every_problem_is_listed_with_its_place(folder: Path) -> None:
    """One look shows all that is wrong, in the order of the file, with what was probably meant."""
    file = written(
        folder,
        "wach: {}\n"
        "watch:\n"
        "  quite_ms: 1\n"
        "  quiet_ms: soon\n"
        "  longest_wait_s: yes\n"
        "  remove_grace_s: -1\n"
        "workers: 2\n"
        "tests:\n"
        "  isolation: bwarp\n"
        "  python: 3.11\n"
        "  required: perhaps\n"
        "  limits: {memory_mb: 0, cpu: 3}\n"
        "markers: no\n"
        "log: info\n"
        "sources: {allow: [1, '']}\n"
        "log:\n"
        "  level: info\n",
    )
    assert refused(file) == [
        "1:1: there is no setting 'wach' (did you mean 'watch'?)",
        "3:3: there is no setting 'quite_ms' under watch (did you mean 'quiet_ms'?)",
        "4:13: watch.quiet_ms must be a whole number, not 'soon'",
        "5:19: watch.longest_wait_s must be a number, not true",
        "6:19: watch.remove_grace_s must be at least 0",
        "7:1: there is no setting 'workers' (did you mean 'tests.workers'?)",
        "9:14: tests.isolation must be auto, bwrap or basic, not 'bwarp' (did you mean 'bwrap'?)",
        "10:11: tests.python must be a path (in quotes when it looks like a number)",
        "11:13: tests.required must be true or false, not 'perhaps'",
        "12:23: tests.limits.memory_mb must be at least 1",
        "12:26: there is no setting 'cpu' under tests.limits (did you mean 'cpu_s'?)",
        "13:10: markers must be failed, all or none, not false",
        "14:6: log must be a mapping of keys to values, not 'info'",
        "15:19: sources.allow.0 must be text (in quotes when it looks like something else), not 1",
        "15:22: sources.allow.1 must not be empty",
        "16:1: The key 'log' is given twice; the first one is in line 14",
    ]


def test_variables_and_flags_are_problems_by_their_names(folder: Path) -> None:
    """What is wrong outside the file is listed with it, under the name of the variable or flag."""
    file = written(folder, "markers: some\n")
    environ = HOME | {
        "PACKD_TEST__WORKERS": "2",
        "PACKD_TESTS__WORKERS": "x",
        "PACKDX": "1",
        "PACKD_WATCH__IGNORE": "a/b",
    }
    assert refused(file, environ, {"api.listen": "8080", "log.levle": "info"}) == [
        "1:10: markers must be failed, all or none, not 'some'",
        "PACKD_TESTS__WORKERS: tests.workers must be a whole number, not 'x'",
        "PACKD_TEST__WORKERS: there is no setting of this name; unset it or correct it, `packd config show` lists all "
        "settings (did you mean 'PACKD_TESTS__WORKERS'?)",
        "PACKD_WATCH__IGNORE: watch.ignore.0 must be a bare name or a pattern such as '*.bak'; "
        "paths belong into the pack's .packdignore",
        "--levle: there is no setting 'levle' under log (did you mean 'level'?)",
        "--listen: api.listen must be HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080",
    ]


def test_what_suites_are_told_is_no_mistake(folder: Path) -> None:
    """The tests of a pack may call packd: the variables that it gives them are known."""
    told = ("PACK_REF", "PACK_VERSION", "PACK_DIR", "RUN_ID", "WORK")
    assert load(None, HOME | {f"PACKD_{name}": "x" for name in told}, {}).markers == "failed"


def test_the_secret_of_a_receiver_is_no_mistake(folder: Path) -> None:
    """Who exports it for `packd webhook verify` can go on with `packd check`, in the same shell."""
    assert load(None, HOME | {"PACKD_WEBHOOK_SECRET": SECRET}, {}).markers == "failed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("delivery: {schedule_s: []}", "1:24: delivery.schedule_s must not be empty"),
        (f"delivery: {{schedule_s: {[0] * 101}}}", "1:24: delivery.schedule_s must have at most 100 items"),
        ("tests: {index_url: ''}", "1:20: tests.index_url must not be empty"),
    ],
)
def test_how_much_there_must_be(folder: Path, text: str, said: str) -> None:
    """Too little and too much are told in the same words as any other mistake."""
    assert refused(written(folder, text)) == [said]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("database_url: postgresql+psycopg://ada:hunter2@db/packd", 1),
        ("tests: {proxy: 'http://ada:hunter2@proxy'}", 1),
        ("sources: {indexes: ['https://packs.example/i.json?token=hunter2']}", 1),
        ("database_url: postgresql+psycopg://ada@db/packd", 0),
    ],
)
def test_passwords_that_everybody_can_read(folder: Path, text: str, warned: int) -> None:
    """Whatever `config show` stars out is a secret, and a file that everybody can read is no place for it."""
    file = written(folder, text)
    file.chmod(0o644)
    warnings = load(file, HOME, {}).warnings
    assert [warning.code for warning in warnings] == ["config.secret_exposed"] * warned
    assert "hunter2" not in str(warnings)


def test_values_that_are_wrong_only_together(folder: Path) -> None:
    """When the file and a variable contradict each other, both are named."""
    file = written(folder, "watch:\n  quiet_ms: 5000\n")
    (problem,) = refused(file, HOME | {"PACKD_WATCH__LONGEST_WAIT_S": "1"})
    assert problem.startswith("2 and environment PACKD_WATCH__LONGEST_WAIT_S: longest_wait_s (1 s) is shorter than")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("packs_dir: [", "2:1: This is not valid YAML"),
        ("packs_dir: \x07", "1:12: The character U+0007"),
        ("- a\n", "1:1: must be a mapping"),
        ("just words\n", "1:1: must be a mapping"),
    ],
)
def test_a_file_that_is_no_configuration(folder: Path, text: str, said: str) -> None:
    """What cannot be read as YAML or is no mapping is one problem with its place."""
    assert any(problem.startswith(said) for problem in refused(written(folder, text)))


def test_a_file_that_cannot_be_read(folder: Path) -> None:
    """No file and a folder in its place are problems in words."""
    assert refused(folder / "none.yaml") == [
        " can't be read: No such file or directory; give another configuration file"
    ]
    assert "Is a directory" in refused(folder)[0]


def test_the_interpreter_for_tests(folder: Path) -> None:
    """A bare name is looked up on PATH, links are kept, and what cannot be run is refused."""
    (folder / "bin").mkdir()
    os.symlink("/bin/sh", folder / "bin" / "python9")
    assert of("tests: {python: python9}", folder, HOME | {"PATH": f"{folder}/bin"}).tests.python == (
        folder / "bin" / "python9"
    )
    assert of("tests: {python: bin/python9}", folder).tests.python == folder / "bin" / "python9"
    assert (
        "no program 'python9' on PATH" in refused(written(folder, "tests: {python: python9}"), HOME | {"PATH": ""})[0]
    )
    assert "is no program" in refused(written(folder, "tests: {python: ./packd.yaml}"))[0]


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "[::1]:0", "packd.example:65535"])
def test_addresses_to_listen_on(folder: Path, address: str) -> None:
    """A host and a port, an IPv6 host in brackets."""
    assert load(None, HOME, {"api.listen": address}).api.listen == address


@pytest.mark.parametrize("address", ["8080", ":8080", "::1:80", "a:65536", "a:x", "a:", "[::1]", "a:٣"])
def test_addresses_nobody_can_listen_on(folder: Path, address: str) -> None:
    """Everything else is refused with an example."""
    assert "must be HOST:PORT" in refused(None, HOME, {"api.listen": address})[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ada:hunter2@db.example:hunter2/x", "has a port that is no number from 1 to 65535"),
        ("postgresql://ada:hunter2@db.example:99999/x", "has a port that is no number from 1 to 65535"),
        ("postgresql://ada:hun@hunter2@db.example/x", "must have each @ in its user and password written as %40"),
        ("postgres://ada:hunter2@db.example/x", "must be as in postgresql+psycopg://USER:PASSWORD@HOST/NAME; null: "),
        ("mysql://ada:hunter2@db.example/x", "must be as in postgresql+psycopg://"),
        ("sqlite://", "must be as in postgresql+psycopg://"),
        ("hunter2", "must be as in postgresql+psycopg://"),
    ],
)
def test_databases_that_cannot_be(folder: Path, url: str, said: str) -> None:
    """Found before a daemon would start, at their place, whoever names them; the address is not repeated."""
    (folder / "database_url").write_text(url)
    for problem, place in (
        *((one, "2:15: database_url ") for one in refused(written(folder, f"markers: all\ndatabase_url: {url}\n"))),
        *((one, "credential database_url: ") for one in refused(None, HOME | {"CREDENTIALS_DIRECTORY": str(folder)})),
    ):
        assert problem.startswith(place + said)
        assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hun/ter%402@db.example:5432/x?sslmode=require",
        "postgresql+psycopg://postgres@/x?host=/run/postgresql",
        "postgresql://[::1]:5432/x",
        "postgresql:///x?host=a:1&host=b:2",
        "sqlite:////srv/packd.db",
    ],
)
def test_databases_that_can_be(folder: Path, url: str) -> None:
    """Every form that SQLAlchemy reads."""
    named = of(f"database_url: {url}\n", folder).database_url
    assert named is not None
    assert named.get_secret_value() == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: {workers: 20000}", "tests.workers must be at most 1024"),
        ("tests: {grace_s: 1000000}", "tests.grace_s must be at most 3600"),
        ("tests: {limits: {output_kb: 1000000}}", "tests.limits.output_kb must be at most 102400"),
        ("api: {body_kb: 1000000}", "api.body_kb must be at most 102400"),
        ("retention: {events_days: 1000000}", "retention.events_days must be at most 36500"),
        ("retention: {reports_days: 1000000}", "retention.reports_days must be at most 36500"),
        ("retention: {failed_hours: 1000000}", "retention.failed_hours must be at most 876000"),
        ("watch: {quiet_ms: 10000000000}", "watch.quiet_ms must be at most 1000000000"),
        ("watch: {reconcile_every_s: 0.000001}", "watch.reconcile_every_s must be at least 1"),
    ],
)
def test_numbers_that_no_daemon_could_work_with(folder: Path, text: str, said: str) -> None:
    """Each has a bound, which is said."""
    (problem,) = refused(written(folder, text))
    assert problem.endswith(said)


def test_without_any_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home must say where the state is kept; once it is said, the home is not asked for."""

    def nobody() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr("pathlib.Path.home", nobody)
    assert refused(None, {}) == [
        "state_dir: the home folder is not known: set HOME, or write the path without ~, or give --state-dir"
    ]
    assert str(load(None, {}, {"state_dir": "/s"}).state_dir) == "/s"


@pytest.mark.parametrize(
    ("packs", "state", "said"),
    [
        ("p", "p", "the packs directory {0}/p is packd's own {0}/p"),
        ("p", "p/state", "the state directory {0}/p/state lies in the packs directory {0}/p"),
        ("p", "p/core/deep/.state", "lies in the packs directory"),
        ("link", "p/state", "the state directory {0}/p/state lies in the packs directory {0}/link"),
        ("p", "link/state", "the state directory {0}/link/state lies in the packs directory {0}/p"),
        ("s/store", "s", "the packs directory {0}/s/store is packd's own {0}/s/store"),
        ("s/work/p", "s", "the packs directory {0}/s/work/p lies in packd's own {0}/s/work"),
    ],
)
def test_packs_and_state_are_kept_apart(folder: Path, packs: str, state: str, said: str) -> None:
    """Both are named, with the way out; links are followed, and nothing needs to be there yet."""
    (folder / "link").symlink_to("p")
    settings = of("", folder, packs_dir=str(folder / packs), state_dir=str(folder / state))
    with pytest.raises(BadConfig) as refusal:
        check_layout(settings)
    assert said.format(folder) in refusal.value.sentence
    assert "flag PACKS_DIR and flag --state-dir: " in refusal.value.sentence
    assert "keep them apart, by --state-dir or by another PACKS_DIR" in refusal.value.sentence


@pytest.mark.parametrize(
    ("packs", "state"), [("s/packs", "s"), ("p", "s"), ("home", "home/.local/state/packd"), ("p", "p2")]
)
def test_packs_that_are_in_nobodys_way(folder: Path, packs: str, state: str) -> None:
    """As the service is packaged, side by side, and where packd never looks for packs."""
    check_layout(of("", folder, packs_dir=str(folder / packs), state_dir=str(folder / state)))


def test_the_default_layout_is_accepted(folder: Path) -> None:
    """Without file, variables and flags."""
    check_layout(load(None, HOME, {}))


def test_settings_cannot_be_changed(folder: Path) -> None:
    """What was loaded stays as it is."""
    settings = load(None, HOME, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.watch.quiet_ms = 3  # type: ignore[misc]
