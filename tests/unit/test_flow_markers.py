"""The marker beside a drop says what is true of it, also where nothing is told of that."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packd.bootstrap import Parts, build
from packd.config import load
from packd.flow.occasion import Occasion

GOOD = """\
ref: core
version: "1.0.0"
testing: {enabled: true, runners: {shell: {type: script, entry_point: tests/run.sh}}}
"""
BROKEN = "ref: core\n"


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


def dropped(parts: Parts, name: str, manifest: str) -> Path:
    folder = parts.settings.packs_dir / name
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text(manifest)
    script = folder / "tests" / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    looked_at(parts, name)
    return folder


def looked_at(parts: Parts, *names: str) -> None:
    for name in names:
        parts.intake.take_soon(name, Occasion(first_change_at_s=time.time()))
        assert parts.lanes.wait_idle(30)


def markers(parts: Parts) -> list[str]:
    return sorted(path.name for path in parts.settings.packs_dir.iterdir() if path.is_file())


@pytest.mark.parametrize("manifest", [BROKEN, "no: [pack"])
def test_it_goes_with_its_drop(parts: Parts, manifest: str) -> None:
    """Whether or not anything of the pack was ever registered."""
    folder = dropped(parts, "core", manifest)
    assert markers(parts) == ["core.failed"]
    shutil.rmtree(folder)
    looked_at(parts, "core")
    parts.intake.remove_soon("core")
    assert parts.lanes.wait_idle(30)
    assert markers(parts) == []


def test_it_goes_with_a_drop_that_was_in_use_before(parts: Parts) -> None:
    dropped(parts, "core", GOOD)
    folder = dropped(parts, "core", BROKEN)
    assert "stays in use" in (parts.settings.packs_dir / "core.failed").read_text()
    shutil.rmtree(folder)
    looked_at(parts, "core")
    parts.intake.remove_soon("core")
    assert parts.lanes.wait_idle(30)
    assert markers(parts) == []


def test_it_follows_a_drop_to_its_new_name(parts: Parts) -> None:
    folder = dropped(parts, "core", BROKEN)
    folder.rename(folder.with_name("other"))
    looked_at(parts, "core", "other")
    assert "other.failed" in markers(parts)
    parts.intake.remove_soon("core")
    assert parts.lanes.wait_idle(30)
    assert markers(parts) == ["other.failed"]


def test_it_goes_when_what_was_in_use_is_put_back(parts: Parts) -> None:
    """By hand: nothing new is registered, and so nothing is told."""
    dropped(parts, "core", GOOD)
    link = parts.settings.packs_dir / "core" / "away"
    link.symlink_to("/etc")
    looked_at(parts, "core")
    assert markers(parts) == ["core.failed"]
    link.unlink()
    looked_at(parts, "core")
    assert markers(parts) == []
