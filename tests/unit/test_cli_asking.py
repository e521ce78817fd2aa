"""The commands that ask a daemon: what they print, what they exit with, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from packd.cli.app import cli
from packd.cli.list import remark
from packd.cli.status import print_status
from packd.client import Client
from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Phase
from tests.unit.doors_ground import DIGESTS, Ground, made_ground, report

Packd = Callable[..., Result]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """`core` is in use and its newest content failed, `netops` is on its way, `web` waits, `My Pack` was refused."""
    with made_ground() as made:
        made.activate("core", 1)
        made.add_run("core", 1, report())
        made.activate("core", 2)
        made.fail("core", 3)
        made.activate("inventory", 1)
        made.add_run("inventory", 1, report("inventory"))
        made.add_revision("netops", 1, Phase.VALIDATED)
        made.add_run("netops", 1)
        made.wait("web", 1, {"ref": "vault", "version": ">=2"})
        made.refuse_drop("My Pack")
        made.say("core")
        yield made


@pytest.fixture
def packd(ground: Ground) -> Packd:
    ground.asked.refusal = None
    ground.asked.calls.clear()

    def run(*arguments: str, **environ: str) -> Result:
        return CliRunner().invoke(cli, arguments, env={"PACKD_SOCKET": str(ground.socket), **environ})

    return run


def test_config_show_asks_the_daemon(packd: Packd, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the running one uses, and what its file says by now; --here is what one would use that is started here."""
    monkeypatch.setitem(ground.asked.configuration, "rejected", ["/srv/c.yaml:2:1: there is no setting 'watsh'"])
    shown = packd("config", "show")
    assert shown.stdout.splitlines()[1].split() == ["markers", "all", "flag", "--markers"]
    assert "of the running daemon, pid 4242" in shown.stderr
    assert "the changed file is not used: /srv/c.yaml:2:1" in shown.stderr
    assert "api.socket" in shown.stderr  # which waits for a restart
    running = packd("config", "show", "--json")
    assert json.loads(running.stdout) == ground.client.get("/config")["data"]
    here = packd("config", "show", "--here", "--json", PACKD_MARKERS="none")
    assert {"key": "markers", "value": "none", "origin": "environment PACKD_MARKERS"} in json.loads(here.stdout)
    assert here.stderr == ""
    by_socket = packd("config", "show", "--json", "--socket", str(ground.socket), PACKD_SOCKET="nowhere.sock")
    assert by_socket.stdout == running.stdout


