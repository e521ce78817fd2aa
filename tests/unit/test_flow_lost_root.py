"""The packs directory is lost, replaced or unmounted: nothing counts as removed until it is known again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from packd.bootstrap import Parts, build
from packd.config import load
from packd.domain.lifecycle import Phase
from packd.flow.occasion import Occasion
from packd.registry import queries
from packd.registry.rows import Drop
from tests.unit.registry_ground import a_revision, add

NAMES = ("one", "two")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """A daemon that knows two packs and was not started: what it does, it is told to do."""
    (tmp_path / "state").mkdir()
    parts = build(load(None, {}, {"packs_dir": tmp_path / "packs", "state_dir": tmp_path / "state"}))
    for name in NAMES:
        (parts.settings.packs_dir / name).mkdir(parents=True)
        with parts.registry.write() as tx:
            add(tx, a_revision(name, phase=Phase.ACTIVE))
            tx.save_drop(Drop(name=name, kind="folder", ref=name))
    parts.reconciler.run()
    yield parts
    parts.executor.close(0)
    parts.lanes.stop(5)
    parts.database.close()


@pytest.fixture
def packs(parts: Parts) -> Path:
    return parts.settings.packs_dir


def look_at_all(parts: Parts) -> None:
    """As hints that were on their way already would have it."""
    for name in NAMES:
        parts.intake.take_soon(name, Occasion(trigger="fs", first_change_at_s=0.0))
    assert parts.lanes.wait_idle(30)


def remove_all(parts: Parts) -> None:
    """As if their times of grace were over."""
    for name in NAMES:
        parts.intake.remove_soon(name)
    assert parts.lanes.wait_idle(30)


def present(parts: Parts) -> list[str]:
    with parts.registry.read() as connection:
        return [pack.ref for pack in queries.present_packs(connection)]


def noticed(parts: Parts) -> list[str]:
    """Drops that count as gone."""
    with parts.registry.read() as connection:
        return [drop.name for drop in queries.all_drops(connection) if drop.gone_at_s is not None]


def test_packs_that_are_removed_from_their_folder_are_unregistered(parts: Parts, packs: Path) -> None:
    """All of them at once, too: the folder in which they lay is still there."""
    for name in NAMES:
        shutil.rmtree(packs / name)
    look_at_all(parts)
    assert noticed(parts) == [*NAMES]
    remove_all(parts)
    assert present(parts) == []


def replaced(packs: Path) -> None:
    packs.rename(packs.with_name("away"))
    packs.mkdir()


def made_anew(packs: Path) -> None:
    shutil.rmtree(packs)
    packs.mkdir()


@pytest.mark.parametrize("lose", [replaced, made_anew, shutil.rmtree])
def test_nothing_is_noticed_or_unregistered_once_the_folder_is_another_one(
    parts: Parts, packs: Path, lose: Callable[[Path], None]
) -> None:
    """Neither by hints that were on their way nor by times of grace that are over, before anybody said that it is lost."""
    lose(packs)
    look_at_all(parts)
    assert noticed(parts) == []
    remove_all(parts)
    parts.reconciler.run()
    assert parts.lanes.wait_idle(30)
    assert present(parts) == [*NAMES]
    assert noticed(parts) == []


def test_a_time_of_grace_that_runs_ends_without_effect(parts: Parts, packs: Path) -> None:
    """Removed, and then the folder was lost: it is decided when that is back."""
    shutil.rmtree(packs / "one")
    look_at_all(parts)
    assert noticed(parts) == ["one"]
    replaced(packs)
    remove_all(parts)
    assert present(parts) == [*NAMES]
    packs.rmdir()
    packs.with_name("away").rename(packs)
    parts.reconciler.run()
    remove_all(parts)
    assert present(parts) == ["two"]
    assert parts.keeper.troubles() == []


def test_nothing_is_decided_while_the_folder_may_not_be_read(
    parts: Parts, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by comparing nor for one drop; it is no reason to break."""
    shutil.rmtree(packs / "one")
    with monkeypatch.context() as forbidden:
        forbidden.setattr(os, "scandir", not_permitted)
        forbidden.setattr(os, "lstat", not_permitted)
        assert parts.reconciler.run() == {}
        parts.intake.take("one", Occasion(trigger="fs", first_change_at_s=0.0))
    assert noticed(parts) == []
    look_at_all(parts)
    with monkeypatch.context() as forbidden:
        forbidden.setattr(os, "stat", not_permitted)
        parts.intake.remove_soon("one")
        assert parts.lanes.wait_idle(30)
    assert present(parts) == [*NAMES]


def not_permitted(*_: object, **__: object) -> NoReturn:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_the_folder_comes_back_as_another_one(parts: Parts, packs: Path) -> None:
    """What a file system that is mounted again looks like: any of the packs that are known tells that it is the right one."""
    replaced(packs)
    parts.reconciler.run()
    assert parts.keeper.troubles() == ["root_missing"]
    (packs / "one").mkdir()
    parts.reconciler.run()
    assert parts.keeper.troubles() == []
    look_at_all(parts)
    assert noticed(parts) == ["two"]


def test_what_is_wrong_is_said_as_it_is_now(parts: Parts, packs: Path) -> None:
    """First it is not there, then an empty one is; each sentence has a way out."""
    shutil.rmtree(packs)
    parts.reconciler.run()
    assert [f"{packs} is not there or is no folder; put it back" in one.sentence for one in parts.keeper.ailments()]
    packs.mkdir()
    parts.reconciler.run()
    (said,) = [one.sentence for one in parts.keeper.ailments()]
    assert f"an empty folder has taken the place of the packs directory {packs} (is it not mounted?)" in said
    assert "drop a pack into it" in said


def test_an_empty_folder_is_accepted_when_all_packs_were_removed_by_command(parts: Parts, packs: Path) -> None:
    """There is nothing left that could be lost."""
    replaced(packs)
    parts.reconciler.run()
    parts.keeper.scan_with(parts.reconciler.request)
    for name in NAMES:
        parts.availability.remove(name, actor="test")
    assert parts.lanes.wait_idle(30)
    assert parts.keeper.troubles() == []


def test_what_is_no_pack_does_not_make_an_empty_folder_the_packs_directory(parts: Parts, packs: Path) -> None:
    """Such as the `lost+found` of another file system."""
    replaced(packs)
    (packs / "lost+found").mkdir()
    parts.reconciler.run()
    parts.intake.take_soon("lost+found", Occasion(trigger="fs", first_change_at_s=0.0))
    assert parts.lanes.wait_idle(30)
    parts.reconciler.run()
    assert parts.keeper.troubles() == ["root_missing"]
