"""`active/` says what is in use, whatever somebody did there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from packd.flow.links import Links


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for digest in ("aa", "bb"):
        (tmp_path / "store" / digest).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def links(state: Path) -> Links:
    return Links(state / "active")


def trees(state: Path) -> dict[str, Path]:
    return {"core": state / "store" / "aa", "slack": state / "store" / "bb"}


def said(state: Path) -> dict[str, str]:
    return {name: os.readlink(state / "active" / name) for name in os.listdir(state / "active")}


RIGHT = {"core": "../store/aa", "slack": "../store/bb"}


def test_a_folder_in_the_place_of_a_link_is_moved_aside(state: Path, links: Links) -> None:
    """It is somebody's: nothing in it is lost."""
    links.rebuild(trees(state))
    (state / "active" / "core").unlink()
    (state / "active" / "core").mkdir()
    (state / "active" / "core" / "mine").write_text("kept")
    links.point("core", trees(state)["core"])
    assert said(state) == RIGHT
    assert [file.read_text() for file in (state / "misplaced").glob("core.*/mine")] == ["kept"]


def test_a_folder_that_is_no_packs_keeps_nothing_from_being_repaired(state: Path, links: Links) -> None:
    (state / "active" / "aaa").mkdir()
    assert links.rebuild(trees(state)) == 3
    assert said(state) == RIGHT
    assert links.are_right(trees(state))


def test_the_whole_folder_is_made_anew(state: Path, links: Links) -> None:
    """At the next look at everything, or as soon as something of it changes."""
    links.rebuild(trees(state))
    shutil.rmtree(state / "active")
    assert not links.are_right(trees(state))
    assert links.rebuild(trees(state)) == 2
    shutil.rmtree(state / "active")
    links.point("core", trees(state)["core"])
    assert said(state) == {"core": RIGHT["core"]}
    links.point("core", None)
    assert said(state) == {}


def test_what_can_not_be_put_right_keeps_nobody_waiting(
    state: Path, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left to the next time."""
    (state / "active" / "core").mkdir()
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(16, "Device or resource busy")))
    assert links.rebuild(trees(state)) == 2
    assert os.readlink(state / "active" / "slack") == RIGHT["slack"]
    monkeypatch.undo()
    assert links.rebuild(trees(state)) > 0
    assert said(state) == RIGHT
