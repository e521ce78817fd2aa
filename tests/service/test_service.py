"""The unit under a real systemd: started, crashed, starved, reloaded and stopped for real."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from machine import REPOSITORY, Machine, what_is_missing
from packs import write_pack

SYSTEMD = REPOSITORY / "systemd"
UNIT = "packd.service"


def _properties(machine: Machine) -> dict[str, str]:
    return machine.show("packd", "MainPID", "NRestarts", "Result", "ActiveState", "SubState", "StatusText")


@pytest.mark.skipif(what_is_missing() is not None, reason=f"NOT TESTED: {what_is_missing()}")
def test_exposure() -> None:
    """What the unit lets packd do is at most 1.7 of 10 by systemd's own measure."""
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=17", "--no-pager", str(SYSTEMD / UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout[-200:]


@pytest.mark.skipif(what_is_missing() is not None, reason=f"NOT TESTED: {what_is_missing()}")
@pytest.mark.parametrize(
    ("names", "exposure"),
    [
        (("packs-elsewhere",), "1.7"),
        (("one-processor",), "1.8"),
        (("network",), "2.3"),
        (("tighter-without-sandbox",), "0.7"),
        (("network", "tighter-without-sandbox"), "1.3"),
        (("network", "tighter-without-sandbox", "tighter-without-network"), "0.7"),
    ],
)
def test_drop_ins(tmp_path: Path, names: tuple[str, ...], exposure: str) -> None:
    """Each makes the unit as closed, or as open, as the README beside it says."""
    (tmp_path / "packd.service.d").mkdir()
    shutil.copy(SYSTEMD / UNIT, tmp_path)
    for number, name in enumerate(names):
        shutil.copy(SYSTEMD / "drop-ins" / f"{name}.conf", tmp_path / "packd.service.d" / f"{number}.conf")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(tmp_path / UNIT)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"packd.service: {exposure} " in judged.stdout.splitlines()[-1]


@pytest.mark.skipif(what_is_missing() is not None, reason=f"NOT TESTED: {what_is_missing()}")
def test_reasons() -> None:
    """Every protection that the measure finds wanting has its reason in the unit: above its line, or in the last part."""
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--json=short", "--no-pager", str(SYSTEMD / UNIT)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    wanting = {re.split("[=/]", one["name"])[0] for one in json.loads(judged.stdout) if not one["set"]}
    blocks, unset = (SYSTEMD / UNIT).read_text().split("# --- not set")
    explained = set(re.findall(r"^# (\w+)=", unset, re.MULTILINE))
    for said in re.findall(r"^# .*\n((?:[A-Z]\w+=.*\n)+)", blocks, re.MULTILINE):
        explained.update(re.findall(r"^(\w+)=", said, re.MULTILINE))
    assert wanting
    assert wanting - explained == set()


def test_verify(machine: Machine) -> None:
    """systemd finds nothing to say about the units, nor about any of the drop-ins."""
    for drop_in in ("", "packs-elsewhere", "one-processor", "tighter-without-sandbox", "tighter-without-network"):
        if drop_in:
            text = (SYSTEMD / "drop-ins" / f"{drop_in}.conf").read_text()
            machine.write(f"/etc/systemd/system/packd.service.d/test-{drop_in}.conf", text)
        said = machine.run("systemd-analyze", "verify", "packd.service", "packd.socket")
        assert (said.stdout, said.stderr) == ("", ""), drop_in


def test_start_to_ready(machine: Machine) -> None:
    """`systemctl start` returns when the API answers, and the status is a sentence."""
    assert json.loads(machine.packd("status", "--json").stdout)["version"]
    machine.wait_until(lambda: _properties(machine)["StatusText"].startswith("Watching "), "the status")
    assert _properties(machine)["SubState"] == "running"


def test_drop_to_active(machine: Machine, packs: Path) -> None:
    """A pack that is dropped is tested by bubblewrap, under all the unit's protections, and active."""
    machine.drop(write_pack(packs / "hello", "hello", test="test $(id -u) != 0 && test ! -e /etc/packd"))
    machine.wait_active("hello", "1.0.0")
    chosen = machine.journal("-u", "packd", "PACKD_EVENT=isolation.chosen")
    assert json.loads(machine.packd("status", "--json").stdout)["isolation"].startswith("bwrap"), chosen
    assert '"isolation": "bwrap' in machine.packd("test", "hello", "--json").stdout
    machine.wait_until(lambda: machine.shell("pgrep -f warden.py || true") != "", "walls that stand inside the unit")
    assert machine.packd("test", "hello").returncode == 0


