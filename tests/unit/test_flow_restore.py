"""`rollback.folder: restore`: the folder gets back what is in use, and never loses what is newer than the refused content."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from packd.flow import restore
from packd.flow.packs_folder import PacksFolder
from packd.flow.permissions import permit_alike
from packd.registry import queries
from packd.snapshot import discarding
from packd.snapshot.store import Store, StoreFull
from tests.unit.flow_ground import MANIFEST, core, latest, looked_at, made_parts, written
from tests.unit.snapshot_ground import open_folder_of_all
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from packd.bootstrap import Parts


_NOBODY = 65534


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Version 1.0.0 of `core` is in use."""
    with made_parts(tmp_path, rollback={"folder": "restore"}, watch={"ignore": ["*.env"]}) as made:
        core(made)
        yield made


def version(folder: Path) -> str:
    return (folder / "pack.yaml").read_text().splitlines()[1]


def kept(parts: Parts) -> Path:
    return parts.settings.packs_dir / ".packd-failed" / "core-2"


def why(parts: Parts) -> str:
    return parts.commands.explain("core").text()


def write_more(parts: Parts) -> None:
    (parts.settings.packs_dir / "core" / "fix.txt").write_text("the fix")


def test_what_was_refused_is_kept_beside(parts: Parts) -> None:
    """The last good content lies in the folder again, what failed in `.packd-failed`."""
    core(parts, "2.0.0", test="exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_what_is_no_part_of_the_pack_stays_in_the_folder(parts: Parts, tmp_path: Path) -> None:
    """A clone's history, what the pack itself leaves aside, and caches; and nothing is moved through a link."""
    place = parts.settings.packs_dir / "core"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (place / ".packdignore").write_text("my.local\nlogs\n")
    core(parts)
    (place / "tests" / "__pycache__").mkdir()
    (place / "new" / ".git").mkdir(parents=True)
    (place / "logs").symlink_to(elsewhere)
    for path in (".git/HEAD", "my.local", "tests/__pycache__/a.pyc"):
        (place / path).parent.mkdir(exist_ok=True)
        (place / path).write_text(path)
    core(parts, "3.0.0", test="exit 1")
    assert version(place) == 'version: "1.0.0"'
    kept = parts.settings.packs_dir / ".packd-failed" / "core-3"
    for path in (".git/HEAD", "my.local", "tests/__pycache__/a.pyc"):
        assert (place / path).read_text() == path
        assert not (kept / path).exists()
    assert (kept / "new" / ".git").is_dir()  # there is no such folder in what is in use
    assert (place / "logs").is_symlink()
    assert list(elsewhere.iterdir()) == []


def test_what_only_the_refused_content_leaves_aside_is_kept_with_it(parts: Parts) -> None:
    """In the folder it would be part of the pack: content that nobody has dropped."""
    place = parts.settings.packs_dir / "core"
    (place / ".packdignore").write_text("my.local\n")
    (place / "my.local").write_text("mine")
    core(parts, "2.0.0", test="exit 1")
    assert (kept(parts) / "my.local").read_text() == "mine"
    looked_at(parts, "core")
    assert latest(parts).number == 2


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """As the unit sets it."""
    usual = os.umask(0o077)
    yield
    os.umask(usual)


@pytest.mark.usefixtures("strict_umask")
def test_whoever_could_change_the_folder_still_can(parts: Parts) -> None:
    """Owner, group and permissions are as before, whoever packd runs as; what may be executed is part of the content."""
    place = parts.settings.packs_dir / "core"
    folder = written(parts, "core", MANIFEST.format(version="2.0.0", needs=""), test="exit 1")
    modes = {"": 0o2775, "tests": 0o755, "pack.yaml": 0o664, "tests/run.sh": 0o640}
    for path, mode in modes.items():
        (folder / path).chmod(mode)
        if os.geteuid() == 0:
            os.chown(folder / path, 12345, 54321)
            (folder / path).chmod(mode)
    owner = place.stat()
    looked_at(parts, "core")
    assert version(place) == 'version: "1.0.0"'
    found = {path: (place / path).stat() for path in modes}
    assert {path: seen.st_mode & 0o7777 for path, seen in found.items()} == modes | {"tests/run.sh": 0o750}
    assert {(seen.st_uid, seen.st_gid) for seen in found.values()} == {(owner.st_uid, owner.st_gid)}


@pytest.mark.parametrize("theirs", ["another name of it", "somebody's own"])
def test_nobody_gets_at_a_file_by_putting_it_among_what_comes_back(tmp_path: Path, theirs: str) -> None:
    """Whoever may write to the packs directory may exchange the copy before it is given to him."""
    before, after, secret = tmp_path / "before", tmp_path / "after", tmp_path / "secret"
    for folder in (before, after):
        folder.mkdir()
    secret.write_text("secret")
    secret.chmod(0o600)
    (before / "file").write_text("")
    (before / "file").chmod(0o666)
    os.link(secret, after / "file")
    if theirs == "somebody's own":
        if os.geteuid() != 0:
            pytest.skip("NOT CHECKED: only root has files of others")
        secret.unlink()
        os.chown(after / "file", _NOBODY, _NOBODY)
    owner = (after / "file").stat().st_uid
    permit_alike(before, after)
    found = (after / "file").stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o600, owner)


