"""Out of use and back: what was on its way meanwhile is not forgotten."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from packd.domain.lifecycle import Phase
from packd.flow.pipeline import lane
from tests.unit.flow_ground import MANIFEST, core, latest, looked_at, made_parts, told, under_test, written
from tests.waiting import until_exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.bootstrap import Parts
    from packd.registry.rows import Revision


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


def put_back(parts: Parts, meanwhile: Callable[[], object] = lambda: None) -> Revision:
    """Disabled, enabled, and looked at again; the newest revision then."""
    parts.availability.disable("core", actor="test")
    meanwhile()
    parts.availability.enable("core", actor="test")
    looked_at(parts, "core")
    return latest(parts)


def being_tested(parts: Parts, gate: Path) -> None:
    """Until there is something at `gate`."""
    written(parts, "core", MANIFEST.format(version="2.0.0", needs=""), test=until_exists(gate))
    under_test(parts)


def test_what_was_being_tested_is_tested_again(parts: Parts, tmp_path: Path) -> None:
    """Its run was stopped; the next one is that of a new revision."""
    core(parts)
    gate = tmp_path / "gate"
    being_tested(parts, gate)
    newest = put_back(parts, meanwhile=gate.touch)
    assert (newest.number, newest.version, newest.phase) == (3, "2.0.0", Phase.ACTIVE)


def test_what_waited_for_another_pack_waits_again(parts: Parts) -> None:
    """What it needs is as far away as before."""
    core(parts)
    core(parts, "2.0.0", needs="other")
    assert latest(parts).phase == Phase.WAITING
    newest = put_back(parts)
    assert (newest.number, newest.phase) == (3, Phase.WAITING)


def test_what_lacks_something_by_now_waits_for_it(parts: Parts) -> None:
    """Though it was in use before: what it needs moved on while it was disabled."""
    lib(parts, "1.0.0")
    core(parts, needs='"lib@^1"')
    parts.availability.disable("core", actor="test")
    lib(parts, "2.0.0")
    out = parts.availability.enable("core", actor="test")
    assert (out.active, out.lacking) == (None, "core#1 needs lib ^1, but version 2.0.0 is in use")
    looked_at(parts, "core")
    assert (latest(parts).number, latest(parts).phase) == (2, Phase.WAITING)
    parts.commands.rollback("lib", to=None, actor="test")
    assert parts.lanes.wait_idle(30)
    assert latest(parts).phase == Phase.ACTIVE


def lib(parts: Parts, version: str) -> None:
    written(parts, "lib", MANIFEST.replace("core", "lib").format(version=version, needs=""))
    looked_at(parts, "lib")


def test_what_was_in_use_is_no_new_revision(parts: Parts) -> None:
    """Its tests have passed already, with this content."""
    core(parts)
    newest = put_back(parts)
    assert (newest.number, newest.phase) == (1, Phase.ACTIVE)


@pytest.mark.parametrize("how", ["remove", "disable"])
def test_what_is_being_tested_is_not_tested_once_more_before_it_is_taken_out(
    parts: Parts, tmp_path: Path, how: str
) -> None:
    """Though a scan has asked to carry it meanwhile: it never comes into use, and nobody waits for its tests."""
    core(parts)
    being_tested(parts, tmp_path / "never")
    while parts.lanes.is_free(lane("core")):  # whoever takes up the run may not be there yet
        assert parts.runs.under_way() == ["core"]
    parts.pipeline.start("core")
    began = time.monotonic()
    getattr(parts.availability, how)("core", actor="test")
    assert time.monotonic() - began < 30
    assert latest(parts).phase == Phase.SUPERSEDED
    assert [event.type for event in told(parts)].count("pack.test_started") == 2