def test_killed(machine: Machine, packs: Path) -> None:
    """After kill -9 systemd starts it again, and nothing is lost: not the pack in use, not the one being tested."""
    machine.drop(write_pack(packs / "kept", "kept"))
    machine.wait_active("kept", "1.0.0")
    machine.drop(write_pack(packs / "slow", "slow", test="sleep 2"))
    machine.wait_until(lambda: "slow" in machine.packd("status", "--json").stdout, "the run to begin")
    before = _properties(machine)
    machine.shell("systemctl kill --kill-whom=main --signal=KILL packd")
    machine.wait_until(lambda: _properties(machine)["NRestarts"] > before["NRestarts"], "the restart")
    machine.wait_until(lambda: _properties(machine)["SubState"] == "running", "it to be ready")
    machine.wait_active("kept", "1.0.0")
    machine.wait_active("slow", "1.0.0")
    assert '"previous_stop": "crash"' in machine.packd("events", "--json").stdout


def test_watchdog(machine: Machine) -> None:
    """A daemon that hangs is noticed, ended and started again."""
    machine.write(
        "/etc/systemd/system/packd.service.d/test-watchdog.conf", "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n"
    )
    machine.shell("systemctl daemon-reload; systemctl restart packd")
    before = _properties(machine)
    machine.shell(f"kill -STOP {before['MainPID']}")
    machine.wait_until(lambda: _properties(machine)["MainPID"] not in ("0", before["MainPID"]), "another process")
    machine.wait_until(lambda: _properties(machine)["SubState"] == "running", "it to be ready")
    assert machine.packd("status").returncode == 0
    said = machine.journal("-u", "packd", "--grep", "Watchdog timeout")
    assert said


def test_memory_hog(machine: Machine, packs: Path) -> None:
    """A suite that takes all memory it can get ends alone: the daemon is the same process afterwards."""
    hog = "exec python3 -c 'b = []\nwhile len(b) < 400: b.append(bytearray(1 << 20))'"
    machine.write(
        "/etc/systemd/system/packd.service.d/test-memory.conf", "[Service]\nMemoryMax=300M\nMemorySwapMax=0\n"
    )
    machine.shell("systemctl daemon-reload; systemctl restart packd")
    before = _properties(machine)["MainPID"]
    machine.drop(write_pack(packs / "hog", "hog", test=hog))
    machine.wait_until(lambda: "hog" in machine.packd("list", "--json").stdout, "the pack to be seen")
    machine.wait_until(lambda: machine.run("test", "-e", "/var/lib/packd/packs/hog.failed", check=False).returncode == 0,
                       "the pack to be refused")  # fmt: skip
    assert _properties(machine)["MainPID"] == before
    assert machine.packd("status").returncode == 0


def test_crowd(machine: Machine, packs: Path) -> None:
    """A suite that multiplies is ended for that, under the unit's filter of system calls too."""
    machine.write("/etc/packd/packd.yaml", "packs_dir: /var/lib/packd/packs\ntests: {limits: {processes: 12}}\n")
    machine.shell("systemctl restart packd")
    machine.drop(write_pack(packs / "crowd", "crowd", test="for n in $(seq 40); do sleep 15 & done; wait"))
    machine.wait_until(lambda: machine.run("test", "-e", "/var/lib/packd/packs/crowd.failed", check=False).returncode == 0,
                       "the pack to be refused")  # fmt: skip
    (run,) = json.loads(machine.packd("tests", "crowd", "--json").stdout)
    assert (run["status"], run["reason"]) == ("failed", "processes"), run["verdict"]


