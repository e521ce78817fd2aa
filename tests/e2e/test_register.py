"""Registering through the API of the real daemon: the whole matrix, and what it means beside what is dropped."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from packs import write_pack

from packd import __version__
from packd.client import Client
from packd.domain.failures import HTTP_STATUS, Failure

FAILING = 'echo "Total Tests: 3"; echo "Passed: 2"; echo "Failed: 1"; exit 1'
NO_TESTING = "No testing configuration found in pack.yaml for pack '{ref}'"
DISABLED = "Testing is disabled for pack '{ref}'"
EXISTS = "Pack '{ref}' already exists. Use force=true to reinstall."
FAILED = "Pack registration failed: tests did not pass. Use force=true to register anyway."


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for everything here that needs no settings of its own."""
    daemon = Daemon(tmp_path_factory.mktemp("register"))
    daemon.start()
    yield daemon
    assert daemon.stop() == 0


def pack(folder: Path, ref: str, *, tests: str = "pass", version: str = "1.0.0", mark: str = "") -> Path:
    """A pack whose tests pass, fail, are missing or disabled; `mark` makes its content another one."""
    where = write_pack(folder, ref, version, test=FAILING if tests == "fail" else f"exit 0 # {mark}")
    manifest = (where / "pack.yaml").read_text()
    if tests == "missing":
        (where / "pack.yaml").write_text(manifest.partition("testing:")[0])
    elif tests == "disabled":
        (where / "pack.yaml").write_text(manifest.replace("testing:\n", "testing:\n  enabled: false\n"))
    return where


def register(daemon: Daemon, path: Path, **wish: bool) -> tuple[int, dict[str, Any]]:
    """The status and the body, of a refusal too."""
    client = Client(daemon.socket)
    try:
        return 201, client.post("/packs/register", {"path": str(path), **wish})
    except Failure as refusal:
        return HTTP_STATUS[refusal.code], {"error": refusal.sentence, **refusal.members}


@dataclass(frozen=True)
class Row:
    exists: bool
    replace: bool
    force: bool
    skip_tests: bool
    tests: str  # pass, fail, missing, disabled

    @property
    def ref(self) -> str:
        flags = "".join("ny"[flag] for flag in (self.exists, self.replace, self.force, self.skip_tests))
        return f"m_{flags}_{self.tests}"

    def expected(self) -> tuple[int, str]:
        """The status, and how the error begins."""
        if self.exists and not (self.replace or self.force):
            return 409, EXISTS
        if self.skip_tests or self.tests == "pass":
            return 201, ""
        if self.tests == "fail":
            return (201, "") if self.force else (400, FAILED)
        return 400, NO_TESTING if self.tests == "missing" else DISABLED


ROWS = [
    Row(*row)
    for row in product(
        (False, True), (False, True), (False, True), (False, True), ("pass", "fail", "missing", "disabled")
    )
]


def test_the_register_matrix(running: Daemon, tmp_path: Path) -> None:
    """exists × replace × force × skip_tests × tests: status, sentence, what is in use then, and what is recorded."""

    def check(row: Row) -> list[str]:
        if row.exists:
            assert register(running, pack(tmp_path / row.ref / "old", row.ref))[0] == 201
        new = pack(tmp_path / row.ref / "new", row.ref, tests=row.tests, version="2.0.0")
        flags = {"replace": row.replace, "force": row.force, "skip_tests": row.skip_tests}
        status, answer = register(running, new, **flags)
        wanted, sentence = row.expected()
        wrong = []
        if status != wanted or not answer.get("error", "").startswith(sentence.format(ref=row.ref)):
            wrong.append(f"{row}: {status} {answer}")
        shown = _show(running, row.ref)
        in_use = shown["active"]["version"] if shown and shown["active"] else None
        if in_use != ("2.0.0" if wanted == 201 else "1.0.0" if row.exists else None):
            wrong.append(f"{row}: {in_use} is in use")
        if status == 201 and wanted == 201:
            wrong += _wrong_record(row, answer["data"])
        return wrong

    with ThreadPoolExecutor(4) as pool:
        wrong = [one for found in pool.map(check, ROWS) for one in found]
    assert not wrong, "\n".join(wrong)


