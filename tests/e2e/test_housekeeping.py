"""Sweeping, drift, room on the disk and reloading, in a daemon that runs."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import yaml
from daemon import Daemon
from packs import write_pack
from receiver import SECRET, Receiver

from packd.registry import queries
from tests.waiting import until_exists


def _settings(daemon: Daemon, **changes: Any) -> None:
    """Write the configuration anew, and say so as `systemctl reload` does."""
    config = yaml.safe_load(daemon._config.read_text()) | changes
    daemon._config.write_text(yaml.safe_dump(config))
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)


def _seen(daemon: Daemon, event: str) -> list[dict[str, Any]]:
    return [line for line in daemon.logged() if line["event"] == event]


def test_the_plan_of_a_sweep(tmp_path: Path) -> None:
    """`packd sweep --dry-run` says of every revision whether it stays and why, and removes nothing."""
    daemon = Daemon(tmp_path, retention={"revisions": 1, "pinned": ["hello#2"]})
    daemon.start()
    try:
        for number in range(1, 5):
            write_pack(daemon.packs / "hello", "hello", f"1.0.{number}")
            daemon.wait_active("hello", f"1.0.{number}")
        answer = daemon.cli("sweep", "--dry-run", "--json")
        plan = json.loads(answer.stdout)
        assert [(one["number"], one["keep"]) for one in plan["decisions"]] == [
            (4, True), (3, True), (2, True), (1, False),
        ]  # fmt: skip
        assert plan["decisions"][2]["why"] == "is pinned by retention.pinned"
        assert plan["decisions"][1]["why"] == "is what a roll-back leads to"
        assert plan["remove"] == []  # an hour young: it might be about to be used again
        shown = _shown(daemon)
        assert shown["hello#1"] == "later is older than the newest 1; goes when it was not asked for in an hour"
        assert daemon.cli("sweep").returncode == 0
        assert len([name for name in os.listdir(daemon.state / "store") if len(name) == 64]) == 4
        write_pack(daemon.packs / "hello", "hello", "1.0.1")
        daemon.wait_active("hello", "1.0.1")
        assert _shown(daemon)["hello#1"] == "keep is also the content of a revision that stays"
    finally:
        daemon.stop()


def _shown(daemon: Daemon) -> dict[str, str]:
    """What `packd sweep --dry-run` says of each revision."""
    lines = (line.split(None, 1) for line in daemon.cli("sweep", "--dry-run").stdout.splitlines()[1:])
    return {name: " ".join(said.split()) for name, said in lines}


def test_drift_is_told_and_put_right(daemon: Daemon, receiver: Receiver) -> None:
    """A file of the tree in use that somebody changed is found, told of, and is again what was tested."""
    daemon.start()
    write_pack(daemon.packs / "hello", "hello")
    daemon.wait_active("hello", "1.0.0")
    script = (daemon.state / "active" / "hello" / "actions" / "greet.sh").resolve()
    script.parent.chmod(0o755)
    script.chmod(0o644)
    script.write_text("echo changed\n")
    drifts = _ask(daemon, "/verify")["drifts"]
    assert [(drift["ref"], drift["repaired"]) for drift in drifts] == [("hello", True)]
    assert (daemon.state / "active" / "hello" / "actions" / "greet.sh").read_text() == "#!/bin/sh\necho hello\n"
    assert receiver.wait_for("pack.drifted", "hello").event["data"]["repaired"] is True
    assert _ask(daemon, "/verify")["drifts"] == []


def _ask(daemon: Daemon, path: str) -> dict[str, Any]:
    from packd.client import Client

    data: dict[str, Any] = Client(daemon.socket).post(path)["data"]
    return data


def test_no_room(daemon: Daemon) -> None:
    """Below the floor nothing new is taken, and it is said in the log, the feed and readiness; room brings it all back."""
    daemon.start()
    _settings(daemon, retention={"min_free_mb": 1_000_000_000})
    daemon.wait_until(lambda: bool(_seen(daemon, "config.reloaded")), "the floor")
    write_pack(daemon.packs / "hello", "hello")
    daemon.wait_until(lambda: bool(_seen(daemon, "drop.put_off")), "the drop to be put off")
    assert _seen(daemon, "watch.degraded")[0]["reason"] == "disk"
    health = json.loads(daemon.cli("status", "--json").stdout)["health"]
    for command in ("why", "show", "retry"):
        answer = daemon.cli(command, "hello")
        assert answer.returncode == 1
        said = " ".join((answer.stdout + answer.stderr).split())
        assert "'hello' lies in the packs directory and was not read yet: only " in said
        assert "nothing new is taken until there is room" in said
    wrong = [(one["part"], one["grade"]) for one in health if one["grade"] != "warning"]  # the clock of this machine
    assert wrong == [("disk", "unready")]
    _settings(daemon, retention={"min_free_mb": 0})
    daemon.wait_active("hello", "1.0.0")
    assert _seen(daemon, "watch.recovered")[0]["reason"] == "disk"


def test_a_bad_configuration_changes_nothing(daemon: Daemon) -> None:
    """The error names the line, the old one stays, and a good one is taken as soon as it is there, without a signal."""
    daemon.start()
    good = daemon._config.read_text()
    _settings(daemon, watch={"quite_ms": 1})
    daemon.wait_until(lambda: bool(_seen(daemon, "config.rejected")), "the refusal")
    (refused,) = _seen(daemon, "config.rejected")
    assert f"{daemon._config}:" in refused["problems"][0]
    assert "quite_ms" in refused["problems"][0]
    configuration = json.loads(daemon.cli("status", "--json").stdout)["configuration"]
    assert configuration["state"] == "rejected"
    daemon._config.write_text(good.replace("quiet_ms: 200", "quiet_ms: 100"))
    daemon.wait_until(lambda: bool(_seen(daemon, "config.reloaded")), "the good one")
    assert _seen(daemon, "config.reloaded")[0]["applied"] == ["watch.quiet_ms"]


def test_a_reload_drops_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """A run under way goes on, deliveries leave, and what needs a restart is said."""
    basic, go = {"isolation": "basic"}, tmp_path / "go"  # the suite has to see a file out here
    hooks = [{"name": "test", "url": receiver.url, "secret": SECRET}]
    daemon = Daemon(tmp_path, webhooks=hooks, tests=basic)
    daemon.start()
    try:
        write_pack(daemon.packs / "slow", "slow", test=until_exists(go))
        daemon.wait_until(lambda: bool(_seen(daemon, "pack.test_started")), "the run")
        _settings(daemon, tests={**basic, "timeout_s": 50, "workers": 7})
        daemon.wait_until(lambda: bool(_seen(daemon, "config.needs_restart")), "what needs a restart")
        assert _seen(daemon, "config.needs_restart")[0]["keys"] == ["tests.workers"]
        assert _seen(daemon, "config.reloaded")[0]["applied"] == ["tests.timeout_s"]
        go.touch()
        daemon.wait_active("slow", "1.0.0")
        receiver.wait_for("pack.registered", "slow")
        assert len(_seen(daemon, "pack.test_started")) == 1
    finally:
        daemon.stop()


def test_revalidation(tmp_path: Path) -> None:
    """A pack in use whose tests fail later is told of and stays in use; with the policy it is rolled back."""
    from packd.bootstrap import build
    from packd.config import load

    poison = tmp_path / "poison"
    daemon = Daemon(tmp_path, rollback={"on_revalidation": False}, tests={"isolation": "basic"})
    for version in ("1.0.0", "2.0.0"):
        write_pack(daemon.packs / "hello", "hello", version, test=f"test ! -e {poison} || test {version} = 1.0.0")
        assert daemon.once() == 0
    parts = build(load(daemon._config, {}, {"packs_dir": daemon.packs, "state_dir": daemon.state}))
    try:
        assert parts.revalidation.run() == {"hello": "passed"}
        poison.touch()
        assert parts.revalidation.run() == {"hello": "failed"}
        assert [one["revision"] for one in parts.status.view()["not_passing_any_more"]] == [2]
        with parts.registry.read() as connection:
            active = queries.active_revision(connection, "hello")
            last = queries.run_history(connection, "hello")[0]
        assert active is not None
        assert (active.version, last.trigger_reason, last.source) == ("2.0.0", "validation", "schedule")
        parts.revalidation.follow(roll_back=True)
        assert parts.revalidation.run() == {"hello": "failed"}
        with parts.registry.read() as connection:
            active = queries.active_revision(connection, "hello")
        assert active is not None
        assert active.version == "1.0.0"
    finally:
        parts.executor.close(0)
        parts.lanes.stop(5)
        parts.database.close()


def test_audit(daemon: Daemon) -> None:
    """Who changed something is on record by user and process, with the answer; and so is what came into use, and why."""
    daemon.start()
    for version in ("1.0.0", "2.0.0"):
        write_pack(daemon.packs / "hello", "hello", version)
        daemon.wait_active("hello", version)
    assert daemon.cli("rollback", "hello").returncode == 0
    assert daemon.cli("rollback", "nothing").returncode == 1
    daemon.wait_until(lambda: len(_audit(daemon)) == 5, "everything to be on record")
    entries = _audit(daemon)
    assert [one["status"] for one in entries if one["request_id"]] == [404, 200]
    by = f"uid={os.getuid()} pid="
    assert all(one["actor"].startswith(by) for one in entries if one["request_id"])
    assert {one["what"]: one["actor"].split(" ")[0] for one in entries if not one["request_id"]} == {
        "hello#1 registered": "watch", "hello#2 updated": "watch", "hello#1 rolled back": f"uid={os.getuid()}",
    }  # fmt: skip
    assert [one["what"] for one in _audit(daemon, "--actor", "watch")] == ["hello#2 updated", "hello#1 registered"]


def _audit(daemon: Daemon, *options: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(daemon.cli("audit", "--json", *options).stdout)
    return entries


def test_probation(tmp_path: Path, receiver: Receiver) -> None:
    """A pack that stops being healthy after it came into use is rolled back, with the reason `probation`."""
    sick = tmp_path / "sick"
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}],
                    rollback={"probation_s": 600}, tests={"isolation": "basic"})  # fmt: skip
    daemon.start()
    try:
        write_pack(daemon.packs / "hello", "hello", "1.0.0")
        daemon.wait_active("hello", "1.0.0")
        health = f'health: {{command: "test ! -e {sick}", every: 0.5}}\n'
        write_pack(daemon.packs / "hello", "hello", "2.0.0", extra=health)
        daemon.wait_active("hello", "2.0.0")
        sick.touch()
        told = receiver.wait_for("pack.rolled_back", "hello").event["data"]
        assert (told["reason"], told["failed"]["version"], told["restored"]["version"]) == (
            "probation",
            "2.0.0",
            "1.0.0",
        )
        daemon.wait_active("hello", "1.0.0")
        assert 'packd_probation_probes_total{outcome="failed"} 1.0' in daemon.metrics()
        assert "because its health command did not pass" in (daemon.packs / "hello.failed").read_text()
    finally:
        daemon.stop()


def test_a_health_command_that_can_not_be_used(tmp_path: Path) -> None:
    """Whoever dropped the pack is told, by `why` and beside the drop; the pack is in use all the same."""
    daemon = Daemon(tmp_path, markers="all", rollback={"probation_s": 600})
    daemon.start()
    try:
        write_pack(daemon.packs / "hello", "hello", extra="health: {command: bin/ask, every: often}\n")
        daemon.wait_active("hello", "1.0.0")
        said = "warning: pack.yaml:7:35: health.every must be a number of seconds"
        assert said in " ".join(daemon.cli("why", "hello").stdout.split())
        assert said in (daemon.packs / "hello.active").read_text()
    finally:
        daemon.stop()


def test_probation_of_a_first_revision(tmp_path: Path, receiver: Receiver) -> None:
    """With nothing to go back to nothing of it is in use, and `why` says so; what packs in use need stays, and is told."""
    sick = tmp_path / "sick"
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}],
                    rollback={"probation_s": 600}, tests={"isolation": "basic"})  # fmt: skip
    daemon.start()
    try:
        health = f'health: {{command: "test ! -e {sick}", every: 0.5}}\n'
        for ref in ("alone", "needed"):
            write_pack(daemon.packs / ref, ref, extra=health)
        write_pack(daemon.packs / "user", "user", needs="needed")
        for ref in ("alone", "needed", "user"):
            daemon.wait_active(ref, "1.0.0")
        sick.touch()
        told = receiver.wait_for("pack.rolled_back", "alone").event["data"]
        assert (told["reason"], told["failed"]["revision"], told["restored"]) == ("probation", 1, None)
        assert not (daemon.state / "active" / "alone").is_symlink()
        why = daemon.cli("why", "alone")
        assert why.returncode == 1
        assert "nothing of this pack is in use" in why.stdout
        assert "its `health` command failed on probation" in why.stdout
        daemon.wait_until(lambda: bool(_seen(daemon, "probation.stays")), "what becomes of the other")
        assert "packs in use need needed#1 (user)" in _seen(daemon, "probation.stays")[0]["why"]
        assert daemon.cli("why", "needed").returncode == 0
        sick.unlink()
        assert daemon.cli("retry", "alone").returncode == 0
        daemon.wait_active("alone", "1.0.0")
    finally:
        daemon.stop()
