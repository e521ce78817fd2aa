"""`packd doctor`: each thing that goes wrong is found by really being wrong, and has its way out."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from packd.cli.app import cli
from packd.domain.health import Ailment
from packd.domain.ignore import Ignore
from packd.flow.diagnosis import machine, parts, places
from packd.flow.diagnosis.answers import Answer
from packd.flow.exclusive import exclusively
from packd.registry import outbox
from packd.registry.conditions import SCHEMA_VERSION
from packd.registry.database import Database, sqlite_url
from packd.registry.rows import Endpoint
from packd.testrun.ladder import Rung
from packd.watch import usage
from tests.unit.doors_ground import Ground, made_ground
from tests.unit.registry_ground import NEXT, an_endpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "packs" / "hello").mkdir(parents=True)
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path


def doctor(folder: Path, *arguments: str, **config: Any) -> Result:
    file = folder / "packd.yaml"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump({"packs_dir": str(folder / "packs"), "state_dir": str(folder / "state"), **config}))
    return CliRunner().invoke(cli, ["doctor", "--config", str(file), *arguments])


def checks(result: Result) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for check in json.loads(result.stdout)["checks"]:
        found.setdefault(check["about"], []).append(check)
    return found


def outcomes(answers: Iterator[Answer]) -> list[str]:
    return [answer.outcome for answer in answers]


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that takes connections."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def hook(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "ci", "url": url, "secret": "whsec_" + "QUFB" * 8, **more}


def test_a_sound_place_without_a_daemon(folder: Path) -> None:
    """Nothing wrong: exit 0, every thing of the list looked at, the fixes only where there is something to fix."""
    result = doctor(folder, "--json")
    assert result.exit_code == 0, result.output
    found = checks(result)
    assert found.keys() >= {
        "configuration", "packs directory", "state directory", "disk", "inotify", "open files", "clock", "user", "git",
        "python", "isolation", "database", "socket", "webhooks",
    }  # fmt: skip
    assert not [check for listed in found.values() for check in listed if check["outcome"] == "wrong"]
    assert "no daemon runs here" in found["socket"][0]["said"]
    text = doctor(folder).stdout
    assert "✓ packs directory" in text
    assert "nothing is wrong" in text
    assert not (folder / "state" / "packd.db").exists()


def test_with_a_daemon(folder: Path) -> None:
    """What a daemon says of itself counts: its folders, its watches, its troubles."""
    with made_ground() as ground:
        found = checks(doctor(folder, "--json", "--socket", str(ground.socket)))
        assert found["inotify"][0]["said"].startswith("7 of 7 folders are watched")
        assert found["webhook ci"][0]["outcome"] == "wrong"  # what the daemon tells, not only what the file says
        assert "answers at" in found["socket"][0]["said"]
        _trouble(ground)
        result = doctor(folder, "--json", "--socket", str(ground.socket))
        assert result.exit_code == 1
        (inotify,) = checks(result)["inotify"]
        assert inotify["outcome"] == "wrong"
        assert "sysctl" in inotify["fix"]


def test_the_checks_of_a_daemon_are_told_with_their_way_out(folder: Path) -> None:
    """What is degraded is wrong, what is a warning is one; what is looked at anyway is told once."""
    with made_ground() as ground:
        ailments = [
            Ailment(part="watch", grade="degraded", sentence="/srv/packs is not there; put it back"),
            Ailment(part="clock", grade="warning", sentence="not synchronised; start chrony"),
            Ailment(
                part="database", grade="unready", sentence="packd.db was removed; restart packd: it writes it again"
            ),
            Ailment(part="webhook", grade="warning", sentence="'ci' is told nothing; `packd webhook enable ci`"),
        ]
        ground.asked.health = [ailment.to_dict() for ailment in ailments]
        found = checks(doctor(folder, "--json", "--socket", str(ground.socket)))
    (watch,), (webhook,) = found["watch"], found["webhook"]
    assert (watch["outcome"], watch["said"], watch["fix"]) == ("wrong", "/srv/packs is not there", "put it back")
    assert (webhook["outcome"], webhook["fix"]) == ("warning", "`packd webhook enable ci`")
    assert len(found["clock"]) == 1
    (database,) = found["database"]  # that there is none yet, as without a daemon, would not be true
    assert (database["said"], database["fix"]) == ("packd.db was removed", "restart packd: it writes it again")
    (packs,) = found["packs directory"]  # /srv/packs, which the daemon says that it watches
    assert (packs["outcome"], packs["fix"]) == ("wrong", "put it back, or mount it again")


def test_the_configuration_of_a_daemon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which file it has and since when, and why a newer one is not used; what is looked at follows from what it uses."""
    monkeypatch.delenv("PACKD_CONFIG", raising=False)
    with made_ground() as ground:
        asks = ["doctor", "--json", "--socket", str(ground.socket), "--state-dir", str(folder / "state")]

        def found(**configuration: Any) -> dict[str, Any]:
            ground.asked.configuration |= {"file": "/srv/c.yaml", "needs_restart": [], **configuration}
            (only,) = checks(CliRunner().invoke(cli, asks))["configuration"]
            return only

        loaded = found()
        assert loaded["outcome"] == "ok"
        assert loaded["said"].startswith("/srv/c.yaml, loaded ")
        later = found(needs_restart=["api.socket"])
        assert (later["outcome"], "api.socket" in later["said"]) == ("warning", True)
        refused = found(rejected=["/srv/c.yaml:2:1: there is no setting 'watsh'"])
        assert (refused["outcome"], "c.yaml:2:1: there is no setting 'watsh'" in refused["said"]) == ("wrong", True)
        ground.asked.configuration["rejected"] = []
        both = checks(doctor(folder, "--json", "--socket", str(ground.socket)))["configuration"]
        assert [one["said"].partition(",")[0] for one in both] == [f"{folder}/packd.yaml can be used", "/srv/c.yaml"]


