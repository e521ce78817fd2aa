"""What a running daemon tells Prometheus, and what the shipped alerts and the dashboard ask of it, are the same."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from daemon import Daemon
from packs import write_pack
from prometheus_client.parser import text_string_to_metric_families
from receiver import Receiver

from tests import monitoring

# Told, and neither shown nor alerted on, each for a reason.
ABSENT = {
    "process_virtual_memory_bytes": "says nothing that resident memory does not",
    "python": "packd_build_info has the version of Python",
}


def scraped(daemon: Daemon) -> str:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(daemon.socket))
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_what_is_asked_is_told_and_what_is_told_is_asked(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """No alert and no panel waits for a name or a value that nobody tells, and nothing is told for nobody."""
    daemon.start()
    write_pack(tmp_path / "hello", "hello").rename(daemon.packs / "hello")
    receiver.wait_for("pack.registered", "hello")
    daemon.wait_until(lambda: "packd_store_bytes" in scraped(daemon), "the store to be measured")
    daemon.wait_until(lambda: 'chore="reconcile"' in scraped(daemon), "the first comparison")
    families = list(text_string_to_metric_families(scraped(daemon)))
    told = {monitoring.family(one.name) for one in families}
    asked = monitoring.asked()
    assert asked - told == set()
    assert told - asked == ABSENT.keys()
    values = {(sample.name, *label) for one in families for sample in one.samples for label in sample.labels.items()}
    later = {
        ("packd_last_completed_timestamp_seconds", "chore", "sweep"),  # within the hour
        ("packd_last_completed_timestamp_seconds", "chore", "integrity"),  # within the day
        ("packd_webhook_attempts_total", "outcome", "exhausted"),  # counted by endpoint, once there is one
    }
    assert set(monitoring.matched()) - values - later == set()
