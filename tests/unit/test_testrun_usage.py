"""What a run's folder holds is counted while the suite runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.testrun.limits import MIB
from packd.testrun.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path


def test_content_counts(tmp_path: Path) -> None:
    """By what it takes on the disk, in all folders together."""
    for number in range(4):
        place = tmp_path / "a" / str(number)
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x" * (MIB // 2))
    assert Usage(tmp_path, given=None, most=MIB).exceeds()
    assert not Usage(tmp_path, given=None, most=3 * MIB).exceeds()


def test_what_was_given_does_not_count(tmp_path: Path) -> None:
    """The copy of a large pack leaves the suite as much room as that of a small one."""
    for place in ("given", "run/pack"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "large").write_bytes(b"x" * (2 * MIB))
    usage = Usage(tmp_path / "run", given=tmp_path / "given", most=MIB)
    assert not usage.exceeds()
    (tmp_path / "run" / "more").write_bytes(b"x" * (2 * MIB))
    assert usage.exceeds()


def test_empty_files_count_too(tmp_path: Path) -> None:
    """A file system can run out of files before it runs out of room."""
    for number in range(300):
        (tmp_path / str(number)).touch()
    assert Usage(tmp_path, given=None, most=MIB).exceeds()


def test_a_large_tree_is_counted_over_several_looks(tmp_path: Path) -> None:
    """No look takes long; together they see all of it, again and again."""
    for number in range(2_500):
        (tmp_path / str(number)).touch()
    usage = Usage(tmp_path, given=None, most=9 * MIB)
    assert [usage.exceeds() for _ in range(5)] == [False, True, True, True, True]
    usage = Usage(tmp_path, given=None, most=11 * MIB)
    assert not any(usage.exceeds() for _ in range(5))
    (tmp_path / "large").write_bytes(b"x" * (2 * MIB))
    assert any(usage.exceeds() for _ in range(5))


def test_links_and_holes_are_not_content(tmp_path: Path) -> None:
    """What a link leads to is not in the folder, and a sparse file takes no room."""
    (tmp_path / "run").mkdir()
    (tmp_path / "large").write_bytes(b"x" * (2 * MIB))
    (tmp_path / "run" / "link").symlink_to(tmp_path / "large")
    (tmp_path / "run" / "up").symlink_to(tmp_path)
    with (tmp_path / "run" / "hole").open("wb") as file:
        file.truncate(64 * MIB)
    assert not Usage(tmp_path / "run", given=None, most=MIB).exceeds()


def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    """The suite may remove whatever it likes meanwhile."""
    assert not Usage(tmp_path / "gone", given=None, most=MIB).exceeds()