def _wrong_record(row: Row, data: dict[str, Any]) -> list[str]:
    """A stored report unless the tests were skipped, and `forced` where they failed."""
    report = data["test_result"]
    forced = row.tests == "fail" and not row.skip_tests
    right = data["tests_skipped"] is row.skip_tests and data["forced"] is forced and (report is None) is row.skip_tests
    if report is not None:
        right = right and report["status"] == ("failed" if row.tests == "fail" else "passed")
    return [] if right else [f"{row}: {json.dumps(data)}"]


def _show(daemon: Daemon, ref: str) -> dict[str, Any] | None:
    try:
        shown: dict[str, Any] = Client(daemon.socket).get(f"/packs/{ref}")["data"]
    except Failure:
        return None
    return shown


def test_a_refusal_names_the_cases_what_is_in_use_and_the_way_out(running: Daemon, tmp_path: Path) -> None:
    """Whoever reads only the error knows what failed, that it was rolled back, to what, and how to override."""
    assert register(running, pack(tmp_path / "old", "told"))[0] == 201
    broken = pack(tmp_path / "new", "told", version="1.1.0")
    (broken / "tests" / "test_it.py").write_text(
        "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_reply(self):\n        self.assertEqual(1, 2)\n"
    )
    manifest = (broken / "pack.yaml").read_text().partition("testing:")[0]
    runners = "    python: {type: unittest, entry_point: tests/test_it.py}"
    (broken / "pack.yaml").write_text(f"{manifest}testing:\n  runners:\n{runners}\n")
    status, answer = register(running, broken, replace=True)
    assert status == 400
    assert answer["error"].startswith(FAILED)
    assert "test_reply" in answer["error"]
    assert "told#2 was rolled back; told#1 (version 1.0.0) stays in use" in answer["error"]
    assert answer["test_result"]["failed"] == 1
    assert answer["restored"]["revision"] == 1


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ("nothing", "Pack directory does not exist: {path}"),
        ("a file", "Pack directory does not exist: {path}"),
        ("an empty folder", "pack.yaml not found in directory: {path}"),
    ],
)
def test_what_is_no_pack_is_refused_in_the_words_that_scripts_know(
    running: Daemon, tmp_path: Path, made: str, sentence: str
) -> None:
    """400, and nothing is recorded."""
    path = tmp_path / "it"
    if made == "a file":
        path.write_text("hello")
    elif made == "an empty folder":
        path.mkdir()
    assert register(running, path) == (400, {"error": sentence.format(path=path)})


def test_an_archive_without_its_end_is_not_said_to_be_written_to(running: Daemon, tmp_path: Path) -> None:
    """It is bad input, and only whoever has the whole of it can help."""
    whole = shutil.make_archive(str(tmp_path / "half"), "zip", pack(tmp_path / "half", "half"))
    half = Path(whole).with_name("half.zip")
    half.write_bytes(half.read_bytes()[:-30])
    status, body = register(running, half)
    assert status == 400
    assert "half.zip: it ends after" in body["error"]
    assert "copy it again" in body["error"]
    assert "nobody writes" not in body["error"]


def test_a_bad_pack_yaml_is_answered_with_every_problem(running: Daemon, tmp_path: Path) -> None:
    """400 with file, line and suggestion."""
    where = pack(tmp_path / "it", "bad_one")
    (where / "pack.yaml").write_text("ref: bad_one\nversion: 1.0\n")
    with pytest.raises(Failure) as refusal:
        Client(running.socket).post("/packs/register", {"path": str(where)})
    assert HTTP_STATUS[refusal.value.code] == 400
    assert "manifest.invalid_version" in {problem.code for problem in refusal.value.problems}


def test_what_was_registered_from_elsewhere_stays(running: Daemon, tmp_path: Path) -> None:
    """A rescan unregisters what is gone from the packs directory, and nothing else."""
    assert register(running, pack(tmp_path / "it", "elsewhere"))[0] == 201
    (running.packs / "passing_by").mkdir()
    running.wait_until((running.packs / "passing_by.failed").exists, "the folder to be looked at")
    shown = _show(running, "elsewhere")
    assert shown is not None
    assert (shown["status"], shown["origin"], shown["drop"]) == ("active", "registered", None)


def test_the_same_path_may_bring_one_pack_after_another(running: Daemon, tmp_path: Path) -> None:
    """A working copy is no drop: what was registered from it before stays."""
    for ref in ("first_one", "second_one"):
        where = pack(tmp_path / "work", ref)
        assert register(running, where)[0] == 201
    shown = _show(running, "first_one")
    assert shown is not None
    assert shown["status"] == "active"


