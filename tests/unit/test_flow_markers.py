"""The marker beside a drop says what is true of it, also where nothing is told of that."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from packd import daemon
from packd.config import Source
from packd.flow.markers import Markers
from packd.reloading import Reloader
from tests.unit.flow_ground import core, looked_at, made_parts, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.bootstrap import Parts
    from packd.flow.markers import Mode

BROKEN = "ref: core\n"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


def dropped(parts: Parts, name: str, manifest: str) -> Path:
    folder = written(parts, name, manifest)
    looked_at(parts, name)
    return folder


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
    core(parts)
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
    core(parts)
    link = parts.settings.packs_dir / "core" / "away"
    link.symlink_to("/etc")
    looked_at(parts, "core")
    assert markers(parts) == ["core.failed"]
    link.unlink()
    looked_at(parts, "core")
    assert markers(parts) == []


# --- what nobody wants any more --------------------------------------------------------------------------------------


def refused(parts: Parts) -> Path:
    """A drop that was; returns its marker."""
    dropped(parts, "core", BROKEN)
    return parts.settings.packs_dir / "core.failed"


def test_a_start_removes_them(tmp_path: Path) -> None:
    with made_parts(tmp_path) as parts:
        marker = refused(parts)
    with made_parts(tmp_path, markers="none") as parts:
        assert marker.exists()
        daemon._first_reconcile(parts, threading.Event(), None)
        assert not marker.exists()


def test_a_new_configuration_removes_them(parts: Parts) -> None:
    marker = refused(parts)
    source = Source(load=lambda: parts.settings.model_copy(update={"markers": "none"}), file=None)
    assert Reloader(parts, source).reload()
    assert parts.lanes.wait_idle(30)
    assert not marker.exists()


@pytest.mark.parametrize("mode", ["failed", "all"])
def test_what_is_true_stays(parts: Parts, mode: Mode) -> None:
    marker = refused(parts)
    parts.markers.follow(mode)
    parts.projections.put_markers_right()
    assert marker.exists()


def test_without_markers_those_from_before_are_removed(parts: Parts) -> None:
    """And of those packs only that packd knows: a file called `notes.failed` is nobody's marker."""
    marker = refused(parts)
    notes = marker.with_name("notes.failed")
    shutil.copy(marker, notes)
    parts.markers.follow("none")
    parts.projections.put_markers_right()
    assert not marker.exists()
    assert notes.exists()


def test_a_marker_that_a_crash_left_behind_is_removed(parts: Parts) -> None:
    """Between the pack's becoming active and the marker's going."""
    marker = refused(parts)
    text = marker.read_text()
    core(parts)
    assert not marker.exists()
    marker.write_text(text)
    parts.projections.put_markers_right()
    assert not marker.exists()


def test_those_of_packs_in_use_go_when_only_failures_are_told(tmp_path: Path) -> None:
    with made_parts(tmp_path, markers="all") as parts:
        core(parts)
        marker = parts.settings.packs_dir / "core.active"
        parts.projections.put_markers_right()
        assert marker.exists()
        parts.markers.follow("failed")
        parts.projections.put_markers_right()
        assert not marker.exists()


def test_what_a_crash_left_half_written_goes(tmp_path: Path) -> None:
    """And what is being written stays."""
    old, new = tmp_path / ".packd-marker-0123", tmp_path / ".packd-marker-4567"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    assert Markers(tmp_path, "failed").beside() == set()
    assert [path.name for path in tmp_path.iterdir()] == [new.name]
