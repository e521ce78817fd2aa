"""Out of use and back: what was on its way meanwhile is not forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packd.bootstrap import Parts, build
from packd.config import load
from packd.domain.lifecycle import REFUSED, Phase
from packd.flow.occasion import Occasion
from packd.registry import queries
from packd.registry.rows import Revision

MANIFEST = """\
ref: core
version: "%s"
dependencies: [%s]
testing: {enabled: true, runners: {shell: {type: script, entry_point: tests/run.sh}}}
"""


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    for name in ("packs", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "packd.yaml").touch(mode=0o600)
    flags = {"packs_dir": tmp_path / "packs", "state_dir": tmp_path / "state", "tests": {"isolation": "basic"}}
    made = build(load(tmp_path / "packd.yaml", {}, flags))
    yield made
    made.lanes.stop(10)
    made.executor.close(0)
    made.database.close()


def dropped(parts: Parts, version: str, *, test: str = "exit 0", needs: str = "") -> None:
    folder = parts.settings.packs_dir / "core"
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text(MANIFEST % (version, needs))
    script = folder / "tests" / "run.sh"
    script.write_text(f"#!/bin/sh\n{test}\n")
    script.chmod(0o755)
    parts.intake.take_soon("core", Occasion(first_change_at_s=time.time()))


def latest(parts: Parts) -> Revision:
    with parts.registry.read() as connection:
        found = queries.latest_revision(connection, "core")
    assert found is not None
    return found


def put_back(parts: Parts) -> Revision:
    """Disabled, enabled, and looked at again; the newest revision then."""
    parts.availability.disable("core", actor="test")
    parts.availability.enable("core", actor="test")
    parts.intake.take_soon("core", Occasion(first_change_at_s=time.time()))
    assert parts.lanes.wait_idle(30)
    return latest(parts)


def test_what_was_being_tested_is_tested_again(parts: Parts) -> None:
    dropped(parts, "1.0.0")
    assert parts.lanes.wait_idle(30)
    dropped(parts, "2.0.0", test="sleep 2")  # long enough to be stopped in
    while latest(parts).phase != Phase.VALIDATED or parts.runs.under_way() != ["core"]:
        assert latest(parts).phase not in REFUSED
    newest = put_back(parts)
    assert (newest.number, newest.version, newest.phase) == (3, "2.0.0", Phase.ACTIVE)


def test_what_waited_for_another_pack_waits_again(parts: Parts) -> None:
    dropped(parts, "1.0.0")
    dropped(parts, "2.0.0", needs="other")
    assert parts.lanes.wait_idle(30)
    assert latest(parts).phase == Phase.WAITING
    assert (put_back(parts).number, latest(parts).phase) == (3, Phase.WAITING)


def test_what_was_in_use_is_no_new_revision(parts: Parts) -> None:
    dropped(parts, "1.0.0")
    assert parts.lanes.wait_idle(30)
    newest = put_back(parts)
    assert (newest.number, newest.phase) == (1, Phase.ACTIVE)