def test_unchanged_content_is_left_alone(running: Daemon, tmp_path: Path) -> None:
    """Registering the same again with `replace` is quick and makes no revision; `force` tests it again."""
    where = pack(tmp_path / "it", "same")
    assert register(running, where)[0] == 201
    _, again = register(running, where, replace=True)
    assert (again["data"]["unchanged"], again["data"]["revision"]["number"]) == (True, 1)
    _, forced = register(running, where, force=True)
    assert (forced["data"]["unchanged"], forced["data"]["revision"]["number"]) == (False, 2)
    assert forced["data"]["forced"] is False


def test_a_drop_and_a_registration_of_one_pack(running: Daemon, tmp_path: Path) -> None:
    """One pack, one owner: it changes hands only when somebody asks for it, and the other is told so."""
    pack(running.packs / "shared", "shared", version="1.0.0")
    running.wait_active("shared", "1.0.0")
    status, answer = register(running, pack(tmp_path / "bad", "shared", tests="fail", version="1.5.0"), replace=True)
    assert status == 400
    shown = _show(running, "shared")
    assert shown is not None
    assert shown["drop"] == "shared"  # a candidate that failed takes nothing away
    status, answer = register(running, pack(tmp_path / "it", "shared", version="2.0.0"), replace=True)
    assert status == 201
    assert "'shared' in the packs directory is not this pack any more" in answer["message"]
    pack(running.packs / "shared", "shared", version="3.0.0")
    running.wait_until((running.packs / "shared.failed").exists, "the change of the folder to be refused")
    assert "was registered from" in (running.packs / "shared.failed").read_text()
    running.wait_active("shared", "2.0.0")
    assert register(running, running.packs / "shared", replace=True)[0] == 201
    running.wait_active("shared", "3.0.0")
    assert not (running.packs / "shared.failed").exists()
    shown = _show(running, "shared")
    assert shown is not None
    assert (shown["drop"], shown["origin"]) == ("shared", "dropped")


def test_what_an_operator_removes_does_not_come_back_by_itself(running: Daemon) -> None:
    """Touching it changes nothing; other content, or a retry, brings it back."""
    client = Client(running.socket)
    folder = pack(running.packs / "unwanted", "unwanted")
    running.wait_active("unwanted", "1.0.0")
    answer = client.delete("/packs/unwanted")
    assert "'unwanted' in the packs directory is left alone until its content changes" in answer["message"]
    for path in (folder / "pack.yaml", folder / "actions" / "greet.sh"):
        path.touch()
    (running.packs / "later").mkdir()
    running.wait_until((running.packs / "later.failed").exists, "a later folder to be looked at")
    shown = _show(running, "unwanted")
    assert shown is not None
    assert shown["status"] == "unregistered"
    assert "an operator removed it" in running.cli("why", "unwanted").stdout
    client.post("/packs/unwanted/retry")
    running.wait_active("unwanted", "1.0.0")
    client.delete("/packs/unwanted")
    pack(folder, "unwanted", version="1.1.0")
    running.wait_active("unwanted", "1.1.0")