def _trouble(ground: Ground) -> None:
    ground.asked.troubles.append("limit")


def test_a_configuration_that_can_not_be_used(folder: Path) -> None:
    """Named, and the rest is looked at all the same."""
    result = doctor(folder, "--json", watch={"quiet": 1})
    assert result.exit_code == 1
    assert checks(result)["configuration"][0]["outcome"] == "wrong"
    assert "quiet" in checks(result)["configuration"][0]["said"]


def test_a_database_without_tables_is_no_damage(folder: Path) -> None:
    """It was made and never used: a warning, which says what follows."""
    (folder / "state" / "packd.db").touch()
    (database,) = checks(doctor(folder, "--json"))["database"]
    assert database["outcome"] == "warning"
    assert database["said"].endswith("is empty: packd had not begun to use it, and does when it starts next")
    assert "packd db restore" in database["fix"]


def test_a_daemon_that_answers_elsewhere(folder: Path) -> None:
    """The state directory is held and nobody answers: the socket is another one than is asked."""
    with exclusively(folder / "state"):
        result = doctor(folder, "--json")
    (found,) = checks(result)["socket"]
    assert result.exit_code == 1
    assert f"pid {os.getpid()}" in found["said"]
    assert "--socket" in found["fix"]


def test_a_daemon_that_hangs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody listens at the socket and says nothing: it is not looked for elsewhere."""
    monkeypatch.setattr("packd.cli.doctor._PATIENCE_S", 0.1)
    with exclusively(folder / "state"), socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "state/packd.sock"))
        silent.listen()
        (found,) = checks(doctor(folder, "--json"))["socket"]
    assert "does not answer at" in found["said"]
    assert "--socket" not in found["fix"]


def test_endpoints(folder: Path, listening: int) -> None:
    """A port that takes connections is fine; a closed one, an unknown name, an address that is not allowed are wrong."""
    assert checks(doctor(folder, "--json", webhooks=[hook(f"http://127.0.0.1:{listening}/")]))["webhook ci"][0][
        "outcome"
    ] == "ok"  # fmt: skip
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        closed = server.getsockname()[1]
    for url, more, piece in (
        (f"http://127.0.0.1:{closed}/", {}, "no connection to 127.0.0.1"),
        ("http://nowhere.invalid/", {}, "can't be resolved"),
        (f"http://127.0.0.1:{listening}/", {"allow_private": False}, "127.0.0.1 is 127.0.0.1"),
        (f"https://127.0.0.1:{closed}/", {}, "no connection"),
    ):
        result = doctor(folder, "--json", webhooks=[hook(url, **more)])
        assert result.exit_code == 1, url
        assert piece in checks(result)["webhook ci"][0]["said"]


@pytest.fixture
def own_certificate(folder: Path) -> Iterator[int]:
    """A port that speaks TLS, with a certificate `ca.pem` that no authority of the system vouches for."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "ca.key", "-out", "ca.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "ca.key")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:  # the test is over
                    return
                with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as caller:
                    caller.recv(1)

        serving = threading.Thread(target=serve)
        serving.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    serving.join(60)


