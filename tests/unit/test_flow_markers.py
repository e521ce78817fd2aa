"""The marker beside a drop says what is true of it, also where nothing is told of that."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from packd import daemon
from packd.config import Source
from packd.domain.failures import Code, Failure
from packd.flow.markers import Markers
from packd.registry import queries
from packd.reloading import Reloader
from tests.unit.flow_ground import MANIFEST, core, looked_at, made_parts, read_slowly, written

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_whoever_dropped_the_pack_may_read_it(parts: Parts) -> None:
    """Also with the umask of the unit."""
    usual = os.umask(0o077)
    try:
        dropped(parts, "core", BROKEN)
    finally:
        os.umask(usual)
    assert (parts.settings.packs_dir / "core.failed").stat().st_mode & 0o777 == 0o644


def test_it_goes_with_a_drop_that_was_in_use_before(parts: Parts) -> None:
    """When the drop has stayed away, its marker is gone as well."""
    core(parts)
    folder = dropped(parts, "core", BROKEN)
    assert "stays in use" in (parts.settings.packs_dir / "core.failed").read_text()
    shutil.rmtree(folder)
    looked_at(parts, "core")
    parts.intake.remove_soon("core")
    assert parts.lanes.wait_idle(30)
    assert markers(parts) == []


def test_it_follows_a_drop_to_its_new_name(parts: Parts) -> None:
    """It lies beside the new name at once, and beside the old one no more when that is given up."""
    folder = dropped(parts, "core", BROKEN)
    folder.rename(folder.with_name("other"))
    looked_at(parts, "core", "other")
    assert "other.failed" in markers(parts)
    parts.intake.remove_soon("core")
    assert parts.lanes.wait_idle(30)
    assert markers(parts) == ["other.failed"]


def test_it_says_nothing_to_the_terminal_that_shows_it(parts: Parts) -> None:
    """What the names of a drop and of its files would do to a terminal is not in it, and it goes with its reason."""
    name = "odd\x1b]0;mine\x07"
    folder = written(parts, name, MANIFEST.format(version="1.0.0", needs=""))
    (folder / "actions").mkdir(exist_ok=True)
    (folder / "actions/a\x1b[2J.yaml").write_text("ref: nowhere.a\n")
    looked_at(parts, name)
    marker = folder.with_name(f"{name}.failed")
    assert "a�[2J.yaml" in marker.read_text(encoding="utf-8")
    assert all(character.isprintable() or character == "\n" for character in marker.read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    looked_at(parts, name)
    parts.intake.remove_soon(name)
    assert parts.lanes.wait_idle(30)
    assert markers(parts) == []


@pytest.mark.parametrize("is_read_again", [False, True])
def test_it_is_there_again_when_its_drop_is_renamed_back(parts: Parts, is_read_again: bool) -> None:
    """Nothing is told of that, as the same was refused before; whether or not the drop has to be read for it."""
    folder = written(parts, "core", MANIFEST.format(version="1.0.0", needs=""))
    os.mkfifo(folder / "pipe")
    looked_at(parts, "core", "core")
    if is_read_again:
        with parts.registry.write() as tx:
            tx.save_drop(replace(queries.all_drops(tx.reader)[0], fingerprint=None))
    other = folder.rename(folder.with_name("other"))
    looked_at(parts, "core")
    parts.projections.show("core")
    assert markers(parts) == []
    other.rename(folder)
    looked_at(parts, "core")
    assert markers(parts) == ["core.failed"]


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
    """Where markers are not wanted any more, those of the daemon before go."""
    with made_parts(tmp_path) as parts:
        marker = refused(parts)
    with made_parts(tmp_path, markers="none") as parts:
        assert marker.exists()
        daemon._first_reconcile(parts, threading.Event(), None)
        assert not marker.exists()


def test_a_new_configuration_removes_them(parts: Parts) -> None:
    """Where it wants no markers, without a restart."""
    marker = refused(parts)
    source = Source(load=lambda: parts.settings.model_copy(update={"markers": "none"}), file=None)
    assert Reloader(parts, source).reload()
    assert parts.lanes.wait_idle(30)
    assert not marker.exists()


@pytest.mark.parametrize("mode", ["failed", "all"])
def test_what_is_true_stays(parts: Parts, mode: Mode) -> None:
    """Putting markers right leaves those that are right."""
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
    """`markers: failed` where it was `all` takes the `.active` ones away."""
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


# --- those that are missing ------------------------------------------------------------------------------------------

FAILING = "exit 1"


@pytest.fixture
def two_refused(parts: Parts) -> list[str]:
    """One that is no pack, one whose tests fail, and one that is in use; returns the markers."""
    core(parts)
    dropped(parts, "broken", BROKEN.replace("core", "broken"))
    written(parts, "failing", MANIFEST.format(version="1.0.0", needs="").replace("core", "failing"), test=FAILING)
    looked_at(parts, "failing")
    assert markers(parts) == ["broken.failed", "failing.failed"]
    return markers(parts)


def without_markers(parts: Parts) -> None:
    for name in markers(parts):
        (parts.settings.packs_dir / name).unlink()


def test_a_start_shows_those_again_that_are_missing(parts: Parts, two_refused: list[str]) -> None:
    """A crash came between the verdict and the marker, or somebody removed it."""
    without_markers(parts)
    daemon._first_reconcile(parts, threading.Event(), None)
    assert markers(parts) == two_refused


def test_packs_in_use_get_theirs_when_all_are_asked_for(parts: Parts, two_refused: list[str]) -> None:
    """By a new configuration as by a start: nothing else happens to a pack that stays as it is."""
    parts.markers.follow("all")
    parts.projections.put_markers_right()
    assert markers(parts) == ["broken.failed", "core.active", "failing.failed"]


def test_without_markers_none_is_shown_again(parts: Parts, two_refused: list[str]) -> None:
    """What is missing is not missed under `markers: none`."""
    without_markers(parts)
    parts.markers.follow("none")
    parts.projections.put_markers_right()
    assert markers(parts) == []


def test_a_verdict_that_comes_while_one_is_shown_again_has_the_last_word(
    parts: Parts, two_refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between asking what is true and showing it."""
    without_markers(parts)
    show, overtaken = Markers.show, []

    def late(self: Markers, drop: str, **said: Any) -> None:
        if drop == "failing" and not overtaken:
            overtaken.append(drop)
            written(parts, "failing", MANIFEST.format(version="1.0.1", needs="").replace("core", "failing"))
            looked_at(parts, "failing")
        show(self, drop, **said)

    monkeypatch.setattr(Markers, "show", late)
    parts.projections.put_markers_right()
    assert markers(parts) == ["broken.failed"]


