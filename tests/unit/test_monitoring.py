"""The alerts fire when they should and at no other time; the dashboard is one that Grafana and Prometheus take."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import monitoring

JOB = 'instance="a", job="packd"'

# alert → (series that make it fire, the minute when it does, series that do not)
CASES: dict[str, tuple[dict[str, str], int, dict[str, str]]] = {
    "PackdDown": ({f"up{{{JOB}}}": "0x30"}, 5, {f"up{{{JOB}}}": "0 0 1x30"}),
    "PackdNotReady": ({f"packd_ready{{{JOB}}}": "0x30"}, 10, {f"packd_ready{{{JOB}}}": "0 0 0 1x30"}),
    "PackdRestarts": (
        {f"process_start_time_seconds{{{JOB}}}": "1 1 2 3 3 4 5 5 5 5 5"},
        10,
        {f"process_start_time_seconds{{{JOB}}}": "1 1 2 3 3 4 4 4 4 4 4"},
    ),
    "PackdWatchDegraded": (
        {f'packd_watch_state{{{JOB}, state="degraded"}}': "1x30"},
        15,
        {f'packd_watch_state{{{JOB}, state="degraded"}}': "1 1 1 0x30"},
    ),
    "PackdWatchesRunningOut": (
        {f"packd_inotify_watches{{{JOB}}}": "950x30", f"packd_inotify_watches_limit{{{JOB}}}": "1000x30"},
        15,
        {f"packd_inotify_watches{{{JOB}}}": "850x30", f"packd_inotify_watches_limit{{{JOB}}}": "1000x30"},
    ),
    "PackdInotifyInstancesRunningOut": (
        {f"packd_inotify_instances{{{JOB}}}": "127x30", f"packd_inotify_instances_limit{{{JOB}}}": "128x30"},
        15,
        {f"packd_inotify_instances{{{JOB}}}": "12x30", f"packd_inotify_instances_limit{{{JOB}}}": "128x30"},
    ),
    "PackdDiskLow": (
        {f"packd_disk_free_bytes{{{JOB}}}": "150x30", f"packd_disk_floor_bytes{{{JOB}}}": "100x30"},
        10,
        {f"packd_disk_free_bytes{{{JOB}}}": "250x30", f"packd_disk_floor_bytes{{{JOB}}}": "100x30"},
    ),
    "PackdDiskFillsUp": (
        {f"packd_disk_free_bytes{{{JOB}}}": "10000-6x600", f"packd_disk_floor_bytes{{{JOB}}}": "100x600"},
        600,
        {f"packd_disk_free_bytes{{{JOB}}}": "10000-1x600", f"packd_disk_floor_bytes{{{JOB}}}": "100x600"},
    ),
    "PackdWalGrows": (
        {f'packd_database_bytes{{{JOB}, file="wal"}}': "300000000x60"},
        45,
        {f'packd_database_bytes{{{JOB}, file="wal"}}': "200000000x60"},
    ),
    "PackdChoreOverdue": (
        {f'packd_last_completed_timestamp_seconds{{{JOB}, chore="reconcile"}}': "0x120"},
        90,
        {
            f'packd_last_completed_timestamp_seconds{{{JOB}, chore="reconcile"}}': "0+60x120",
            f'packd_last_completed_timestamp_seconds{{{JOB}, chore="sweep"}}': "0x120",
            f'packd_last_completed_timestamp_seconds{{{JOB}, chore="integrity"}}': "0x120",
        },
    ),
    "PackdClockUnsynchronised": (
        {
            f"packd_clock_synchronised{{{JOB}}}": "0x90",
            f'packd_webhook_endpoint_state{{{JOB}, endpoint="ci", state="enabled"}}': "1x90",
        },
        80,
        {f"packd_clock_synchronised{{{JOB}}}": "0x90"},  # nobody is told of anything
    ),
    "PackdTestsNotIsolated": (
        {f'packd_isolation_rung{{{JOB}, rung="basic"}}': "1x90"},
        80,
        {
            f'packd_isolation_rung{{{JOB}, rung="basic"}}': "0x90",
            f'packd_isolation_rung{{{JOB}, rung="bwrap"}}': "1x90",
        },
    ),
    "PackdDrifted": (
        {f'packd_events_total{{{JOB}, type="pack.drifted"}}': "0 0 1x20"},
        10,
        {f'packd_events_total{{{JOB}, type="pack.updated"}}': "0 0 1x20"},
    ),
    "PackdRolledBackOnProbation": (
        {f'packd_rollbacks_total{{{JOB}, reason="probation"}}': "0 0 1x20"},
        10,
        {f'packd_rollbacks_total{{{JOB}, reason="operator"}}': "0 0 1x20"},
    ),
    "PackdPacksNotPassing": (
        {f"packd_packs_not_passing{{{JOB}}}": "2x30"},
        20,
        {f"packd_packs_not_passing{{{JOB}}}": "0x30"},
    ),
    "PackdRevisionsRefused": (
        {f'packd_revisions_total{{{JOB}, outcome="failed"}}': "0+1x30"},
        30,
        {f'packd_revisions_total{{{JOB}, outcome="updated"}}': "0+1x30"},
    ),
    "PackdQueueStuck": (
        {f'packd_queue_depth{{{JOB}, queue="jobs"}}': "3x60"},
        45,
        {f'packd_queue_depth{{{JOB}, queue="jobs"}}': "3x20 0 3x60"},
    ),
    "PackdWebhookDisabled": (
        {f'packd_webhook_endpoint_state{{{JOB}, endpoint="ci", state="disabled"}}': "1x20"},
        5,
        {f'packd_webhook_endpoint_state{{{JOB}, endpoint="ci", state="resting"}}': "1x20"},
    ),
    "PackdWebhookLate": (
        {f'packd_webhook_oldest_undelivered_seconds{{{JOB}, endpoint="ci"}}': "4000x20"},
        10,
        {f'packd_webhook_oldest_undelivered_seconds{{{JOB}, endpoint="ci"}}': "3000x20"},
    ),
    "PackdWebhookExhausted": (
        {f'packd_webhook_attempts_total{{{JOB}, endpoint="ci", outcome="exhausted"}}': "0 0 1x20"},
        10,
        {f'packd_webhook_attempts_total{{{JOB}, endpoint="ci", outcome="retry"}}': "0 0 1x20"},
    ),
    "PackdWebhookFailing": (
        {
            f'packd_webhook_attempts_total{{{JOB}, endpoint="ci", outcome="retry"}}': "0+3x60",
            f'packd_webhook_attempts_total{{{JOB}, endpoint="ci", outcome="delivered"}}': "0+1x60",
        },
        45,
        {
            f'packd_webhook_attempts_total{{{JOB}, endpoint="ci", outcome="retry"}}': "0+1x60",
            f'packd_webhook_attempts_total{{{JOB}, endpoint="ci", outcome="delivered"}}': "0+3x60",
        },
    ),
}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Prometheus' own tool; without it the test says so, and in CI fails."""
    tool = shutil.which("promtool")
    if tool is None:
        message = "promtool is not installed: apt-get install prometheus"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def test_the_alerts_are_rules() -> None:
    """`promtool check rules`; and each says what is wrong, how bad it is, and what to do."""
    checked = promtool("check", "rules", str(monitoring.ALERTS))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for rule in monitoring.alerts():
        assert rule["annotations"].keys() == {"summary", "action"}, rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")


