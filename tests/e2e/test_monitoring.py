"""What a running daemon tells Prometheus, and what the shipped alerts and the dashboard ask of it, are the same."""

from __future__ import annotations

from pathlib import Path

from daemon import Daemon
from packs import write_pack
from prometheus_client.parser import text_string_to_metric_families
from receiver import Receiver

from packd.client import Client
from tests import monitoring

# Told, and neither shown nor alerted on, each for a reason.
ABSENT = {
    "process_virtual_memory_bytes": "says nothing that resident memory does not",
    "python": "packd_build_info has the version of Python",
}


def test_what_is_asked_is_told_and_what_is_told_is_asked(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """No alert and no panel waits for a name or a value that nobody tells, and nothing is told for nobody."""
    daemon.start()
    write_pack(tmp_path / "hello", "hello").rename(daemon.packs / "hello")
    receiver.wait_for("pack.registered", "hello")
    daemon.wait_until(lambda: "packd_store_bytes" in daemon.metrics(), "the store to be measured")
    daemon.wait_until(lambda: 'chore="reconcile"' in daemon.metrics(), "the first comparison")
    assert daemon.cli("sweep").returncode == 0
    Client(daemon.socket).post("/verify")
    families = list(text_string_to_metric_families(daemon.metrics()))
    told = {monitoring.family(one.name) for one in families}
    asked = monitoring.asked()
    assert asked - told == set()
    assert told - asked == ABSENT.keys()
    values = {(sample.name, *label) for one in families for sample in one.samples for label in sample.labels.items()}
    later = {("packd_webhook_attempts_total", "outcome", "exhausted")}  # counted by endpoint, once there is one
    assert set(monitoring.matched()) - values - later == set()
