"""Others write to the packs directory, too: what packd did not write there it neither replaces, removes nor waits for."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from packd.flow.markers import Markers, Mode
from tests.unit.flow_ground import looked_at, made_parts, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.bootstrap import Parts

TEXT = "What lies in 'core' was refused.\n  pack.yaml is missing\n"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the marker of the drop `core` belongs."""
    return tmp_path / "core.failed"


def marked(place: Path, *, failed: str | None = TEXT, active: str | None = None, mode: Mode = "failed") -> list[Any]:
    """Make the markers of its drop say this; returns what is logged."""
    return told(Markers(place.parent, mode), place, failed=failed, active=active)


def told(markers: Markers, place: Path, *, failed: str | None = TEXT, active: str | None = None) -> list[Any]:
    with capture_logs() as logged:
        markers.show(place.stem, failed=failed, active=active, number=1)
    return [(line["event"], line["path"]) for line in logged]


def link_to_zeros(place: Path) -> None:
    place.symlink_to("/dev/zero")


def link_to_a_file(place: Path) -> None:
    aim = place.with_name("aim")
    aim.write_text(TEXT)
    place.symlink_to(aim)


def link_to_nothing(place: Path) -> None:
    place.symlink_to(place.with_name("nothing"))


def listener(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))


def large_file(place: Path) -> None:
    place.touch()
    os.truncate(place, 1 << 40)  # it has no blocks, and would fill the memory


SOMEBODYS: list[Callable[[Path], None]] = [
    os.mkfifo,
    os.mkdir,
    listener,
    link_to_zeros,
    link_to_a_file,
    link_to_nothing,
    large_file,
]


def file_of_theirs(place: Path) -> None:
    place.write_text("my notes\n")


@pytest.mark.parametrize("failed", [TEXT, None])
@pytest.mark.parametrize("make", [*SOMEBODYS, file_of_theirs])
def test_what_is_somebodys_stays(place: Path, make: Callable[[Path], None], failed: str | None) -> None:
    """Whatever it is, whether or not there is something to tell; the log says so once."""
    make(place)
    before = os.lstat(place)
    markers = Markers(place.parent, "failed")
    assert told(markers, place, failed=failed) == [("marker.left_alone", str(place))]
    assert told(markers, place, failed=failed) == []
    after = os.lstat(place)
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)


def test_it_is_said_again_of_what_comes_back(place: Path) -> None:
    """Once for each time that somebody's file is in a marker's place."""
    markers = Markers(place.parent, "failed")
    for _ in range(2):
        file_of_theirs(place)
        assert told(markers, place) == [("marker.left_alone", str(place))]
        place.unlink()
        assert told(markers, place) == []
        assert TEXT in place.read_text()


def test_nobody_is_told_of_names_that_packd_does_not_use(place: Path) -> None:
    """`<drop>.active` means nothing unless it was asked for."""
    file_of_theirs(place.with_suffix(".active"))
    assert marked(place, active="core#1 is active since today.\n") == []
    file_of_theirs(place)
    assert marked(place, mode="none") == []
    assert place.read_text() == "my notes\n"


def test_a_marker_that_somebody_wrote_into_is_theirs(place: Path) -> None:
    """packd does not take it away, and says so."""
    marked(place)
    with place.open("a") as file:
        file.write("asked Ann about it\n")
    assert marked(place, failed=None) == [("marker.left_alone", str(place))]
    assert "Ann" in place.read_text()


def test_a_copy_under_another_name_is_somebodys(place: Path) -> None:
    """It says what drop it is about."""
    marked(place, failed="it was refused\n")
    other = place.with_name("other.failed")
    shutil.copy(place, other)
    assert marked(other, failed=None) == [("marker.left_alone", str(other))]


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "core#2 was rejected by validation; nothing of this pack is in use.\n",
        "core#2 (version 2.0.0) did not pass its own tests and was rolled back; core#1 (version 1.0.0) stays in use.\n",
        "core#2 (version 2.0.0) could not be tested and was rolled back; nothing of this pack is in use.\n",
        "core#2 (version 2.0.0) was rolled back by an operator; core#1 (version 1.0.0) stays in use.\n",
        "core#2 (version 2.0.0) is active since 12:00.\n",
    ],
)
def test_those_from_before_they_were_signed_are_known(place: Path, text: str) -> None:
    """They are packd's own, and go when they are not true any more."""
    place.write_text(f"{text}  tests: 0 of 1 passed\n\n  Change what lies there.\n")
    assert marked(place, failed=None) == []
    assert not place.exists()


def test_of_those_what_somebody_wrote_into_is_theirs(place: Path) -> None:
    """Known by its words, and left alone where there are others."""
    place.write_text(f"{TEXT}asked Ann about it\n")
    assert marked(place, failed=None) == [("marker.left_alone", str(place))]


@pytest.mark.parametrize("drop", ["core", "with ' and\nmore", "\udcff", "é" * 120])
def test_its_own_is_replaced_and_removed(tmp_path: Path, drop: str) -> None:
    """Under any name; what is true still is not written again."""
    place = tmp_path / f"{drop}.failed"
    marked(place, failed="one\n")
    first = place.stat().st_ino
    marked(place, failed="one\n")
    assert place.stat().st_ino == first
    marked(place, failed="two\n")
    assert place.read_text().startswith("two\n")
    assert stat.S_IMODE(place.stat().st_mode) & 0o600 == 0o600
    marked(place, failed=None)
    assert list(tmp_path.iterdir()) == []


def test_nobody_can_lie_in_wait_where_it_is_written(place: Path) -> None:
    """A FIFO under the name that it had until it was complete made the lane wait for ever."""
    os.mkfifo(place.with_name(".core.failed.tmp"))
    marked(place)
    assert TEXT in place.read_text()


def test_what_can_not_be_written_leaves_nothing_and_is_said_once(tmp_path: Path) -> None:
    """For the marker that is wanted, and once for each outcome; nothing of that name can lie there to be removed."""
    place = tmp_path / f"{'x' * 249}.failed"
    markers = Markers(tmp_path, "failed")
    assert told(markers, place) == [("marker.not_written", str(place))]
    assert told(markers, place) == []
    assert told(markers, place, failed="Something else.\n") == [("marker.not_written", str(place))]
    assert told(markers, place, failed=None) == []
    assert list(tmp_path.iterdir()) == []


def test_why_tells_what_the_marker_can_not(parts: Parts) -> None:
    """Where somebody's file is in its place, that is left as it is and `packd why` has the reason."""
    notes = parts.settings.packs_dir / "core.failed"
    file_of_theirs(notes)
    written(parts, "core", "ref: core\n")
    looked_at(parts, "core")
    assert notes.read_text() == "my notes\n"
    assert "was rejected by validation" in parts.commands.explain("core").text()