@pytest.mark.usefixtures("strict_umask")
def test_whoever_may_read_the_packs_directory_gets_at_what_was_taken_out(parts: Parts) -> None:
    """Whatever the umask of the daemon is."""
    parts.settings.packs_dir.chmod(0o2775)
    core(parts, "2.0.0", test="exit 1")
    assert kept(parts).parent.stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("strict_umask")
def test_what_comes_back_gets_the_permissions_of_its_folder(parts: Parts) -> None:
    """A folder and what is in it, links too, of which the refused content had nothing."""
    place = core(parts, "2.0.0")
    (place / "docs").mkdir()
    (place / "docs" / "a").write_text("a")
    (place / "docs" / "b").symlink_to("a")
    looked_at(parts, "core")
    shutil.rmtree(place / "docs")
    place.chmod(0o770)
    core(parts, "4.0.0", test="exit 1")
    assert (place / "docs" / "b").read_text() == "a"
    assert (place / "docs").stat().st_mode & 0o777 == 0o770
    assert (place / "docs" / "a").stat().st_mode & 0o777 == 0o660


def test_the_marker_and_why_say_where_it_is(parts: Parts) -> None:
    """And not to change what lies there: that is what is in use."""
    core(parts, "2.0.0", test="exit 1")
    said = why(parts)
    assert "'core' holds the content of core#1 (version 1.0.0) again; core#2 is kept in '.packd-failed/core-2'" in said
    assert "Change what lies there" not in said
    assert (parts.settings.packs_dir / "core.failed").read_text().startswith(said)


def test_why_says_that_what_is_in_use_does_not_lie_there(parts: Parts) -> None:
    """`retry` takes the withdrawn content from the store, and leaves the folder as it is."""
    core(parts, "2.0.0")
    assert "warning" not in why(parts)
    parts.commands.rollback("core", to=None, actor="test")
    assert parts.lanes.wait_idle(30)
    parts.commands.retry("core", actor="test")
    assert parts.lanes.wait_idle(30)
    said = why(parts)
    assert said.startswith("core#2 (version 2.0.0) is active since ")
    assert "what lies in 'core' is not what is in use: it is the content of core#1 (version 1.0.0)" in said


def test_every_roll_back_puts_back_what_is_in_use_then(parts: Parts) -> None:
    """Also where an earlier one has put back what is withdrawn now, or left for a newer one."""
    place = parts.settings.packs_dir / "core"
    for number in (2, 3, 4):
        core(parts, f"{number}.0.0")
    for to, in_use in ((2, "2.0.0"), (3, "3.0.0"), (None, "2.0.0"), (None, "1.0.0")):
        parts.commands.rollback("core", to=to, actor="test")
        assert parts.lanes.wait_idle(30)
        assert version(place) == f'version: "{in_use}"'
        assert "'core' holds the content of" in why(parts)
    looked_at(parts, "core")
    assert latest(parts).number == 4


def test_a_candidate_that_a_roll_back_took_along_stays_and_can_be_tried_again(parts: Parts) -> None:
    """It was never judged, and `retry` reads what lies there."""
    place = parts.settings.packs_dir / "core"
    core(parts, "2.0.0")
    core(parts, "3.0.0", needs="missing")
    parts.commands.rollback("core", to=None, actor="test")
    assert parts.lanes.wait_idle(30)
    looked_at(parts, "core")
    assert version(place) == 'version: "3.0.0"'
    assert "To try it again: packd retry core" in why(parts)
    assert parts.commands.retry("core", actor="test") is None
    looked_at(parts, "core")
    assert (latest(parts).number, latest(parts).phase, latest(parts).version) == (4, "waiting", "3.0.0")


