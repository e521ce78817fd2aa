"""What Prometheus is told: by the documented names, true, and in a form that its own tool takes."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from packd.bootstrap import Parts, build
from packd.config import load
from packd.domain.deliveries import Outcome
from packd.domain.event_data import PackDrifted, PackRegistered, PackRolledBack, PackTestFailed, PackTestPassed
from packd.domain.lifecycle import Phase
from packd.flow.clock import Clock
from packd.flow.dispatch import Dispatcher
from packd.registry import outbox
from packd.registry.rows import Delivery, Drop, Endpoint
from packd.snapshot import sizes
from packd.snapshot.sizes import Sizes, Total
from tests.unit.doors_ground import Ground, made_ground
from tests.unit.registry_ground import a_revision, an_endpoint


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


def promtool() -> str:
    """Prometheus' own tool; without it the test says so, and in CI fails."""
    found = shutil.which("promtool")
    if found is None:
        message = "promtool is not installed: apt-get install prometheus"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def scraped(ground: Ground) -> str:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(ground.socket))
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    text = response.read().decode()
    connection.close()
    return text


def values(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values…) → value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Postman:
    """Stands for the courier: each endpoint answers as its name says."""

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Any) -> None:
        answers = {"well": Outcome(status=204), "ill": Outcome(status=500), "gone": Outcome(status=410)}
        done(delivery, answers[endpoint.name])


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Of a daemon that was built and not started, in which something of everything has happened."""
    with made_parts(tmp_path_factory.mktemp("metrics")) as made:
        yield made


@contextmanager
def made_parts(folder: Path) -> Iterator[Parts]:
    (folder / "state").mkdir(mode=0o700)
    made = build(load(None, {}, {"packs_dir": folder / "packs", "state_dir": folder / "state"}))
    happen(made)
    yield made
    made.executor.close(0)
    made.lanes.stop(5)
    made.database.close()


def happen(parts: Parts) -> None:
    with parts.registry.write() as tx:
        for name in ("well", "ill", "gone"):
            outbox.save_endpoint(tx.connection, an_endpoint(name))
    dispatcher = Dispatcher(
        registry=parts.registry, courier=Postman(), clock=Clock(), on_attempt=parts.metrics.attempted
    )
    with parts.registry.write() as tx:
        for data in (PackRegistered, PackTestPassed, PackTestFailed, PackRolledBack, PackDrifted):
            tx.emit(data.model_validate(data.example()), correlation_id="chg_1")
        tx.claim_pack("core", drop_name="core", path="/srv/packs/core")
        tx.add_revision(a_revision("core", 1, Phase.SUPERSEDED))
        tx.add_revision(a_revision("core", 2, Phase.ACTIVE))
        tx.claim_pack("web", drop_name="web", path="/srv/packs/web")
        tx.add_revision(a_revision("web", 1, Phase.FAILED))
        tx.save_drop(Drop(name="odd", kind="folder", problems=({"code": "manifest.missing", "message": "none"},)))
    for _ in range(12):
        dispatcher.turn()
    parts.metrics.staged("validate", 0.25)
    parts.metrics.probed(True)
    parts.metrics.swept({"snapshots": 2, "events": 7})
    parts.metrics.completed("reconcile")
    parts.metrics.completed("integrity")
    snapshot = parts.store.path("sha256:" + "a" * 64)
    snapshot.mkdir()
    (snapshot / "pack.yaml").write_text("ref: core\n")
    parts.readings.look()


def test_every_documented_name_is_there_and_says_what_is_true(parts: Parts) -> None:
    """Webhooks by endpoint, and the rest of the daemon."""
    found = values(parts.metrics.exposition().decode())
    assert found["packd_webhook_attempts_total", "well", "delivered"] > 1
    assert found["packd_webhook_attempts_total", "ill", "retry"] == 1
    assert found["packd_webhook_attempts_total", "gone", "held"] == 1
    assert found["packd_webhook_delivery_duration_seconds_count", "well"] > 1
    assert found["packd_webhook_backlog", "ill", "retrying"] == 1
    assert found["packd_webhook_backlog", "gone", "held"] > 1
    assert found["packd_webhook_oldest_undelivered_seconds", "ill"] > 0
    assert found["packd_webhook_oldest_undelivered_seconds", "well"] == 0
    assert found["packd_webhook_endpoint_state", "gone", "disabled"] == 1
    assert found["packd_webhook_endpoint_state", "well", "enabled"] == 1
    assert found["packd_revisions_total", "registered"] == 1
    assert found["packd_revisions_total", "rejected"] == 0
    assert found["packd_events_total", "pack.drifted"] == 1
    assert found["packd_events_total", "watch.degraded"] == 0
    assert found["packd_test_runs_total", "passed"] == found["packd_test_runs_total", "failures"] == 1
    assert found["packd_rollbacks_total", "tests_failed"] == 1
    assert found["packd_probation_probes_total", "passed"] == 1
    assert found["packd_swept_total", "events"] == 7
    assert found["packd_stage_duration_seconds_count", "validate"] == 1
    assert found["packd_stage_duration_seconds_count", "test"] == 0
    assert found["packd_activation_duration_seconds_sum",] == pytest.approx(2.3104)
    assert found["packd_last_completed_timestamp_seconds", "sweep"] == pytest.approx(time.time(), abs=600)
    assert found["packd_queue_depth", "jobs"] == 0
    assert found["packd_watch_state", "degraded"] == 1  # nobody watches yet
    assert found["packd_watch_troubles", "overflow"] == 0
    assert found["packd_packs", "active"] == 1
    assert found["packd_packs", "refused"] == 2
    assert found["packd_packs_not_passing",] == 0
    assert found["packd_store_snapshots",] == 1
    assert found["packd_store_bytes",] == 4096
    assert found["packd_environments_bytes",] == 0
    database = parts.settings.state_dir / "packd.db"
    assert found["packd_database_bytes", "database"] == database.stat().st_size
    assert found["packd_database_bytes", "wal"] == database.with_name("packd.db-wal").stat().st_size > 0
    assert found["packd_disk_free_bytes",] > 0
    assert found["packd_disk_floor_bytes",] == parts.settings.retention.min_free_mb * 1024 * 1024
    assert found["packd_inotify_instances_limit",] >= found["packd_inotify_instances",]
    assert found["packd_inotify_watches_limit",] > found["packd_inotify_watches",]
    assert found["packd_isolation_rung", parts.executor.isolation] == 1
    assert sum(value for name, value in found.items() if name[0] == "packd_isolation_rung") == 1
    assert found["packd_ready",] == 0
    assert found["packd_ailments", "dying"] > 0
    assert any(name == "packd_build_info" for name, *_ in found)


def test_troubles_are_seen_at_the_next_scrape(parts: Parts) -> None:
    """A watch that is degraded says why; what is over is over."""
    parts.keeper.lost_root("it is gone")
    assert values(parts.metrics.exposition().decode())["packd_watch_troubles", "root_missing"] == 1
    parts.keeper.found_root()
    assert values(parts.metrics.exposition().decode())["packd_watch_troubles", "root_missing"] == 0


def test_an_endpoint_that_was_removed_has_no_series_any_more(tmp_path: Path) -> None:
    """Nor does it take memory; one that comes back begins anew."""
    with made_parts(tmp_path) as parts:

        def told() -> set[str]:
            found = values(parts.metrics.exposition().decode())
            return {name for family, name, *_ in (key for key in found if len(key) > 1) if "webhook" in family}

        parts.metrics.exposition()
        assert told() == {"well", "ill", "gone"}
        with parts.registry.write() as tx:
            outbox.set_endpoint_state(tx.connection, ["ill"], state="removed", reason=None)
        parts.metrics.exposition()
        assert told() == {"well", "gone"}


def test_a_part_that_can_not_answer_leaves_the_others_be(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own metrics are not there; a scrape never fails for it."""

    def fail() -> int:
        raise OSError("no such disk")

    monkeypatch.setattr(parts.space, "free_bytes", fail)
    found = values(parts.metrics.exposition().decode())
    assert ("packd_disk_free_bytes",) not in found
    assert ("packd_watch_folders",) in found