def test_who_asked_before_a_verdict_does_not_show_what_was_true_then(parts: Parts) -> None:
    """Leaving a reading can wait for the disk; meanwhile the next content passes, and its marker goes."""
    core(parts, test="exit 1")
    assert markers(parts) == ["core.failed"]
    read_slowly(parts, lambda: core(parts, "2.0.0"))
    parts.projections.show("core")
    assert markers(parts) == []


def away(packs: Path) -> Path:
    """As if the volume were not mounted; returns where it is."""
    volume = packs.with_name("volume")
    packs.rename(volume)
    packs.mkdir()
    return volume


def back(packs: Path) -> None:
    packs.rmdir()
    packs.with_name("volume").rename(packs)


@pytest.mark.parametrize("noticed", [True, False])
def test_they_wait_for_the_packs_directory_while_it_is_away(
    parts: Parts, two_refused: list[str], noticed: bool
) -> None:
    """Nothing is written into the folder that lies in its place; once it is back, it has what is true."""
    packs = parts.settings.packs_dir
    without_markers(parts)
    (packs / "core.failed").write_text("my notes\n")
    away(packs)
    if noticed:
        parts.reconciler.run()
        assert parts.keeper.troubles() == ["root_missing"]
    for ref in ("core", "failing"):
        parts.projections.show(ref)
    assert markers(parts) == []
    back(packs)
    parts.reconciler.run()
    assert markers(parts) == sorted([*two_refused, "core.failed"])
    assert (packs / "core.failed").read_text() == "my notes\n"


def test_one_that_became_untrue_while_the_packs_directory_was_away_goes(parts: Parts, two_refused: list[str]) -> None:
    """As soon as that is back."""
    packs = parts.settings.packs_dir
    (packs / "core.failed").write_text((packs / "failing.failed").read_text().replace("failing", "core"))
    away(packs)
    parts.reconciler.run()
    parts.projections.show("core")
    back(packs)
    parts.reconciler.run()
    assert markers(parts) == two_refused


@contextmanager
def read_only(packs: Path) -> Iterator[None]:
    """For whoever the tests run as."""
    if os.geteuid() != 0:
        packs.chmod(0o555)
        yield
        packs.chmod(0o755)
        return
    if subprocess.run(["mount", "--bind", packs, packs], check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", packs], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", packs], check=True)


def test_they_wait_for_the_packs_directory_while_it_is_read_only(parts: Parts, two_refused: list[str]) -> None:
    """Those that are missing and those that are not true any more; the next look at everything puts them right."""
    packs = parts.settings.packs_dir
    (packs / "core.failed").write_text((packs / "failing.failed").read_text().replace("failing", "core"))
    (packs / "failing.failed").unlink()
    with read_only(packs):
        for ref in ("core", "failing"):
            parts.projections.show(ref)
        parts.reconciler.run()
        assert markers(parts) == ["broken.failed", "core.failed"]
    parts.reconciler.run()
    assert markers(parts) == two_refused


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOSPC, errno.EIO])
def test_what_could_not_be_written_is_written_at_the_next_look(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Whatever was in the way: nobody has to touch the drop, or restart packd, for it to be told what is wrong."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        dropped(parts, "core", BROKEN)
    assert markers(parts) == []
    parts.reconciler.run()
    assert markers(parts) == ["core.failed"]


def test_what_could_not_be_removed_with_its_drop_is_removed_at_the_next_look(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when packd has forgotten the drop by then. What somebody else left there stays."""
    marker = refused(parts)
    shutil.rmtree(parts.settings.packs_dir / "core")
    looked_at(parts, "core")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        parts.intake.remove_soon("core")
        assert parts.lanes.wait_idle(30)
    assert marker.exists()
    notes = marker.with_name("notes.failed")
    shutil.copy(marker, notes)
    parts.reconciler.run()
    assert not marker.exists()
    assert notes.exists()


def test_what_could_not_be_asked_is_shown_at_the_next_look(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is locked for a moment, just when a verdict was written down."""

    def refuse(*_: object) -> None:
        raise Failure(Code.UNAVAILABLE, "the database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(queries, "active_digest", refuse)
        dropped(parts, "core", BROKEN)
    assert markers(parts) == []
    parts.reconciler.run()
    assert markers(parts) == ["core.failed"]