def test_reload(machine: Machine, packs: Path) -> None:
    """A good configuration is applied, a bad one is refused with its line and changes nothing; the process stays."""
    before = _properties(machine)["MainPID"]
    machine.write("/etc/packd/packd.yaml", "packs_dir: /var/lib/packd/packs\nwatch: {quite_ms: 100}\n")
    refused = machine.run("systemctl", "reload", "packd", check=False)
    assert refused.returncode != 0
    assert any("/etc/packd/packd.yaml:2:" in str(entry["MESSAGE"]) for entry in machine.journal("-u", "packd"))
    machine.write("/etc/packd/packd.yaml", "packs_dir: /var/lib/packd/packs\nwatch: {quiet_ms: 50}\nmarkers: none\n")
    machine.run("systemctl", "reload", "packd")
    machine.wait_until(
        lambda: json.loads(machine.packd("status", "--json").stdout)["configuration"]["state"] == "loaded",
        "the new configuration",
    )
    machine.drop(write_pack(packs / "bad", "bad", test="exit 1"))
    machine.wait_until(lambda: machine.packd("why", "bad", check=False).returncode == 1, "the pack to be refused")
    assert machine.run("test", "-e", "/var/lib/packd/packs/bad.failed", check=False).returncode != 0  # markers: none
    assert _properties(machine)["MainPID"] == before


def test_stop_with_a_suite_running(machine: Machine, packs: Path) -> None:
    """It stops well within its limit, cleanly, and nothing of the suite is left."""
    machine.drop(write_pack(packs / "long", "long", test="exec sleep 4321"))
    machine.wait_until(
        lambda: machine.run("pgrep", "-f", "sleep 4321", check=False).returncode == 0, "the suite to run"
    )
    began = time.monotonic()
    machine.shell("systemctl stop packd")
    assert time.monotonic() - began < 20
    assert _properties(machine)["Result"] == "success"
    assert machine.run("pgrep", "-f", "sleep 4321", check=False).returncode != 0


def test_journal(machine: Machine, packs: Path) -> None:
    """Every event is an entry with its fields, and `-p err` shows exactly the errors."""
    machine.drop(write_pack(packs / "fine", "fine"))
    machine.drop(write_pack(packs / "wrong", "wrong", test="exit 1"))
    machine.wait_active("fine", "1.0.0")
    machine.wait_until(lambda: machine.packd("why", "wrong", check=False).returncode == 1, "the pack to be refused")
    machine.wait_until(lambda: bool(machine.journal("-u", "packd", "PACKD_EVENT=pack.rolled_back", "PACKD_PACK=wrong")),
                       "the entry")  # fmt: skip
    (entry, *_) = machine.journal("-u", "packd", "PACKD_EVENT=pack.registered", "PACKD_PACK=fine")
    assert entry["PRIORITY"] == "6"
    assert entry["PACKD_REVISION"] == "1"
    assert entry["SYSLOG_IDENTIFIER"] == "packd"
    assert entry["CODE_FILE"].endswith("announce.py")
    assert entry["MESSAGE"].startswith("Pack fine#1 registered")
    since = ("-u", "packd", "_SYSTEMD_UNIT=packd.service", "PACKD_PACK=wrong")
    errors = {entry["PACKD_EVENT"] for entry in machine.journal("-p", "err", *since)}
    assert errors == {"pack.test_failed"}


def test_socket_activation(machine: Machine) -> None:
    """With the socket unit nobody is refused while packd restarts: callers wait and are answered."""
    machine.shell("systemctl stop packd; systemctl start packd.socket; systemctl start packd")
    machine.shell("systemctl stop packd")
    assert machine.run("test", "-S", "/run/packd/packd.sock").returncode == 0
    machine.shell("systemctl start --no-block packd")
    assert json.loads(machine.packd("status", "--json").stdout)["version"]
    owner = machine.shell("stat -c '%U:%G %a' /run/packd/packd.sock").strip()
    assert owner == "packd:packd 660"


_ASK_ON_AND_ON = """
import pathlib, socket
asked, stop = 0, pathlib.Path("/run/packd-asked-enough")
while not stop.exists() or asked < 20:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(60)
        caller.connect("/run/packd/packd.sock")
        caller.sendall(b"GET /api/v1/status HTTP/1.0\\r\\nHost: packd\\r\\n\\r\\n")
        answer = caller.recv(4096)
        if not answer:  # closed by the one that stopped, before it was read: to be asked again
            continue
        assert b" 200 " in answer, (asked, answer)
    asked += 1
print(asked)
"""


def test_nobody_is_refused(machine: Machine) -> None:
    """Whoever asks while packd restarts waits, and is answered: not one connection is refused."""
    machine.shell("systemctl stop packd; systemctl start packd.socket packd; rm -f /run/packd-asked-enough")
    machine.write("/run/packd-ask.py", _ASK_ON_AND_ON.replace("\\\\", "\\"))
    said = machine.shell(
        "python3 /run/packd-ask.py & asking=$!; systemctl restart packd; systemctl restart packd; "
        "touch /run/packd-asked-enough; wait $asking"
    )
    assert int(said) >= 20


