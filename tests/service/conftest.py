"""One machine for all tests of a worker: booting it takes a second, installing packd in it another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine, what_is_missing

CONFIG = "packs_dir: /var/lib/packd/packs\nwatch: {quiet_ms: 100, remove_grace_s: 0.5}\n"


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    """Skips, saying so, where no machine can be booted; in CI, with root, that is a failure."""
    missing = what_is_missing()
    if missing is not None:
        pytest.skip(f"NOT TESTED under a real systemd: {missing}")
    machine = Machine(f"packd-{os.getpid()}")
    try:
        machine.start()
        machine.run("/opt/packd/bin/packd", "service", "install", "--no-start")
        machine.shell("systemd-sysusers packd.conf; systemd-tmpfiles --create packd.conf; systemctl daemon-reload")
        yield machine
    finally:
        machine.stop()


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """With packd running on its usual configuration, whatever the test before has done."""
    booted.write("/etc/packd/packd.yaml", CONFIG)
    booted.shell("systemctl reset-failed packd packd.socket || true; systemctl start packd")
    assert booted.show("packd", "ActiveState")["ActiveState"] == "active"
    yield booted
    booted.shell(
        "rm -rf /etc/systemd/system/packd.service.d/test-*.conf; systemctl daemon-reload; "
        "systemctl reset-failed packd packd.socket 2>/dev/null || true; systemctl stop packd packd.socket; "
        "rm -rf /var/lib/packd/packs/* /var/lib/packd/packd.db* /run/packd/*"
    )


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """A folder to write packs in before they are dropped."""
    folder = tmp_path / "packs"
    folder.mkdir()
    return folder
