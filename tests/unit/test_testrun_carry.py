"""Copying between a folder here and one that a suite had in its hands."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from packd.testrun.carry import Carrier, opened


def carry(source: Path, target: Path) -> None:
    with opened(source) as one, opened(target) as other:
        Carrier().carry(one, other)


def carry_part(source: Path, target: Path, part: str) -> bool:
    with opened(source) as one, opened(target) as other:
        return Carrier().carry_part(one, other, PurePath(part))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("content")
    (folder / "inner" / "file").chmod(0o751)
    (folder / "link").symlink_to("inner/file")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_files_folders_links_modes_and_times(source: Path, target: Path) -> None:
    """What is carried is equal."""
    carry(source, target)
    copied, original = (target / "inner" / "file").stat(), (source / "inner" / "file").stat()
    assert (copied.st_mode, copied.st_mtime_ns) == (original.st_mode, original.st_mtime_ns)
    assert (target / "link").readlink() == Path("inner/file")


def test_what_is_not_there_any_more_goes(source: Path, target: Path) -> None:
    """Folders with content included, and what changed its kind."""
    (target / "old" / "deep").mkdir(parents=True)
    (target / "old" / "deep" / "file").touch()
    (target / "inner").write_text("was a file")
    (target / "link").mkdir()
    carry(source, target)
    assert sorted(path.name for path in target.iterdir()) == ["inner", "link"]
    assert (target / "inner" / "file").read_text() == "content"
    assert (target / "link").is_symlink()


def test_what_is_equal_is_not_touched(source: Path, target: Path) -> None:
    """A report that was there before keeps what identifies it."""
    carry(source, target)
    before = (target / "inner" / "file").stat()
    carry(source, target)
    assert (target / "inner" / "file").stat().st_ctime_ns == before.st_ctime_ns


def test_pipes_and_sockets_stay(source: Path, target: Path) -> None:
    """Opening one could wait for ever."""
    os.mkfifo(source / "pipe")
    carry(source, target)
    assert not (target / "pipe").exists()


def test_links_in_the_target_are_not_followed(source: Path, target: Path, tmp_path: Path) -> None:
    """Nothing is written where one leads."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (target / "inner").symlink_to(outside)
    carry(source, target)
    assert list(outside.iterdir()) == []
    assert (target / "inner" / "file").read_text() == "content"


def test_a_part(source: Path, target: Path) -> None:
    """Only that, with the folders on the way; nothing when it is not there."""
    (source / "other").touch()
    assert carry_part(source, target, "inner/file")
    assert [path.name for path in target.iterdir()] == ["inner"]
    assert carry_part(source, target, "nowhere/at/all")
    assert carry_part(source, target, "inner/missing")


@pytest.mark.parametrize("part", ["link", "way/file", "."])
def test_a_part_with_links_is_not_taken_alone(part: str, source: Path, target: Path) -> None:
    """Where they lead is another part; whoever asks takes everything then."""
    (source / "way").symlink_to("inner")
    if part == ".":
        part = "inner"
        (source / "inner" / "link").symlink_to("../way")
    assert not carry_part(source, target, part)


def test_too_deep(source: Path, target: Path) -> None:
    """An error, not a recursion without end."""
    here = os.open(source, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    with pytest.raises(OSError, match="folders in each other"):
        carry(source, target)
