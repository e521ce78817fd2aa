"""What a drop is taken for, and what is told of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from tests.unit.flow_ground import core, latest, looked_at, made_parts, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.bootstrap import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


def last_data(parts: Parts) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(told(parts)[-1].body)["data"]
    return data


def test_a_second_drop_with_the_same_ref_is_told_with_what_stays_in_use(parts: Parts) -> None:
    """Nobody who hears of the refusal should think that the pack is out of use."""
    core(parts, name="first")
    core(parts, name="second")
    assert [event.type for event in told(parts)][-2:] == ["pack.validation_failed", "pack.rolled_back"]
    in_use = {"version": "1.0.0", "revision": 1, "digest": latest(parts).digest}
    assert last_data(parts)["restored"] == in_use
    assert last_data(parts)["pack"]["previous"] == in_use


def test_a_version_that_goes_backwards_is_taken_and_logged(parts: Parts) -> None:
    """One warning for its revision, and none when the drop is looked at again."""
    core(parts, "2.0.0")
    with capture_logs() as logged:
        core(parts, "1.0.0")
        looked_at(parts, "core")
    (line,) = [line for line in logged if line["event"] == "version.went_backwards"]
    assert (line["log_level"], line["pack"], line["revision"]) == ("warning", "core", 2)
    assert "1.0.0 is older than the active 2.0.0" in line["why"]
    assert latest(parts).version == "1.0.0"