def test_what_is_dear_is_not_there_before_it_was_looked_at(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no number than a wrong one; and no scrape walks the store."""
    monkeypatch.setattr(parts.readings, "_last", None)
    monkeypatch.setattr(parts.store, "digests", pytest.fail)
    assert ("packd_store_bytes",) not in values(parts.metrics.exposition().decode())


def test_a_snapshot_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file in whole blocks; what is gone counts no more."""
    for name, size in (("a", 1), ("b", 4097)):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_bytes(b"x" * size)
    folder = sizes.on_disk(tmp_path / "a") - 4096  # what the file system takes for a folder
    measured = Sizes()
    assert measured.total([tmp_path / "a", tmp_path / "b"]) == Total(folders=2, bytes=2 * folder + 3 * 4096)
    monkeypatch.setattr(sizes, "on_disk", pytest.fail)
    assert measured.total([tmp_path / "b"]) == Total(folders=1, bytes=folder + 2 * 4096)


def test_promtool_has_nothing_to_say(parts: Parts) -> None:
    """`promtool check metrics`: names, units, help texts."""
    checked = subprocess.run(
        [promtool(), "check", "metrics"], input=parts.metrics.exposition(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr + checked.stdout) == (0, b"")


def test_it_is_at_the_root(ground: Ground) -> None:
    """Where Prometheus looks."""
    assert "packd_build_info" in scraped(ground)