def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    """`promtool test rules`, for every alert: series that make it fire, and series that look like it and do not."""
    assert {rule["alert"] for rule in monitoring.alerts()} == CASES.keys()
    cases = [
        case
        for alert, (bad, minute, good) in CASES.items()
        for case in (_case(alert, bad, minute, fires=True), _case(alert, good, minute, fires=False))
    ]
    file = tmp_path / "cases.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(monitoring.ALERTS)], "evaluation_interval": "1m", "tests": cases})
    )
    tested = promtool("test", "rules", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _case(alert: str, series: dict[str, str], minute: int, *, fires: bool) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0 or vector(0)'
    expected = [{"labels": "{}", "value": int(fires)}]
    return {
        "name": f"{alert} {'fires' if fires else 'does not fire'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": f"{minute}m", "exp_samples": expected}],
    }


def test_every_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    """`promtool check rules`, as if each were a rule."""
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(monitoring.dashboard_expressions())
    ]
    assert len(rules) > len(monitoring.panels())
    assert not [rule for rule in rules if "$" in rule["expr"]]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_is_whole() -> None:
    """Panels have a unit, a description and a place of their own; data source and instance can be chosen."""
    shown = monitoring.dashboard()
    assert [one["name"] for one in shown["templating"]["list"]] == ["datasource", "instance"]
    assert shown["schemaVersion"] >= 39
    assert len({panel["id"] for panel in shown["panels"]}) == len(shown["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in monitoring.panels():
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"]), panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