def test_credentials(machine: Machine) -> None:
    """A secret that only root can read reaches the service as a credential, and nothing that it says shows it."""
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    machine.write("/etc/packd/secrets/bot", secret + "\n", mode="600")
    machine.write("/etc/packd/packd.yaml",
                  "packs_dir: /var/lib/packd/packs\nwebhooks: [{name: bot, url: 'http://127.0.0.1:9/'}]\n")  # fmt: skip
    try:
        machine.shell("systemctl restart packd")
        machine.run("systemctl", "reload", "packd")
        endpoints = json.loads(machine.packd("status", "--json").stdout)["endpoints"]
        assert [endpoint["name"] for endpoint in endpoints] == ["bot"]
        assert secret not in machine.run("journalctl", "-u", "packd", "--output=export", "--all").stdout
    finally:
        machine.shell("rm /etc/packd/secrets/bot")


def test_install_and_uninstall(machine: Machine, packs: Path) -> None:
    """`packd service install` alone makes a service that runs, with packs elsewhere; `uninstall` leaves only data."""
    machine.shell("systemctl stop packd packd.socket")
    said = machine.run("/opt/packd/bin/packd", "service", "install", "--packs", "/srv/my packs")
    assert "/etc/systemd/system/packd.service: the service" in said.stderr
    assert machine.show("packd.socket", "ActiveState")["ActiveState"] == "active"
    machine.drop(write_pack(packs / "elsewhere", "elsewhere", test="exit 1"), "/srv/my packs")
    machine.wait_until(lambda: machine.run("test", "-e", "/srv/my packs/elsewhere.failed", check=False).returncode == 0,
                       "the marker")  # fmt: skip
    machine.run("/opt/packd/bin/packd", "service", "uninstall")
    assert machine.show("packd", "ActiveState", "LoadState")["ActiveState"] == "inactive"
    left = machine.shell("find /etc/systemd /etc/tmpfiles.d /etc/sysusers.d -name 'packd*' -not -name '*bwrap*'")
    assert left.split() == []
    assert machine.run("test", "-e", "/etc/packd/packd.yaml").returncode == 0
    machine.run("/opt/packd/bin/packd", "service", "install", "--no-start")
    machine.shell("systemctl daemon-reload")


def test_catalog(machine: Machine) -> None:
    """`journalctl -x` says what an entry means and what to do."""
    machine.run("journalctl", "--update-catalog")
    machine.wait_until(lambda: bool(machine.journal("-u", "packd", "PACKD_EVENT=daemon.started")), "the entry")
    said = machine.run("journalctl", "-x", "-u", "packd", "PACKD_EVENT=daemon.started", "-n", "1", "--no-pager").stdout
    assert "Subject: packd has started" in said


def test_user_service(machine: Machine, packs: Path) -> None:
    """Without root: a service of one user's own, which settles, tests and activates as the other does."""
    machine.shell(
        "systemctl stop packd packd.socket; useradd -m -s /bin/bash me 2>/dev/null || true; mkdir -p /home/me"
    )
    number = machine.shell("id -u me").strip()
    machine.shell(f"systemctl start user@{number}.service")
    me = (
        "runuser",
        "-u",
        "me",
        "--",
        "env",
        f"XDG_RUNTIME_DIR=/run/user/{number}",
        "HOME=/home/me",
        "PATH=/usr/bin:/bin",
    )
    try:
        machine.run(*me, "/opt/packd/bin/packd", "service", "install", "--user", "--packs", "/home/me/packs")
        machine.drop(write_pack(packs / "mine", "mine"), "/home/me/packs")
        machine.wait_until(
            lambda: machine.run(*me, "/opt/packd/bin/packd", "why", "mine", check=False).returncode == 0, "the pack"
        )
        told = machine.run(*me, "systemctl", "--user", "show", "packd", "--property=StatusText").stdout
        assert "Watching /home/me/packs" in told
    finally:
        machine.run(*me, "/opt/packd/bin/packd", "service", "uninstall", "--user", check=False)
        machine.shell(f"systemctl stop user@{number}.service")
