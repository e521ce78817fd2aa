"""The sweep removes what nobody needs when it is removed; what was so when the sweep was planned says nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from packd.domain.lifecycle import Phase
from packd.flow import sweep
from packd.flow.occasion import Occasion
from packd.registry import queries
from tests.unit.flow_ground import MANIFEST, core, latest, made_parts, written
from tests.waiting import until_exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.bootstrap import Parts
    from packd.flow.sweep import Plan


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """While this file is there the suite of `core` passes, and until then it goes on."""
    path = tmp_path / "go"
    path.touch()
    return path


@pytest.fixture
def parts(tmp_path: Path, go: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """Of the three versions of `core` the first is removable: the third is in use, the second to go back to."""
    with made_parts(tmp_path, retention={"revisions": 1}) as made:
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            core(made, version, test=until_exists(go))
        monkeypatch.setattr(made.store, "age_s", lambda _: 1e9)
        yield made


def first(parts: Parts) -> str:
    with parts.registry.read() as connection:
        found = queries.revision(connection, "core", 1)
    assert found is not None
    return found.digest


def behind_the_plan(parts: Parts, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """Let this happen between planning and removing."""
    plan = parts.sweeper.plan

    def planned() -> Plan:
        made = plan()
        assert made.remove == (first(parts),)
        then()
        return made

    monkeypatch.setattr(parts.sweeper, "plan", planned)


def test_what_nobody_needs_is_removed(parts: Parts) -> None:
    """And nothing else is."""
    assert parts.sweeper.run()["snapshots"] == 1
    assert not parts.store.has(first(parts))
    assert len(parts.store.digests()) == 2


def test_what_is_on_its_way_again_stays(parts: Parts, go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would come into use with nothing behind it."""

    def drop_again() -> None:
        go.unlink()
        written(parts, "core", MANIFEST.format(version="1.0.0", needs=""), test=until_exists(go))
        parts.intake.take_soon("core", Occasion(first_change_at_s=time.time()))
        wait_until(lambda: latest(parts).number == 4)

    behind_the_plan(parts, monkeypatch, drop_again)
    swept = parts.sweeper.run()
    go.touch()
    assert parts.lanes.wait_idle(30)
    assert (latest(parts).number, latest(parts).phase) == (4, Phase.ACTIVE)
    assert (parts.settings.state_dir / "active" / "core" / "pack.yaml").exists()
    assert swept["snapshots"] == 0


def test_what_a_roll_back_leads_to_by_now_stays(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came into use since the plan."""
    behind_the_plan(parts, monkeypatch, lambda: parts.commands.rollback("core", to=None, actor="test"))
    assert parts.sweeper.run()["snapshots"] == 0
    assert parts.store.has(first(parts))


def test_what_was_asked_for_since_the_plan_stays(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be about to become a revision."""
    behind_the_plan(parts, monkeypatch, lambda: monkeypatch.setattr(parts.store, "age_s", lambda _: 1.0))
    assert parts.sweeper.run()["snapshots"] == 0
    assert parts.store.has(first(parts))


def test_trees_are_emptied_outside_of_the_transaction(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one takes seconds, in which nobody else could write."""
    held: list[bool] = []
    monkeypatch.setattr(sweep, "discard_quietly", lambda _: held.append(parts.database._one_writer.locked()))
    parts.sweeper.run()
    assert held == [False]
