"""What looks like a pack and is none is told without being asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from packd.bootstrap import Parts
from tests.unit.flow_ground import looked_at, made_parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


def alone(parts: Parts) -> list[str]:
    return [one["name"] for one in parts.status.view()["left_alone"]]


def test_it_is_told_once_as_long_as_it_lies_there(parts: Parts) -> None:
    """However often everything is looked at; what is ignored for good reason is not told at all."""
    for name in ("web.rar", "pack.yaml", "notes.txt", "core.zip~"):
        (parts.settings.packs_dir / name).touch()
    with capture_logs() as lines:
        for _ in range(3):
            parts.reconciler.run()
    told = [(line["drop"], line["log_level"]) for line in lines if line["event"] == "drop.left_alone"]
    assert told == [("pack.yaml", "warning"), ("web.rar", "warning")]
    assert alone(parts) == ["pack.yaml", "web.rar"]


def test_it_is_forgotten_when_it_is_gone(parts: Parts) -> None:
    """By a hint or by looking at everything; the next one of that name is told again."""
    path = parts.settings.packs_dir / "web.7z"
    for look in (lambda: looked_at(parts, "web.7z"), parts.reconciler.run):
        path.touch()
        with capture_logs() as lines:
            look()
        assert [line["why"].partition(":")[0] for line in lines if line["event"] == "drop.left_alone"] == [
            "is an archive of a sort that packd does not unpack"
        ]
        assert parts.commands.explain("web.7z").headline.startswith("'web.7z' lies in the packs directory and is an")
        path.unlink()
        look()
        assert alone(parts) == []
