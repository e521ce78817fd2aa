"""`active/` says what is in use, whatever somebody did there."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from packd.flow.links import Links
from packd.flow.targets import Targets
from tests.unit.flow_ground import MANIFEST, core, looked_at, made_parts, read_slowly, written


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
    """All links are put right around it."""
    (state / "active" / "aaa").mkdir()
    assert links.rebuild(trees(state)) == 3
    assert said(state) == RIGHT
    assert Targets(state / "active").are_right(trees(state))


def test_the_whole_folder_is_made_anew(state: Path, links: Links) -> None:
    """At the next look at everything, or as soon as something of it changes."""
    links.rebuild(trees(state))
    shutil.rmtree(state / "active")
    assert not Targets(state / "active").are_right(trees(state))
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


# --- out of date -------------------------------------------------------------------------------------------------------


def test_who_asked_before_does_not_undo_what_who_asked_later_has_shown(state: Path, links: Links) -> None:
    """One pack came into use after the registry was asked for all of them, one got new content, one was taken out."""
    aa, bb = state / "store" / "aa", state / "store" / "bb"
    links.rebuild({"core": aa, "gone": aa})
    number = links.number()
    links.point("core", bb)
    links.point("slack", bb)
    links.point("gone", None)
    assert links.rebuild({"core": aa, "gone": aa}, number=number) == 0
    assert not links.point("core", aa, number=number)
    assert said(state) == {"core": "../store/bb", "slack": "../store/bb"}


def test_a_link_that_is_being_made_is_not_taken_away(
    state: Path, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has another name until it takes the place of the one before."""
    replace, rebuilding = Path.replace, threading.Thread(target=lambda: links.rebuild(trees(state)))

    def replaced(fresh: Path, target: Path) -> Path:
        monkeypatch.undo()
        listed = threading.Event()
        names = links._targets.names
        monkeypatch.setattr(links._targets, "names", lambda: (names(), listed.set())[0])
        rebuilding.start()
        assert listed.wait(10)
        rebuilding.join(0.2)  # it must wait, and has no need of the time
        return replace(fresh, target)

    monkeypatch.setattr(Path, "replace", replaced)
    with capture_logs() as logs:
        links.point("core", trees(state)["core"])
        rebuilding.join(10)
    assert said(state) == RIGHT
    assert logs == []


def test_what_comes_into_use_while_all_links_are_looked_at_stays(tmp_path: Path) -> None:
    """Leaving a reading can wait for the disk, and other packs do not wait for that."""
    with made_parts(tmp_path) as parts:
        core(parts)
        active = parts.settings.state_dir / "active"

        def meanwhile() -> None:
            core(parts, "2.0.0")
            dropped = written(parts, "other", MANIFEST.format(version="1.0.0", needs="").replace("core", "other"))
            looked_at(parts, dropped.name)

        read_slowly(parts, meanwhile)
        parts.projections.rebuild()
        assert sorted(os.listdir(active)) == ["core", "other"]
        assert 'version: "2.0.0"' in (active / "core" / "pack.yaml").read_text()