READING = [
    ("status",),
    ("list",),
    ("show", "core"),
    ("why", "inventory"),
    ("history", "core"),
    ("tests", "core"),
    ("tests", "core", "--run", "latest"),
    ("events",),
    ("test", "inventory"),
    ("retry", "core"),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_json_is_what_the_api_gives(ground: Ground, packd: Packd, command: tuple[str, ...]) -> None:
    """With --json stdout is one JSON value and nothing else."""
    result = packd(*command, "--json")
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    same = {
        ("status",): lambda: ground.client.get("/status")["data"],
        ("list",): lambda: list(ground.client.items("/packs")),
        ("show", "core"): lambda: ground.client.get("/packs/core")["data"],
        ("events",): lambda: ground.client.get("/events")["items"],
    }.get(command)
    assert same is None or value == same()


OF_ONE_PACK = (
    "show",
    "why",
    "history",
    "tests",
    "compare",
    "retry",
    "rollback",
    "enable",
    "disable",
    "remove",
    "upgrade",
)


@pytest.mark.parametrize("command", OF_ONE_PACK)
def test_a_path_is_no_ref(packd: Packd, command: str) -> None:
    """Nor is nothing: it is said so, and no address of the API is shown to somebody who did not ask for one."""
    for typed in ("packs/core", "core/", "./packs/core", "../core"):
        result = packd(command, typed)
        said = f"packd: '{typed}' is a path, and a pack is named by its ref; did you mean 'core'?\n"
        assert (result.exit_code, result.stderr) == (1, said)
    assert (packd(command, "").exit_code, "api" in packd(command, "").stderr) == (1, False)
    assert "`packd list`" in packd(command, "..//").stderr


def test_a_path_elsewhere_is_told_what_is_watched(packd: Packd, tmp_path: Path) -> None:
    """Nobody is asked whether he meant a pack that there is not."""
    said = "no pack is called 'thing', and the folder that is watched is /srv/packs"
    nowhere = packd("why", f"{tmp_path}/thing")
    assert (nowhere.exit_code, nowhere.stderr.endswith(f"{said}\n")) == (1, True), nowhere.stderr
    (tmp_path / "thing").mkdir()
    assert packd("why", f"{tmp_path}/thing/").stderr.endswith(
        f"{said}; to take it from there: packd register {tmp_path}/thing/\n"
    )
    assert packd("why", "/srv/packs/My Pack/pack.yaml").stderr.endswith("did you mean 'My Pack'?\n")
    assert packd("why", "x/core", PACKD_SOCKET=str(tmp_path / "nobody")).stderr.endswith("did you mean 'core'?\n")


def test_no_other_name_is_taken_for_a_path_of_the_api(packd: Packd) -> None:
    """Whatever is named."""
    for command in (
        ("tests", "core", "--run", "a/b"),
        ("webhook", "show", ""),
        ("token", "revoke", "a/b"),
        ("test", ""),
    ):
        result = packd(*command)
        assert (result.exit_code, "/api/" in result.stderr, "Traceback" in result.stderr) == (1, False, False)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_pipe_gets_plain_text(packd: Packd, command: tuple[str, ...]) -> None:
    """No colours, no blanks at the end of lines, nothing cut off where nobody looks."""
    result = packd(*command)
    assert result.exit_code == 0, result.output
    assert result.stdout
    assert "\x1b" not in result.stdout
    assert "…" not in result.stdout.replace("looking…", "").replace("  …\n", "")
    assert not [line for line in result.stdout.splitlines() if line != line.rstrip()]


TOO_MANY = "9" * 23  # more than a database can count to
WITH_TOO_MANY = (
    ("rollback", "core", "--to", TOO_MANY),
    ("tests", "--last", TOO_MANY),
    ("events", "--last", TOO_MANY),
    ("webhook", "deliveries", TOO_MANY),
    ("webhook", "deliveries", "--last", TOO_MANY),
    ("webhook", "resend", TOO_MANY),
    ("webhook", "resend", TOO_MANY * 250),
)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("why", "core"), 1),  # its newest content is not what is in use
        (("why", "My Pack"), 1),
        (("why", "inventory"), 0),
        (("show", "cor"), 1),
        (("history", "nobody"), 1),
        (("tests", "core", "--run", "run_x"), 1),
        (("test", "core"), 1),  # the tests failed
        (("test", "inventory"), 0),
        (("list", "--status", "nothing"), 2),
        (("events", "--type", "pack.nonsense"), 2),
        (("events", "--after", "999"), 2),
        (("show",), 2),
        (("show", "core", "--nonsense"), 2),
        (("nonsense",), 2),
        (("events", "--last", "-1"), 2),
        (("rollback", "core", "--to", "0"), 2),
        *((command, 2) for command in WITH_TOO_MANY),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_exit_status(packd: Packd, command: tuple[str, ...], status: int) -> None:
    """0 fine, 1 the answer is no, 2 bad usage or input; a refusal says why, on stderr."""
    result = packd(*command)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["status", "list", "show x", "why x", "history x", "tests x", "test x", "events",
                                     "events -f", "rollback x", "retry x"])  # fmt: skip
def test_no_daemon(packd: Packd, tmp_path: Path, command: str) -> None:
    """Where nobody answers every command exits with 3 and says how to start one."""
    result = packd(*command.split(), "--socket", str(tmp_path / "none.sock"))
    assert result.exit_code == 3
    assert "no packd daemon answers" in result.stderr
    assert "packd run" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize(
    ("code", "status"),
    [(Code.CONFLICT, 1), (Code.NOT_FOUND, 1), (Code.FORBIDDEN, 1), (Code.BAD_REQUEST, 2), (Code.UNAVAILABLE, 3),
     (Code.INTERNAL, 1)],
)  # fmt: skip
def test_a_refusal_of_the_daemon(ground: Ground, packd: Packd, code: Code, status: int) -> None:
    """What the daemon says is printed as it is; its kind decides the exit status."""
    ground.asked.refusal = Failure(code, "the daemon's own words")
    result = packd("retry", "core")
    assert result.exit_code == status
    assert result.stderr == "packd: the daemon's own words\n"


