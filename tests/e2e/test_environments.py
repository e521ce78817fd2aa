"""From the dropped folder: a pack gets what it declares, and what failed for the network's sake mends itself."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from packs import write_pack

from packd.bootstrap import build
from packd.client import Client
from packd.config import load
from packd.daemon import _begin, _stop
from packd.domain.failures import Failure
from packd.flow import second_chances
from packd.registry import queries
from packd.service.notify import Notifier
from tests.unit.environments_ground import Index, served_index
from tests.waiting import wait_until

TEST = "python3 -c 'import hue; print(hue.VERSION)'"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with served_index(tmp_path / "index") as served:
        served.add("hue", "1.0")
        yield served


def needy_pack(folder: Path, version: str = "1.0.0") -> Path:
    write_pack(folder, folder.name, version, test=TEST)
    (folder / "requirements.txt").write_text("hue\n")
    return folder


def latest(daemon: Daemon, ref: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(daemon.cli("tests", ref, "--run", "latest", "--json").stdout)
    return said


def test_a_pack_with_packages(tmp_path: Path, index: Index) -> None:
    """It becomes active, its report says what it ran with, its next revision builds nothing, `--rebuild` does."""
    daemon = Daemon(tmp_path, tests={"index_url": index.url})
    daemon.start()
    try:
        needy_pack(daemon.packs / "needy")
        daemon.wait_active("needy", "1.0.0")
        assert latest(daemon, "needy")["report"]["environment"]["packages"] == ["hue==1.0"]
        asked = len(index.asked)
        needy_pack(daemon.packs / "needy", "1.1.0")
        daemon.wait_active("needy", "1.1.0")
        assert len(index.asked) == asked
        index.add("hue", "2.0")
        assert daemon.cli("test", "needy", "--rebuild").returncode == 0
        assert latest(daemon, "needy")["report"]["environment"]["packages"] == ["hue==2.0"]
        told: list[tuple[str, dict[str, Any]]] = []
        client = Client(daemon.socket)
        client.post_live("/packs/needy/test", {}, on_message=lambda *said: told.append(said))
        assert [said["status"] for name, said in told if name == "case"] == ["passed"]
        told.clear()
        client.post_live("/packs/needy/test", {"rebuild": True}, on_message=lambda *said: told.append(said))
        assert [said.get("text", name) for name, said in told] == [
            "started",
            "making an environment (uv venv)",
            "installing Python packages (uv pip install)",
            "case",
            "suite",
        ]
    finally:
        assert daemon.stop() == 0


def test_the_run_of_a_dropped_pack_can_be_followed(tmp_path: Path, index: Index) -> None:
    """From whenever one comes: what it has told so far, its cases as they end, and then what came of it."""
    daemon = Daemon(tmp_path, tests={"index_url": index.url, "isolation": "basic"})  # it has to see a file out here
    daemon.start()
    go = tmp_path / "go"
    try:
        pack = needy_pack(tmp_path / "needy")
        (pack / "pack.yaml").write_text(
            "ref: needy\nversion: '1.0.0'\ntesting: {runners: {unit: {type: unittest, entry_point: tests/test_slow.py}}}\n"
        )
        (pack / "tests" / "test_slow.py").write_text(
            "import os, time, unittest\nclass Slow(unittest.TestCase):\n    def test_a(self): pass\n"
            f"    def test_b(self):\n        while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        )
        told: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        pack.rename(daemon.packs / "needy")
        client = Client(daemon.socket)
        daemon.wait_until(lambda: has_run(client, "needy"), "its run to begin")
        with ThreadPoolExecutor(1) as threads:
            ended = threads.submit(client.follow_run, "needy", "latest", on_message=lambda *said: told.put(said))
            try:
                messages = [told.get(timeout=30) for _ in range(3)]
                assert not ended.done()
            finally:
                go.touch()
            assert [said.get("text") or said["name"] for _, said in messages] == [
                "making an environment (uv venv)",
                "installing Python packages (uv pip install)",
                "test_slow.Slow.test_a",
            ]
            assert ended.result(30)["data"]["report"]["passed"] == 2
        assert told.get_nowait()[1]["name"] == "test_slow.Slow.test_b"
        followed = daemon.cli("tests", "needy", "--follow")
        assert followed.returncode == 0, followed.stderr
        assert "test_slow.Slow.test_b" in followed.stdout
        with pytest.raises(Failure, match="has no run"):
            client.follow_run("needy", "run_unknown", on_message=lambda *_: None)
    finally:
        go.touch()
        assert daemon.stop() == 0


def has_run(client: Client, ref: str) -> bool:
    try:
        return bool(client.get(f"/packs/{ref}/tests")["items"])
    except Failure:  # not known yet
        return False


def test_what_the_network_broke_mends_itself(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack whose packages could not be fetched fails, is tried again by the schedule, and becomes active."""
    monkeypatch.setattr(second_chances, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    config = tmp_path / "packd.yaml"
    config.write_text(
        f"packs_dir: {tmp_path}/packs\nstate_dir: {tmp_path}/state\ntests: {{index_url: '{index.url}'}}\n"
        "watch: {quiet_ms: 0}\n"
    )
    (tmp_path / "packs").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    needy_pack(tmp_path / "packs" / "needy")
    write_pack(tmp_path / "packs" / "typo", "typo")
    (tmp_path / "packs" / "typo" / "requirements.txt").write_text("no-such-package\n")
    index.broken = True
    parts = build(load(config, {"HOME": str(tmp_path)}, {}))
    try:
        _begin(parts)
        parts.reconciler.run()
        settle(parts)
        assert phases(parts) == {"needy": "failed", "typo": "failed"}
        assert parts.second_chances.run() == ["needy", "typo"]  # nobody could know better while nothing was to be had
        settle(parts)
        assert phases(parts) == {"needy": "failed", "typo": "failed"}
        index.broken = False
        assert parts.second_chances.run() == ["needy", "typo"]
        settle(parts)
        assert phases(parts) == {"needy": "active", "typo": "failed"}
        assert parts.second_chances.run() == []  # the rest is for the pack's author
        with parts.registry.read() as connection:
            assert queries.run_history(connection, "needy")[0].source == "schedule"
    finally:
        _stop(parts, None, Notifier({}))
        parts.database.close()


def settle(parts: Any) -> None:
    def is_at_rest() -> bool:
        with parts.settling._wake:  # meanwhile nothing can be put off, nor be handed over to a lane
            return not (parts.settling.waiting() or parts.lanes.depth())

    wait_until(is_at_rest)


def phases(parts: Any) -> dict[str, str]:
    with parts.registry.read() as connection:
        return {revision.ref: str(revision.phase) for revision in queries.latest_revisions(connection)}