def test_an_authority_of_an_endpoints_own(folder: Path, own_certificate: int) -> None:
    """What ca_file names may vouch for it, as when it is told; without that the system's authorities count."""
    url = f"https://localhost:{own_certificate}/"
    (found,) = checks(doctor(folder, "--json", webhooks=[hook(url, ca_file="ca.pem")]))["webhook ci"]
    assert (found["outcome"], found["said"]) == ("ok", f"localhost port {own_certificate} takes connections")
    (found,) = checks(doctor(folder, "--json", webhooks=[hook(url)]))["webhook ci"]
    assert (found["outcome"], "self-signed" in found["said"]) == ("wrong", True)


def test_the_endpoints_of_a_daemon(folder: Path, own_certificate: int) -> None:
    """Its own word counts for where they may be. Certificates it shows nobody: from the file of its configuration they
    are known, and else only that a connection can be made."""
    url = f"https://localhost:{own_certificate}/"
    tls = {"ca": (folder / "ca.pem").read_text(), "certificate": None, "key": None}
    with made_ground() as ground:

        def found(one: Endpoint, **config: Any) -> dict[str, Any]:
            with ground.registry.write() as tx:
                outbox.save_endpoint(tx.connection, one)
            (only,) = checks(doctor(folder, "--json", "--socket", str(ground.socket), **config))["webhook ci"]
            return only

        own = found(an_endpoint("ci", url=url, tls=tls, allow_private=True))
        assert (own["outcome"], "only `packd webhook test` can tell" in own["said"]) == ("ok", True)
        own = found(an_endpoint("ci", url=url, tls=tls, allow_private=True), webhooks=[hook(url, ca_file="ca.pem")])
        assert (own["outcome"], own["said"]) == ("ok", f"localhost port {own_certificate} takes connections")
        barred = found(an_endpoint("ci", url=url, tls=tls))
        assert (barred["outcome"], "a loopback address" in barred["said"]) == ("wrong", True)


def test_the_database(tmp_path: Path) -> None:
    """Missing is fine, damaged and newer are wrong, and so is a server that does not answer."""
    path = tmp_path / "packd.db"
    assert parts.database(path, newest_schema=SCHEMA_VERSION).outcome == "ok"
    database = Database(sqlite_url(tmp_path))
    database.prepare()
    database.close()
    assert parts.database(path, newest_schema=SCHEMA_VERSION).outcome == "ok"
    assert parts.database(path, newest_schema=NEXT).outcome == "warning"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.commit()
    assert parts.database(path, newest_schema=SCHEMA_VERSION).outcome == "wrong"
    path.write_text("something else")
    found = parts.database(path, newest_schema=SCHEMA_VERSION)
    assert (found.outcome, "restore" in (found.fix or "")) == ("wrong", True)
    assert parts.server_database("postgresql+psycopg://x@127.0.0.1:1/x", newest_schema=NEXT).outcome == "wrong"
    assert parts.server_database("nonsense://", newest_schema=NEXT).outcome == "wrong"


def test_folders(tmp_path: Path) -> None:
    """A file where a folder belongs, a folder that everybody may write, one inside the other."""
    ignore, packs, state = Ignore(()), tmp_path / "packs", tmp_path / "packs" / "state"
    assert outcomes(places.packs_folder(packs, ignore, markers=True, every_s=300)) == ["ok"]
    packs.mkdir()
    packs.chmod(0o777)
    assert "warning" in outcomes(places.packs_folder(packs, ignore, markers=True, every_s=300))
    packs.chmod(0o755)
    state.mkdir(mode=0o755)
    found = list(places.state_folder(state, packs))
    assert {"wrong", "warning"} <= {answer.outcome for answer in found}
    assert any("chmod 700" in (answer.fix or "") for answer in found)
    file = tmp_path / "file"
    file.touch()
    assert outcomes(places.packs_folder(file, ignore, markers=True, every_s=300)) == ["wrong"]
    assert outcomes(places.state_folder(file, packs)) == ["wrong"]
    assert places.socket(file, answers=False, pid=None).outcome == "wrong"