@pytest.mark.parametrize(
    "command", [("search", "core"), ("outdated",), ("upgrade",), ("install", "core")], ids=" ".join
)
def test_a_dead_index_is_no_dead_daemon(ground: Ground, packd: Packd, command: tuple[str, ...]) -> None:
    """Whoever asks for what an index has gets a no for an answer: 3 is kept for a daemon that can't be asked."""
    ground.asked.refusal = Failure(Code.UNAVAILABLE, "no index can be read")
    result = packd(*command)
    assert (result.exit_code, result.stderr) == (1, "packd: no index can be read\n")


def test_a_refusal_is_safe_to_print(ground: Ground, packd: Packd) -> None:
    """Control characters in what a pack made the daemon say do not reach the terminal."""
    ground.asked.refusal = Failure(Code.CONFLICT, "\x1b]0;owned\x07 red \x1b[31m")
    assert "\x1b" not in packd("retry", "core").stderr


def test_list(packd: Packd) -> None:
    """One line a pack, with what needs a look at its end."""
    header, *rows = packd("list").stdout.splitlines()
    assert header.split() == ["PACK", "VERSION", "STATUS", "REVISION", "TESTS", "CHANGED"]
    table = {row.split("  ")[0]: row for row in rows}
    assert table.keys() == {"My Pack", "core", "inventory", "netops", "web"}
    assert table["core"].endswith("#3 failed")
    assert "2/3" in table["core"]
    assert table["My Pack"].endswith("There is no pack.yaml at the top of the pack")
    assert "running" in table["netops"]
    assert table["web"].endswith("waits for vault >=2")


def test_drops_are_told_apart(ground: Ground, packd: Packd) -> None:
    """Where a drop has another name than its pack: in the list, in what is shown of one, and in the command for more."""
    ground.refuse_drop("core copy", ref="core")
    try:
        header, *rows = packd("list").stdout.splitlines()
        assert header.split()[:3] == ["PACK", "DROP", "VERSION"]
        assert [row.split("  ")[0] for row in rows].count("core") == 2
        assert "core       core copy  " in "\n".join(rows)
        assert "packd why 'core copy'" in packd("show", "core copy").stdout
        assert "packd why 'core copy'" in packd().stdout
    finally:
        ground.refuse_drop("core copy", ref="core", gone_at_s=1.0)


@pytest.mark.parametrize(
    ("reason", "said"), [("unavailable", "it could not be tested"), ("failures", "its own tests did not pass")]
)
def test_who_could_not_be_tested_is_not_said_to_have_failed(reason: str, said: str) -> None:
    """As `packd why` tells the two apart."""
    nothing_else = {"active": None, "candidate": None, "problems": []}
    assert remark({"latest": {"phase": "failed"}, "tests": {"reason": reason}, **nothing_else}).text == said


def test_list_is_chosen_from(packd: Packd) -> None:
    """Words and a status choose; nothing chosen says so on stderr and leaves stdout empty."""
    assert [line.split()[0] for line in packd("list", "core", "pack").stdout.splitlines()] == ["PACK", "core"]
    refused = packd("list", "--status", "refused").stdout.splitlines()[1:]
    assert [line.split("  ")[0] for line in refused] == ["My Pack", "core"]
    nothing = packd("list", "--status", "disabled")
    assert (nothing.stdout, nothing.stderr) == ("", "no pack fits\n")
    mistyped = packd("list", "--status", "actve")
    assert mistyped.exit_code == 2
    assert "'active', 'testing', 'waiting'" in mistyped.stderr


def test_show(packd: Packd) -> None:
    """What is in use and what is newest stand side by side."""
    text = packd("show", "core").stdout
    assert text.startswith("core 1.2.0 · active\nThe core pack\n")
    for line in ("in use      #2 1.2.0", "newest      #3 1.3.0", "but         #3 failed: packd why core"):
        assert line in text
    assert "components  1 action, 1 policy" in text


def test_show_a_waiting_pack(packd: Packd) -> None:
    """It says what it needs, what of that it waits for, and where to read more."""
    text = packd("show", "web").stdout
    assert "on its way  #1 waiting\n" in text
    assert "needs       vault >=2, core, Python >=3.9\n" in text
    assert "but         waits for vault >=2: packd why web\n" in text


def test_show_a_refused_drop(packd: Packd) -> None:
    """A drop that never became a pack is shown by its name, with its problems and a command that can be pasted."""
    text = packd("show", "My Pack").stdout
    assert "error: There is no pack.yaml at the top of the pack [manifest.missing]" in text
    assert "packd why 'My Pack'" in text


