"""What Prometheus is told: by the documented names, true, and in a form that its own tool takes."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from packd.domain.deliveries import Outcome
from packd.flow.clock import Clock
from packd.flow.dispatch import Dispatcher
from packd.flow.metrics import Metrics
from packd.registry import outbox
from packd.registry.registry import Registry
from tests.unit.doors_ground import Ground, made_ground
from tests.unit.registry_ground import an_endpoint
from tests.unit.registry_ground import made_ground as made_registry

ALERTS = Path(__file__).parents[2] / "config" / "prometheus-alerts.yaml"


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


def busy(registry: Registry) -> Metrics:
    """Something of everything has happened."""
    metrics = Metrics(registry=registry, clock=Clock())
    registry.on_commit(metrics.committed)
    metrics.ask_status(
        lambda: {
            "queue": {"settling": 1, "jobs": 3, "testing": []},
            "watch": {"state": "degraded", "watches": 7, "folders": 9, "limit": None},
            "packs": {"active": 2, "total": 3},
        }
    )
    metrics.staged("validate", 0.25)

    class Postman:
        def carry(self, endpoint, delivery, done):
            answers = {"well": Outcome(status=204), "ill": Outcome(status=500), "gone": Outcome(status=410)}
            done(delivery, answers[endpoint.name])

    with registry.write() as tx:
        for name in ("well", "ill", "gone"):
            outbox.save_endpoint(tx.connection, an_endpoint(name))
    dispatcher = Dispatcher(registry=registry, courier=Postman(), clock=Clock(), on_attempt=metrics.attempted)
    from packd.domain.event_data import PackRegistered

    with registry.write() as tx:
        tx.emit(PackRegistered.model_validate(PackRegistered.example()), correlation_id="chg_1")
    dispatcher.turn()
    dispatcher.turn()
    return metrics


def test_every_documented_name_is_there_and_says_what_is_true(tmp_path: Path) -> None:
    """Webhooks by endpoint, and the rest of the daemon."""
    with made_registry("sqlite", tmp_path) as ground:
        found = values(busy(ground.registry).exposition().decode())
    assert found["packd_webhook_attempts_total", "well", "delivered"] == 1
    assert found["packd_webhook_attempts_total", "ill", "retry"] == 1
    assert found["packd_webhook_attempts_total", "gone", "held"] == 1
    assert found["packd_webhook_delivery_duration_seconds_count", "well"] == 1
    assert found["packd_webhook_backlog", "ill", "retrying"] == 1
    assert found["packd_webhook_backlog", "gone", "held"] == 1
    assert found["packd_webhook_oldest_undelivered_seconds", "ill"] > 0
    assert found["packd_webhook_oldest_undelivered_seconds", "well"] == 0
    assert found["packd_webhook_endpoint_state", "gone", "disabled"] == 1
    assert found["packd_webhook_endpoint_state", "well", "enabled"] == 1
    assert found["packd_revisions_total", "registered"] == 1
    assert found["packd_revisions_total", "failed"] == 0
    assert found["packd_stage_duration_seconds_count", "validate"] == 1
    assert found["packd_queue_depth", "jobs"] == 3
    assert found["packd_watch_state", "degraded"] == 1
    assert found["packd_packs", "active"] == 2
    assert any(name == "packd_build_info" for name, *_ in found)


def test_promtool_has_nothing_to_say(tmp_path: Path) -> None:
    """`promtool check metrics`: names, units, help texts."""
    tool = promtool()
    with made_registry("sqlite", tmp_path) as ground:
        text = busy(ground.registry).exposition()
    checked = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr + checked.stdout) == (0, b"")


def test_promtool_takes_the_alert_rules() -> None:
    """`promtool check rules`."""
    checked = subprocess.run([promtool(), "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_alerts_speak_of_metrics_that_there_are(tmp_path: Path) -> None:
    """A rule about a name that nobody exposes never fires."""
    with made_registry("sqlite", tmp_path) as ground:
        exposed = {name for name, *_ in values(busy(ground.registry).exposition().decode())}
    asked = set(re.findall(r"packd_[a-z_]+", ALERTS.read_text()))
    assert asked <= exposed


def test_it_is_at_the_root(ground: Ground) -> None:
    """Where Prometheus looks."""
    assert "packd_build_info" in scraped(ground)