def test_what_is_being_written_is_left_there_until_it_has_settled(parts: Parts) -> None:
    """Then it comes to its own verdict; and if it is the same after all, it is exchanged after all."""
    parts.settling.touched("core")
    core(parts, "2.0.0", test="exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "2.0.0"'
    parts.settling.start(take=lambda *_: None, remove=lambda _: None)
    wait_until(lambda: not parts.settling.awaits("core"))
    parts.settling.stop()
    looked_at(parts, "core")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_what_was_written_while_the_copy_was_made_stays(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is written to is not exchanged."""
    copy_out = parts.store.copy_out

    def slow(digest: str, destination: Path, **how: Any) -> None:
        copy_out(digest, destination, **how)
        if destination.name.startswith(".packd-restore"):
            write_more(parts)

    monkeypatch.setattr(parts.store, "copy_out", slow)
    core(parts, "2.0.0", test="exit 1")
    is_as_it_was(parts)


def test_what_was_written_in_the_last_moment_is_put_back(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be kept from writing between the last look and the exchange."""
    exchange = restore.exchange

    def late(folder: int, name: str, place: Path) -> None:
        write_more(parts)
        exchange(folder, name, place)
        monkeypatch.setattr(restore, "exchange", exchange)

    monkeypatch.setattr(restore, "exchange", late)
    core(parts, "2.0.0", test="exit 1")
    is_as_it_was(parts)
    assert parts.settling.awaits("core"), "nobody would look at it"


def test_what_was_written_to_what_lay_there_for_a_moment_is_kept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who copies into the folder all the while loses nothing by two exchanges, and is told where it is."""
    place, exchange = parts.settings.packs_dir / "core", restore.exchange
    lines = iter(["the first", "the second"])

    def late(folder: int, name: str, at: Path) -> None:
        (place / "fix.txt").write_text(next(lines))
        exchange(folder, name, at)
        for line in lines:
            (place / "more.txt").write_text(line)
        monkeypatch.setattr(restore, "exchange", exchange)

    monkeypatch.setattr(restore, "exchange", late)
    with capture_logs() as logs:
        core(parts, "2.0.0", test="exit 1")
    assert (place / "fix.txt").read_text() == "the first"
    assert [path.read_text() for path in kept(parts).parent.glob("core-2.*/more.txt")] == ["the second"]
    assert [entry["event"] for entry in logs].count("drop.written_meanwhile") == 1


def is_as_it_was(parts: Parts) -> None:
    packs_dir = parts.settings.packs_dir
    assert version(packs_dir / "core") == 'version: "2.0.0"'
    assert (packs_dir / "core" / "fix.txt").read_text() == "the fix"
    assert sorted(path.name for path in packs_dir.iterdir()) == ["core", "core.failed"]


# --- ended in the middle -----------------------------------------------------------------------------------------------


class Killed(Exception):
    """Nothing that follows happens."""


def ended(exchange: Callable[[int, str, Path], None], *, behind: bool) -> Callable[[int, str, Path], None]:
    def ending(folder: int, name: str, place: Path) -> None:
        if behind:
            exchange(folder, name, place)
        raise Killed

    return ending


@pytest.mark.parametrize("behind", [False, True], ids=["before the exchange", "behind it"])
def test_what_was_refused_survives_a_kill(parts: Parts, monkeypatch: pytest.MonkeyPatch, behind: bool) -> None:
    """It is in the folder, or where `why` says that it is; never under a name that the next restoring makes use of."""
    monkeypatch.setattr(restore, "exchange", ended(restore.exchange, behind=behind))
    core(parts, "2.0.0", test="exit 1")
    monkeypatch.undo()
    assert version(kept(parts) if behind else parts.settings.packs_dir / "core") == 'version: "2.0.0"'
    looked_at(parts, "core")  # as the next start does
    core(parts, "3.0.0", test="exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_what_is_no_part_of_the_pack_is_back_in_the_folder_after_a_kill(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone's history is not swept with the refused content, whatever the policy is at the next start."""
    place = parts.settings.packs_dir / "core"
    (place / ".git").mkdir()
    monkeypatch.setattr(restore, "exchange", ended(restore.exchange, behind=True))
    core(parts, "2.0.0", test="exit 1")
    monkeypatch.undo()
    assert (kept(parts) / ".git").is_dir()
    parts.restorer.follow(enabled=False, kept_hours=72)
    parts.restorer.resume()
    assert parts.lanes.wait_idle(30)
    assert (place / ".git").is_dir()
    assert version(place) == 'version: "1.0.0"'


class WithoutExchange:
    """A file system that has no RENAME_EXCHANGE, as NFS. The rename with this number fails, or is the last before a kill."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: int = 0, last: int = 0) -> None:
        self._rename, self._fails, self._last, self._count = os.rename, fails, last, 0
        monkeypatch.setattr(restore, "_libc", self)
        monkeypatch.setattr(restore.os, "rename", self.rename)

    def renameat2(self, *_: object) -> int:
        self._count = 1
        ctypes.set_errno(errno.EINVAL)
        return -1

    def rename(self, *names: Any, **where: Any) -> None:
        self._count += bool(self._count)
        if self._count - 1 == self._fails > 0:
            raise OSError(errno.EIO, "Input/output error")
        if self._count - 1 > self._last > 0:
            raise Killed
        self._rename(*names, **where)


@pytest.mark.parametrize("last", [0, 1, 2, 3])
def test_without_one_step_a_kill_leaves_nobody_with_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """Behind any of the three renames; 0: it is not killed."""
    place = parts.settings.packs_dir / "core"
    (place / ".git").mkdir()
    with monkeypatch.context() as patched:
        WithoutExchange(patched, last=last)
        core(parts, "2.0.0", test="exit 1")
    parts.restorer.resume()
    assert parts.lanes.wait_idle(30)
    looked_at(parts, "core")
    assert version(place) == 'version: "1.0.0"'
    assert (place / ".git").is_dir()
    assert version(kept(parts)) == 'version: "2.0.0"'


@pytest.mark.parametrize("fails", [2, 3])
def test_without_one_step_a_failure_leaves_the_folder_as_it_was(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """Whichever of its renames fails: what was refused lies there, nothing is kept beside, and it is said."""
    WithoutExchange(monkeypatch, fails=fails)
    with capture_logs() as logs:
        core(parts, "2.0.0", test="exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "2.0.0"'
    assert os.listdir(kept(parts).parent) == []
    assert [entry["event"] for entry in logs].count("drop.not_restored") == 1


def test_what_was_not_put_back_is_put_back_at_the_next_start(parts: Parts) -> None:
    """A kill behind the verdict, or while the copy was made."""
    parts.restorer.follow(enabled=False, kept_hours=72)
    core(parts, "2.0.0", test="exit 1")
    parts.restorer.follow(enabled=True, kept_hours=72)
    parts.restorer.resume()
    assert parts.lanes.wait_idle(30)
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_a_copy_that_never_became_whole_is_swept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while it may be under way: when it is three days old."""
    half = parts.settings.packs_dir / ".packd-restore-0123"
    half.mkdir()
    parts.restorer.sweep()
    assert half.exists(), "it may be under way"
    later(monkeypatch, 73)
    parts.restorer.sweep()
    assert sorted(os.listdir(half.parent)) == ["core"]


@pytest.mark.parametrize("problem", ["the name", "the exchange"])
def test_what_can_not_be_exchanged_is_left_and_said(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    """A name that is too long to be kept; a drop that is a mount point. `why` does not say otherwise."""

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    name = "a" * 254 if problem == "the name" else "core"
    if problem == "the name":
        (parts.settings.packs_dir / "core").rename(parts.settings.packs_dir / name)
        core(parts, name=name)
    else:
        monkeypatch.setattr(restore, "exchange", busy)
    with capture_logs() as logs:
        core(parts, "2.0.0", name=name, test="exit 1")
    said = [entry["error"] for entry in logs if entry["event"] == "drop.not_restored"]
    assert len(said) == 1
    assert "give the drop a shorter one" in said[0] or "busy" in said[0]
    assert version(parts.settings.packs_dir / name) == 'version: "2.0.0"'
    assert "is kept in" not in why(parts)
    assert not list(parts.settings.packs_dir.glob(".packd*/*"))


def test_what_is_mounted_in_the_folder_is_left_there(tmp_path: Path, parts: Parts) -> None:
    """It would move along, and be emptied with the refused content when that is swept."""
    place, live = parts.settings.packs_dir / "core", tmp_path / "live"
    live.mkdir()
    (place / ".packdignore").write_text("my data\n")
    (place / "my data").mkdir()
    if subprocess.run(["mount", "--bind", live, place / "my data"], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with capture_logs() as logs:
            core(parts, "2.0.0", test="exit 1")
    finally:
        for wherever in parts.settings.packs_dir.rglob("my data"):
            subprocess.run(["umount", wherever], check=False)
    (said,) = [entry["error"] for entry in logs if entry["event"] == "drop.not_restored"]
    assert f"something is mounted at {place / 'my data'}" in said
    assert version(place) == 'version: "2.0.0"'
    assert not list(parts.settings.packs_dir.glob(".packd*/*"))


def test_the_same_content_is_kept_once(parts: Parts) -> None:
    """However often it is dropped again."""
    for _ in range(2):
        core(parts, "2.0.0", test="exit 1")
    assert os.listdir(kept(parts).parent) == ["core-2"]


def test_a_read_only_folder_is_kept_once_and_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of refused content, where packd is not root, whom no permissions stop."""
    with open_folder_of_all() as base, made_parts(base, rollback={"folder": "restore"}) as parts, as_nobody(base):
        place = core(parts)
        for _ in range(2):
            (place / "fixed").mkdir()
            (place / "fixed" / "a").write_text("a")
            (place / "fixed").chmod(0o555)
            core(parts, "2.0.0", test="exit 1")
            assert version(place) == 'version: "1.0.0"'
        assert os.listdir(kept(parts).parent) == ["core-2"]
        later(monkeypatch, 73)
        parts.restorer.sweep()
        assert not kept(parts).exists()


def test_what_is_in_no_snapshot_stays_when_the_same_content_is_kept_again(parts: Parts) -> None:
    """It is nowhere else: each time has a place of its own."""
    place = parts.settings.packs_dir / "core"
    for text in ("first", "second"):
        (place / ".packdignore").write_text("my.local\n")
        (place / "my.local").write_text(text)
        core(parts, "2.0.0", test="exit 1")
    assert sorted(path.read_text() for path in kept(parts).parent.glob("core-2*/my.local")) == ["first", "second"]


def test_what_is_kept_is_not_overwritten_with_other_content(parts: Parts) -> None:
    """What somebody changed in it is kept under another name."""
    core(parts, "2.0.0", test="exit 1")
    (kept(parts) / "fix.txt").write_text("the fix")
    core(parts, "2.0.0", test="exit 1")
    assert version(kept(parts)) == 'version: "2.0.0"'
    assert [path.read_text() for path in kept(parts).parent.glob("core-2.*/fix.txt")] == ["the fix"]


# --- `.packd-failed` ---------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(parts: Parts, tmp_path: Path) -> Path:
    """What somebody who may write to the packs directory makes `.packd-failed` lead to."""
    folder = tmp_path / "elsewhere"
    (folder / "alice").mkdir(parents=True)
    kept(parts).parent.symlink_to(folder)
    return folder


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """As a user without rights over others, whose own all in the folder is. Ordinary users are that already."""
    if os.geteuid() != 0:
        yield
        return
    for inside, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(Path(inside, name), _NOBODY, _NOBODY, follow_symlinks=False)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def later(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    at = time.time() + hours * 3600
    monkeypatch.setattr(time, "time", lambda: at)


def test_what_was_kept_long_enough_is_removed(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `retention.failed_hours` at 72."""
    core(parts, "2.0.0", test="exit 1")
    later(monkeypatch, 71)
    parts.restorer.sweep()
    assert kept(parts).exists()
    later(monkeypatch, 73)
    parts.restorer.sweep()
    assert not kept(parts).exists()


@pytest.mark.parametrize("theirs", ["new/.git/HEAD", "my.local", "new/site.env"])
def test_what_is_in_no_snapshot_is_not_swept(parts: Parts, monkeypatch: pytest.MonkeyPatch, theirs: str) -> None:
    """A clone's history, or what the pack or `watch.ignore` leaves aside, where it could not stay in the folder; caches are."""
    place = parts.settings.packs_dir / "core"
    (place / ".packdignore").write_text("my.local\n")
    for path in (theirs, "new/__pycache__/a.pyc"):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text("mine")
    core(parts, "2.0.0", test="exit 1")
    later(monkeypatch, 73)
    with capture_logs() as logs:
        parts.restorer.sweep()
    assert (kept(parts) / theirs).read_text() == "mine"
    assert "is no part of the pack, and in no snapshot: move it" in logs[0]["why"]
    (kept(parts) / theirs).unlink()
    shutil.rmtree(kept(parts) / "new" / ".git", ignore_errors=True)
    later(monkeypatch, 73)
    parts.restorer.sweep()
    assert not kept(parts).exists()


def test_a_link_in_the_place_of_the_folder_is_not_swept(
    parts: Parts, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is removed where it leads to, and it is said what to do."""
    later(monkeypatch, 1000)
    with capture_logs() as logs:
        parts.restorer.sweep()
    assert os.listdir(elsewhere) == ["alice"]
    assert [entry["event"] for entry in logs] == ["kept.not_swept"]
    assert "is a link, or no folder at all: move it away" in logs[0]["why"]


def test_nothing_is_put_where_a_link_leads(parts: Parts, elsewhere: Path) -> None:
    """The drop is left as it is, and `why` does not say otherwise."""
    with capture_logs() as logs:
        core(parts, "2.0.0", test="exit 1")
    assert os.listdir(elsewhere) == ["alice"]
    assert version(parts.settings.packs_dir / "core") == 'version: "2.0.0"'
    assert "is kept in" not in why(parts)
    assert "drop.not_restored" in {entry["event"] for entry in logs}
    assert not list(parts.settings.packs_dir.glob(".packd-restore*"))


def test_a_folder_of_somebody_else_is_not_swept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever it belongs to may have put something there."""
    core(parts, "2.0.0", test="exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    later(monkeypatch, 1000)
    parts.restorer.sweep()
    assert kept(parts).exists()


def test_what_can_not_be_removed_keeps_nothing_else_there(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what packd has not put there, as a link to nothing."""
    core(parts, "2.0.0", test="exit 1")
    folder = kept(parts).parent
    (folder / "aaa").symlink_to("nowhere")
    (folder / "bad").mkdir()
    discard = discarding.discard

    def failing(name: str, within: int) -> None:
        if name == "bad":
            raise PermissionError(13, "Permission denied")
        discard(name, within)

    monkeypatch.setattr("packd.flow.kept.discard", failing)
    later(monkeypatch, 1000)
    with capture_logs() as logs:
        parts.restorer.sweep()
    assert sorted(os.listdir(folder)) == ["aaa", "bad"]
    assert [(entry["event"], entry["path"]) for entry in logs] == [("kept.not_removed", str(folder / "bad"))]


@pytest.mark.parametrize("failure", [OSError(errno.EMFILE, "Too many open files"), StoreFull("the disk is full")])
def test_what_a_machine_was_in_the_way_of_is_put_back_at_the_next_look(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """A disk that was full for a moment: nobody has to touch the drop, or restart packd."""

    def refuse(*_: object, **__: object) -> None:
        with parts.registry.write() as tx:  # as by a look at everything while it was tested
            drop = queries.drop(tx.reader, "core")
            assert drop is not None
            tx.save_drop(replace(drop, fingerprint="as it lies there"))
        raise failure

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(Store, "copy_out", refuse)
        core(parts, "2.0.0", test="exit 1")
    assert [entry["event"] for entry in logs].count("drop.not_restored") == 1
    assert version(parts.settings.packs_dir / "core") == 'version: "2.0.0"'
    with parts.registry.read() as connection:
        drop = queries.drop(connection, "core")
    assert drop is not None
    assert drop.fingerprint is None  # so the next look at everything does not leave it as it is
    looked_at(parts, "core")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_what_fails_behind_the_exchange_makes_no_new_content(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What packd itself put there stays known as that: nothing is tested again, or told."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        real = restore.exchange

        def exchanged(*where: Any) -> None:
            real(*where)
            patched.setattr(restore.Restorer, "_carry_over", refuse)
            patched.setattr(PacksFolder, "look", refuse)

        patched.setattr(restore, "exchange", exchanged)
        core(parts, "2.0.0", test="exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    looked_at(parts, "core")
    assert latest(parts).number == 2