def test_history(packd: Packd) -> None:
    """Revisions first, then what was in use when."""
    text = packd("history", "core").stdout
    revisions, activations = text.split("\nIn use\n")
    assert [line.split()[:3] for line in revisions.splitlines()[1:]] == [
        ["#3", "1.3.0", "failed"],
        ["#2", "1.2.0", "active"],
        ["#1", "1.1.0", "superseded"],
    ]
    assert "now               #2        #1          updated     watch" in activations
    assert "nothing of it is in use" not in text
    assert packd("history", "netops").stdout.endswith("nothing of it is in use: packd why netops\n")


def test_a_failing_run_reads_like_pytest(packd: Packd) -> None:
    """Suites, then each failure with its output, then a short summary and one line."""
    text = packd("test", "core").stdout
    for piece in ("python (unittest) failed: 1 failed, 1 passed, 1 skipped", " FAILURES ", "AssertionError: 'a' != 'b'",
                  "captured stdout", "looking…", "FAILED python: test_gone - AssertionError: 'a' != 'b'",
                  " 1 failed, 2 passed, 1 skipped in 17 ms ", "not accepted: 1 of 3 tests failed"):  # fmt: skip
        assert piece in text, piece
    assert "✓" not in text
    verbose = packd("test", "core", "--verbose").stdout
    assert verbose.count("test_there") == 1
    assert "✓ python: test_there" in verbose


@pytest.mark.parametrize("command", [("test", "core"), ("tests", "core", "--run", "latest"), ("why", "core")])
def test_what_a_run_left_open_and_did_not_get_is_said_once(packd: Packd, command: tuple[str, ...]) -> None:
    """Whatever its outcome: what the isolation does not contain, and the network that was asked for and denied."""
    lines = [line.strip() for line in packd(*command).stdout.splitlines()]
    assert lines.count("isolation: basic, but prlimit is missing: memory is not limited; nothing is hidden") == 1
    assert lines.count("suite shell: its `network: true` did not count, because tests.network is deny") == 1


def test_asking_for_one_suite(ground: Ground, packd: Packd) -> None:
    """--runner goes to the daemon, which knows that the command line asks."""
    packd("test", "core", "--runner", "shell")
    assert ground.asked.calls[0][2] | {"actor": ""} == {
        "runner": "shell",
        "rebuild": False,
        "actor": "",
        "source": "cli",
    }