@pytest.mark.parametrize("door", ["api", "cli"])
def test_what_is_asked_for_bears_the_name_of_who_asked(running: Daemon, door: str) -> None:
    """Registered, tried again, had back after it was removed, changed while it was disabled: by the door that was used."""

    def ask(method: str, where: str, **body: str) -> None:
        agent = {"User-Agent": f"packd/{__version__}" if door == "cli" else "curl/8.0"}
        connection = http.client.HTTPConnection("packd", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(running.socket))
        connection.request(method, f"/api/v1{where}", json.dumps(body), agent | {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status < 300, answer.read()
        connection.close()

    def asked(ref: str) -> set[tuple[str, str]]:
        newest = [Client(running.socket).get(f"/packs/{ref}/{what}")["items"][0] for what in ("revisions", "tests")]
        return {(one["source"], one["actor"]) for one in newest}

    me = {(door, f"uid={os.getuid()} pid={os.getpid()}")}
    ref, taken = f"by_{door}", f"taken_{door}"
    ask("POST", "/packs/register", path=str(pack(running.packs.parent / taken, taken)))
    assert asked(taken) == me

    folder = pack(running.packs / ref, ref, tests="fail")
    running.wait_until((running.packs / f"{ref}.failed").exists, "its tests to fail")
    ask("POST", f"/packs/{ref}/retry")
    running.wait_until(lambda: asked(ref) == me, "them to be run again")

    pack(folder, ref)
    running.wait_active(ref, "1.0.0")
    ask("DELETE", f"/packs/{ref}")
    ask("POST", f"/packs/{ref}/retry")
    running.wait_active(ref, "1.0.0")
    assert asked(ref) == me

    ask("POST", f"/packs/{ref}/disable")
    pack(folder, ref, version="2.0.0")
    (running.packs / f"after_{ref}").mkdir()
    running.wait_until((running.packs / f"after_{ref}.failed").exists, "what was written before to have settled")
    ask("POST", f"/packs/{ref}/enable")
    running.wait_active(ref, "2.0.0")
    assert asked(ref) == me
    told = Client(running.socket).get("/events", after=0, types="pack.discovered,pack.changed", pack=f"*{door}")[
        "items"
    ]
    triggers = [event["data"]["trigger"] for event in told if event["subject"] in (f"packs/{ref}", f"packs/{taken}")]
    assert triggers == [door, "fs", "fs", door, door]


def test_a_disabled_pack_is_neither_in_use_nor_tested(running: Daemon) -> None:
    """Until it is enabled: then what was in use is back at once, and what was dropped meanwhile is tested."""
    client = Client(running.socket)
    folder = pack(running.packs / "asleep", "asleep")
    running.wait_active("asleep", "1.0.0")
    client.post("/packs/asleep/disable")
    assert not (running.state / "active" / "asleep").exists()
    pack(folder, "asleep", version="1.1.0")
    (running.packs / "behind").mkdir()
    running.wait_until((running.packs / "behind.failed").exists, "a later folder to be looked at")
    shown = _show(running, "asleep")
    assert shown is not None
    assert (shown["status"], shown["active"], shown["latest"]["number"]) == ("disabled", None, 1)
    assert register(running, folder, force=True)[0] == 409
    answer = client.post("/packs/asleep/enable")
    assert "asleep#1 is in use" in answer["message"]
    running.wait_active("asleep", "1.1.0")
    told = [event["type"] for event in client.get("/events", pack="asleep")["items"] if "test" not in event["type"]]
    assert told == [
        "pack.discovered", "pack.registered", "pack.unregistered", "pack.registered", "pack.changed", "pack.updated",
    ]  # fmt: skip


def test_events_and_activations_name_who_asked(running: Daemon, tmp_path: Path) -> None:
    """Every state change has an actor: the peer's uid and pid."""
    client = Client(running.socket)
    assert register(running, pack(tmp_path / "it", "asked_for"))[0] == 201
    activations = client.get("/packs/asked_for/activations")["items"]
    assert activations[0]["actor"].startswith("uid=")
    client.delete("/packs/asked_for")
    told = client.get("/events", pack="asked_for")["items"]
    actors = {event["type"]: event["data"].get("actor") for event in told}
    for kind in ("pack.discovered", "pack.registered", "pack.unregistered"):
        assert str(actors[kind]).startswith("uid="), actors
    assert told[0]["data"]["trigger"] == "cli"


def test_a_registration_can_be_followed_and_cancelled(running: Daemon, tmp_path: Path) -> None:
    """202 and a job: its stream has the revision, each case and the end; cancelled, nothing becomes active."""
    client, heard = Client(running.socket), []
    answer = client.post_followed(
        "/packs/register",
        {"path": str(pack(tmp_path / "it", "followed"))},
        on_message=lambda name, said: heard.append(name),
    )
    assert heard == ["job", "revision", "case", "suite"]
    assert answer["data"]["pack"]["status"] == "active"
    slow = pack(tmp_path / "slow", "slow_one")
    (slow / "tests" / "run_tests.sh").write_text("#!/bin/sh\nsleep 60\n")

    def cancel(name: str, said: dict[str, Any]) -> None:
        if name == "job":
            heard.append(said["id"])
        if name == "revision":
            client.delete(f"/jobs/{heard[-1]}")

    with pytest.raises(Failure) as refusal:
        client.post_followed("/packs/register", {"path": str(slow)}, on_message=cancel)
    assert HTTP_STATUS[refusal.value.code] == 409
    assert client.get(f"/jobs/{heard[-1]}")["data"]["state"] == "cancelled"
    shown = _show(running, "slow_one")
    assert shown is not None
    assert shown["active"] is None
