"""The marker beside a drop says what is true of it, also where nothing is told of that."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.unit.flow_ground import core, looked_at, made_parts, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.bootstrap import Parts

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