def test_the_run_that_was_followed_is_shown(ground: Ground, packd: Packd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another one has begun when it ends, and so is the newest."""
    ground.add_revision("retested", 1)
    run = ground.add_run("retested", 1, report("retested"))
    follow = Client.follow_run

    def and_another_one_begins(self: Client, ref: str, run_id: str, **listening: Any) -> dict[str, Any]:
        ended = follow(self, ref, run_id, **listening)
        ground.add_run("retested", 1)
        return ended

    monkeypatch.setattr(Client, "follow_run", and_another_one_begins)
    assert json.loads(packd("tests", "retested", "--follow", "--json").stdout)["id"] == run.id


def test_junit(packd: Packd, tmp_path: Path) -> None:
    """--junit writes what CI systems read; the exit status is that of the tests."""
    from junitparser import JUnitXml

    assert packd("test", "core", "--junit", str(tmp_path / "report.xml")).exit_code == 1
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(tmp_path / "report.xml"))}
    assert (suites["python"].tests, suites["python"].failures, suites["python"].skipped) == (3, 1, 1)
    assert packd("test", "inventory", "--junit", str(tmp_path)).exit_code == 2


def test_junit_of_a_run_that_came_to_no_suite(tmp_path: Path) -> None:
    """It does not look as if nothing were wrong."""
    from junitparser import JUnitXml

    from packd.cli.junit import write

    stopped = {"status": "error", "detail": "newer content arrived", "test_suites": [], "duration_ms": 0.0}
    counts = {"total_tests": 0, "passed": 0, "failed": 0, "skipped": 0}
    write({"pack_ref": "core", **stopped, **counts}, tmp_path / "report.xml")
    ((case,),) = JUnitXml.fromfile(str(tmp_path / "report.xml"))
    assert [told.message for told in case.result] == ["newer content arrived"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("c.yaml", "c.yaml is neither a folder nor an archive that packd unpacks (.tar.gz"),
        ("it/pack.yaml", "it/pack.yaml is only a part of a pack: give its folder, it"),
    ],
)
def test_registering_a_file(
    packd: Packd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    """It is there, so it is not said that it is not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it").mkdir()
    (tmp_path / name).touch()
    result = packd("register", name)
    assert (result.exit_code, result.stderr.startswith(f"packd: {said}")) == (2, True), result.stderr


def test_a_folder_of_the_same_name(packd: Packd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is a ref wherever one stands; if there is only a folder, one is told how to mean it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    result = packd("test", "mine", "--socket", str(tmp_path / "none.sock"))
    assert result.exit_code == 3
    assert "packd test ./mine" in result.stderr


def test_events(packd: Packd) -> None:
    """One line an event with what one wants to know of it; --last and --after say how many."""
    lines = packd("events").stdout.splitlines()
    assert len(lines) == 4
    assert lines[-1].split()[0] == "4"
    assert lines[-1].endswith("core          #1 1.0.0 · 1 of 2 passed · failures · in 5 ms")
    assert len(packd("events", "--last", "2").stdout.splitlines()) == 2
    assert len(packd("events", "--after", "1").stdout.splitlines()) == 3
    assert len(packd("events", "--type", "pack.registered", "--last", "1").stdout.splitlines()) == 1
    assert packd("events", "--last", "0").stdout == ""
    assert len(packd("events", "--pack", "inv*").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("in_the_event", "said"),
    [(3, "#3 1.0.0 · operator · #2 stays in use"), (2, "#3 1.0.0 · operator · #2 is in use again")],
)
def test_a_rollback_names_what_was_rolled_back(
    capsys: pytest.CaptureFixture[str], in_the_event: int, said: str
) -> None:
    """A candidate that never was in use, or one that was; and what is in use by now."""
    from packd.cli.events import print_event

    gone, back = ({"version": "1.0.0", "revision": number, "digest": DIGESTS[number]} for number in (3, 2))
    data = {"pack": {"ref": "core", "version": "1.0.0", "revision": in_the_event}, "reason": "operator", "failed": gone,
            "restored": back}  # fmt: skip
    print_event(
        {
            "seq": 1,
            "timestamp": "2026-01-31T08:05:09Z",
            "type": "pack.rolled_back",
            "subject": "packs/core",
            "data": data,
        }
    )
    assert said in capsys.readouterr().out


def test_following_prints_one_event_a_line(ground: Ground, monkeypatch: pytest.MonkeyPatch, packd: Packd) -> None:
    """--follow goes on behind what is there, without a gap; interrupted it ends well."""

    def interrupted(self: Client, **asked: Any) -> Iterator[dict[str, Any]]:
        assert asked["after"] == 4
        yield {**ground.client.get("/events", after=3)["items"][0], "seq": 5}
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "follow", interrupted)
    result = packd("events", "--follow", "--last", "2", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == [3, 4, 5]


def test_an_interrupted_run_goes_on(packd: Packd, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the daemon's, so whoever stops waiting for it is told how to see its end."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "post_live", interrupted)
    result = packd("test", "core")
    assert result.exit_code == 130
    assert "goes on in the daemon" in result.stderr
    assert "packd tests core --follow" in result.stderr


def test_status(ground: Ground, packd: Packd) -> None:
    """What it watches, how the packs are, what it is at, who is told; trouble is named."""
    text = packd("status").stdout
    for piece in ("packd 0.1.0 · pid 4242 · up ", "2 active · 1 refused",
                  "packd list --status refused shows which", "/srv/packs (7 folders)", "testing core",
                  "1 drop settling", "basic, of packs' tests", "/var/lib/packd", "connection refused"):  # fmt: skip
        assert piece in text, piece
    ground.asked.troubles.append("root_missing")
    try:
        text = packd("status").stdout
        assert "degraded: the packs directory is away; meanwhile nothing counts as removed" in " ".join(text.split())
        assert "disk root_missing is nearly full: make room" in " ".join(text.split())
        assert "configuration changed, and needs a restart to be heard: api.socket" in " ".join(text.split())
    finally:
        ground.asked.troubles.clear()


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ({"settling": 0, "jobs": 0, "testing": []}, "idle"),
        ({"settling": 1, "jobs": 1, "testing": ["core"]}, "testing core · 1 drop settling"),
        ({"settling": 0, "jobs": 846, "testing": []}, "846 jobs to do"),
        ({"settling": 0, "jobs": 3, "testing": ["core", "web"]}, "testing core, web · 1 job to do"),
    ],
)
def test_only_who_has_nothing_to_do_is_idle(ground: Ground, queue: dict[str, Any], said: str) -> None:
    """As when a thousand packs are read that need no tests."""
    with redirect_stdout(StringIO()) as shown:
        print_status({**ground.client.get("/status")["data"], "queue": queue})
    (work,) = [line for line in shown.getvalue().splitlines() if line.startswith("work")]
    assert work.removeprefix("work").strip() == said


def test_status_names_what_is_left_alone(ground: Ground, packd: Packd) -> None:
    """The first few, and how many more there are."""
    ground.asked.left_alone = [{"name": f"{number}.rar", "why": "is an archive of another sort"} for number in range(7)]
    try:
        text = " ".join(packd("status").stdout.split())
    finally:
        ground.asked.left_alone = []
    assert text.count("is an archive of another sort") == 5
    assert "left alone '0.rar' is an archive of another sort left" in text
    assert "left alone and 2 more: packd status --json has them all " in text


def test_rollback_and_retry_say_what_follows(ground: Ground, packd: Packd) -> None:
    """A change says what it did and how to go on from there; `retry` is named where it takes what was withdrawn."""
    retried = packd("retry", "core").stdout
    assert retried.startswith("core#3 is being tried again\n")
    assert retried.endswith("packd events --follow --pack core, or packd why core\n")
    read_again = packd("retry", "--", "-My Pack").stdout  # it may be another pack by now
    assert read_again.endswith("packd events --follow, or packd why -- '-My Pack'\n")
    rolled = packd("rollback", "core").stdout.splitlines()
    assert rolled == [
        "core#2 was rolled back; core#1 is in use",
        "what was dropped after it is not in use either: packd why core",
    ]
    for ref, number in (("moved", 1), ("moved", 2), ("unreadable", 1), ("unreadable", 2)):
        ground.activate(ref, number)
    ground.refuse_drop("unreadable", ref="unreadable")
    assert packd("rollback", "moved").stdout.endswith("\nto try the withdrawn content again: packd retry moved\n")
    assert packd("rollback", "unreadable").stdout.endswith("packd why unreadable\n")
    for number in (1, 2):
        ground.activate("forward", number)
    assert packd("rollback", "forward", "--to", "3").stdout == (
        "forward#2 was superseded; forward#1 is in use\nto go back again: packd rollback forward --to 2\n"
    )


def test_the_socket_before_the_command(ground: Ground, tmp_path: Path) -> None:
    """`packd --socket X list` and `packd list --socket X` mean the same; the latter wins."""
    before = CliRunner().invoke(cli, ["--socket", str(ground.socket), "list"], env={"PACKD_SOCKET": "/none"})
    assert before.exit_code == 0
    both = CliRunner().invoke(cli, ["--socket", "/none", "list", "--socket", str(ground.socket)])
    assert both.exit_code == 0
    state = CliRunner().invoke(cli, ["list", "--state-dir", str(ground.folder)], env={"PACKD_SOCKET": None})
    assert state.exit_code == 0


def test_tokens(packd: Packd) -> None:
    """Made once, alone on stdout; listed without its text; revoked by its name."""
    made = packd("token", "create", "ci", "--scope", "packs:read", "--scope", "events:read")
    assert made.exit_code == 0, made.output
    (text,) = made.stdout.split()
    assert text.startswith("pkd_")
    assert "can't be shown again" in made.stderr
    assert packd("token", "create", "ci", "--scope", "packs:read").exit_code == 1
    assert packd("token", "create", "Not A Name", "--scope", "packs:read").exit_code == 2
    assert packd("token", "create", "x", "--scope", "everything").exit_code == 2
    assert packd("token", "create", "x").exit_code == 2
    forever = json.loads(packd("token", "create", "keep", "--scope", "admin", "--never-expires", "--json").stdout)
    assert forever["expires_at"] is None
    listed = packd("token", "list").stdout
    assert text not in listed
    assert {row.split()[0] for row in listed.splitlines()} == {"NAME", "ci", "keep"}
    assert packd("token", "revoke", "ci").exit_code == 0
    assert "revoked" in packd("token", "list").stdout
    assert packd("token", "revoke", "nobody").exit_code == 1