def test_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room warns, hardly any is wrong, and few inodes are no better."""
    for free, inodes, outcome in (
        (5e9, 10**6, "ok"),
        (5e8, 10**6, "warning"),
        (1e6, 10**6, "wrong"),
        (5e9, 5, "warning"),
    ):
        space = SimpleNamespace(f_bavail=int(free), f_frsize=1, f_blocks=10**10, f_files=10**6, f_favail=inodes)
        monkeypatch.setattr(os, "statvfs", lambda _, space=space: space)
        assert places.disk(tmp_path, "disk").outcome == outcome


def test_watches_are_counted_against_the_tree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More folders than free watches: wrong, with the line that raises the limit for good."""
    for number in range(30):
        (folder / "packs" / "hello" / str(number)).mkdir()
    limits = {"max_user_watches": 20, "max_user_instances": 100_000}
    monkeypatch.setattr(machine, "kernel_setting", limits.get)
    (found,) = machine.watches(folder / "packs", Ignore(()))
    assert found.outcome == "wrong"
    assert found.said.startswith("32 watches are needed")
    assert "/etc/sysctl.d/" in (found.fix or "")
    limits["max_user_instances"] = 1
    assert "max_user_instances" in (list(machine.watches(folder / "packs", Ignore(())))[-1].fix or "")


def test_one_watch_is_counted_as_one(tmp_path: Path) -> None:
    """A packs directory that is not there yet needs its own and no other."""
    (found,) = machine.watches(tmp_path / "packs", Ignore(()))
    assert found.said.startswith("1 watch is needed for")


def test_our_own_watches_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this user's processes have in use is what /proc shows; one can be left out."""
    import ctypes

    (tmp_path / str(os.getpid())).symlink_to("/proc/self")
    (tmp_path / "4194305").mkdir()  # has ended
    monkeypatch.setattr(usage, "_PROCESSES", tmp_path)
    libc, before = ctypes.CDLL(None), usage.in_use()
    descriptor = libc.inotify_init()
    try:
        assert libc.inotify_add_watch(descriptor, b"/", 0x400) > 0
        after = usage.in_use()
    finally:
        os.close(descriptor)
    assert (after.watches, after.instances) == (before.watches + 1, before.instances + 1)
    assert usage.in_use(but=os.getpid()) == usage.Usage(watches=0, instances=0)


def test_the_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event or a file from the future says that a clock was set back, or differs."""
    import time

    monkeypatch.setattr(machine, "is_synchronised", lambda: True)
    packs = folder / "packs"
    assert outcomes(machine.clock(packs, time.time())) == ["ok"]
    assert outcomes(machine.clock(packs, time.time() + 3600)) == ["wrong"]
    os.utime(packs / "hello", (time.time() + 3600, time.time() + 3600))
    assert outcomes(machine.clock(packs, None)) == ["warning"]
    monkeypatch.setattr(machine, "is_synchronised", lambda: False)
    assert outcomes(machine.clock(packs, None)) == ["warning"]


def test_the_user_is_that_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of whoever asks after it, root in most cases; without a daemon it would be that one."""
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    waits = ["/bin/sh", "-c", "read -r _", "packd"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, user=owner) as daemon:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        found = machine.user(daemon.pid)
        assert (found.outcome, found.said) == ("ok", f"the daemon runs with uid {owner}")
        assert machine.user().outcome == "warning"
    assert machine.user(daemon.pid).outcome == "skipped"  # it has ended


def test_isolation_that_is_asked_for_and_not_there() -> None:
    """`bwrap` where only `basic` works is wrong; a rung that lacks something is a warning that says what."""
    none = Rung(name="bwrap", sandbox=None, why_not="bubblewrap is not installed")
    lame = SimpleNamespace(isolation="basic", shortcomings=("prlimit is missing",))
    basic = Rung(name="basic", sandbox=lame)  # type: ignore[arg-type]
    assert parts.isolation([none, basic], "bwrap").outcome == "wrong"
    assert "bubblewrap is not installed" in parts.isolation([none, basic], "bwrap").said
    answer = parts.isolation([none, basic], "auto")
    assert (answer.outcome, "prlimit is missing" in answer.said) == ("warning", True)
    good = Rung(name="bwrap", sandbox=SimpleNamespace(isolation="bwrap", shortcomings=()))  # type: ignore[arg-type]
    assert parts.isolation([good, basic], "auto").outcome == "ok"


def test_an_owner_without_a_name_can_be_asked_for_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudo(8) takes a number behind a #."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}[0])
    (said,) = (one for one in places.state_folder(folder / "state", folder / "packs") if one.outcome == "warning")
    assert said.fix == f"ask as its user: sudo -u '#{owner}' packd doctor"
