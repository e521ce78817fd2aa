"""From file events to hints."""

from __future__ import annotations

from pathlib import Path

import pytest

from packd.domain.ignore import Ignore
from packd.watch.ears import Ears
from packd.watch.hints import Hint, Sorter


class Heard:
    """Ears on a folder, and what they said."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.hints: list[Hint] = []
        self.woken = 0
        self.ears = Ears(self.root, sorter=Sorter(self.root, Ignore()), hint=self.hints.append, wake=self._woken)

    def _woken(self) -> None:
        self.woken += 1

    def changed(
        self, path: str, *, folder: bool = False, closed: bool = False, came_or_went: bool = False
    ) -> list[tuple[str | None, bool]]:
        self.ears.changed(f"{self.root}/{path}", is_folder=folder, came_or_went=came_or_went, closed=closed)
        return self.take()

    def renamed(self, path: str | None, target: str | None, *, folder: bool) -> list[tuple[str | None, bool]]:
        source = f"{self.root}/{path}" if path else ""
        goal = f"{self.root}/{target}" if target else ""
        self.ears.renamed(source, goal, is_folder=folder)
        return self.take()

    def take(self) -> list[tuple[str | None, bool]]:
        said = [(hint.drop, hint.whole) for hint in self.hints]
        self.hints.clear()
        return said


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    return Heard(tmp_path)


def test_a_change_anywhere_in_a_drop_names_the_drop_only(heard: Heard) -> None:
    """However deep, the hint is the name of the entry at the top."""
    assert heard.changed("core", folder=True) == [("core", False)]
    assert heard.changed("core/actions/deep/run.py", closed=True) == [("core", False)]
    assert heard.changed("core/.github/x.yaml") == [("core", False)]


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "core.failed",
        "core.active",
        ".staging/core/pack.yaml",
        "core/.git/index",
        "core/lib/__pycache__/a.pyc",
        "core/.pack.yaml.swp",
        "core/.pack.yaml.Ab12Cd",
        "pack.zip.part",
    ],
)
def test_what_does_not_matter_gives_no_hint(heard: Heard, path: str) -> None:
    """Markers, plain files at the top, dot names at the top and ignored names anywhere are passed over."""
    assert heard.changed(path, closed=True) == []


@pytest.mark.parametrize("name", ["web.rar", "web.tar.bz2", "pack.yaml"])
def test_what_looks_like_a_pack_gives_a_hint(heard: Heard, name: str) -> None:
    """It is no drop, but somebody should be told so."""
    assert heard.changed(name, closed=True) == [(name, True)]


def test_an_archive_is_whole_once_it_is_closed_after_writing(heard: Heard) -> None:
    """While it is written it is only a change; inside a drop an archive is a file like any other."""
    assert heard.changed("a.zip") == [("a.zip", False)]
    assert heard.changed("a.zip", closed=True) == [("a.zip", True)]
    assert heard.changed("core/a.zip", closed=True) == [("core", False)]


@pytest.mark.parametrize("source", [None, ".staging/core", ".core.tmp", "core.tmp", "core/.git/core"])
def test_a_drop_renamed_from_outside_of_all_drops_is_whole(heard: Heard, source: str | None) -> None:
    """From outside of the packs directory or from an ignored name within it, one rename brings everything."""
    assert heard.renamed(source, "web", folder=True) == [("web", True)]
    assert heard.renamed(source, "web.tgz", folder=False) == [("web.tgz", True)]


def test_a_drop_renamed_within_the_root_hints_at_both_names(heard: Heard) -> None:
    """It may still be being written under its old name, so it is not whole."""
    assert heard.renamed("core", "web", folder=True) == [("core", False), ("web", False)]


def test_a_drop_renamed_away_hints_at_its_name(heard: Heard) -> None:
    """To outside, or to a name that is no drop."""
    assert heard.renamed("core", None, folder=True) == [("core", False)]
    assert heard.renamed("core", ".core", folder=True) == [("core", False)]


def test_a_rename_inside_a_drop_is_a_change_of_it(heard: Heard) -> None:
    """Also from an ignored name, as editors and rsync do when they save."""
    assert heard.renamed("core/a", "core/b", folder=False) == [("core", False)]
    assert heard.renamed("core/.a.Ab12Cd", "core/a", folder=False) == [("core", False)]
    assert heard.renamed("core/a", "core/a~", folder=False) == [("core", False)]
    assert heard.renamed("core/lib", "web/lib", folder=True) == [("core", False), ("web", False)]


def test_a_link_at_the_top_gives_a_hint(heard: Heard) -> None:
    """It is no drop, but it must be seen to be refused by name."""
    (Path(heard.root) / "core").symlink_to("/")
    assert heard.changed("core") == [("core", False)]


def test_a_link_that_is_gone_from_the_top_gives_a_hint(heard: Heard) -> None:
    """What it was refused for is over. A plain file that is still there, a marker and what is inside a drop are no link."""
    (Path(heard.root) / "README.md").touch()
    assert heard.changed("core", came_or_went=True) == [("core", False)]
    assert heard.renamed("core", None, folder=False) == [("core", False)]
    assert heard.changed("README.md", came_or_went=True) == []
    assert heard.changed("core.failed", came_or_went=True) == []
    assert heard.changed("core/.git/index", came_or_went=True) == []


def test_an_archive_renamed_from_a_plain_file_at_the_top_is_whole(heard: Heard) -> None:
    """That name, which is free now, was that of no drop as far as is known."""
    assert heard.renamed("upload", "web.tgz", folder=False) == [("web.tgz", True), ("upload", False)]


def test_a_change_of_the_root_itself_asks_for_a_check(heard: Heard) -> None:
    """It is about no drop."""
    heard.ears.changed(heard.root, is_folder=True, came_or_went=True, closed=False)
    assert (heard.take(), heard.woken) == ([], 1)


def test_drops_with_a_renamed_folder_are_remembered_until_taken(heard: Heard) -> None:
    """Only renames that leave or stay in the watched folders can leave a watch on the wrong path."""
    heard.renamed(None, "new", folder=True)
    heard.renamed("core/a", "core/b", folder=False)
    assert heard.ears.take_renamed() == set()
    heard.renamed("core/lib", "web/lib", folder=True)
    heard.renamed("old", None, folder=True)
    assert heard.ears.take_renamed() == {"core", "web", "old"}
    assert heard.ears.take_renamed() == set()
