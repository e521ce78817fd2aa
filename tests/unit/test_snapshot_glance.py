"""A glance at a drop says what a proper look says, or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packd.domain.ignore import Ignore
from packd.snapshot.glance import glance
from packd.snapshot.tree import Limits, look
from tests.unit.snapshot_ground import made_tree

AGE_NS = 3_600_000_000_000
NAMES = st.sampled_from(["a", "b.py", "-", "Z", "a b", "é", ".hidden", "x.pyc", ".git", ".packdignore", "n" * 120])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is made here was made an hour ago."""
    now_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + AGE_NS)


def proper(folder: Path, limits: Limits) -> str | None:
    return look(folder, Ignore(), limits).fingerprint(time.time_ns())


def test_an_ordinary_drop_has_the_fingerprint_that_a_look_gives_it(tmp_path: Path) -> None:
    """Files in folders, some ignored; each folder is entered once, before what is in it."""
    folder = made_tree(tmp_path / "p", {"a/b/file": "x", "a.txt": "", "a-b": "", "run.sh": "", ".git/c": "", "e": None})
    entered: list[str] = []
    found = glance(str(folder), Ignore(), Limits(), entered.append)
    assert found == proper(folder, Limits()) is not None
    assert sorted(entered) == ["p", "p/a", "p/a/b", "p/e"]


@given(
    st.dictionaries(PATHS, st.sampled_from(["", "x", "-> a", None]), max_size=6), st.integers(1, 6), st.integers(1, 3)
)
def test_a_glance_never_says_anything_else_than_a_look(shape: dict[str, str | None], files: int, depth: int) -> None:
    """Whatever lies in the drop, and whatever its limits are."""
    base = Path(tempfile.mkdtemp(prefix="packd-glance-"))
    try:
        folder, limits = base / "p", Limits(files=files, depth=depth)
        folder.mkdir()
        for path, content in shape.items():
            try:
                made_tree(folder, {path: content})
            except OSError:  # a file lies where this one wants a folder
                continue
        assert glance(str(folder), Ignore(), limits) in (None, proper(folder, limits))
    finally:
        shutil.rmtree(base)


UNUSUAL = {
    "a link": lambda p: (p / "link").symlink_to("pack.yaml"),
    "a fifo": lambda p: os.mkfifo(p / "fifo"),
    "rules of its own": lambda p: (p / ".packdignore").write_text("docs/\n"),
    "a name beyond ASCII": lambda p: (p / "é").touch(),
    "a name that is not UTF-8": lambda p: (p / os.fsdecode(b"\xff")).touch(),
    "a time before 1970": lambda p: os.utime(p / "pack.yaml", (-5, -5)),
    "gone": shutil.rmtree,
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_of_what_is_not_ordinary_a_glance_says_nothing(tmp_path: Path, what: str) -> None:
    """A proper look has to be taken."""
    folder = made_tree(tmp_path / "p", {"pack.yaml": "", "docs/a": ""})
    assert glance(str(folder), Ignore(), Limits()) is not None
    UNUSUAL[what](folder)
    assert glance(str(folder), Ignore(), Limits()) is None


@pytest.mark.parametrize("limits", [Limits(files=2), Limits(bytes=1), Limits(depth=1), Limits(path_length=8)])
def test_a_drop_at_its_limits_is_not_ordinary(tmp_path: Path, limits: Limits) -> None:
    """What exceeds one has problems, and those only a look can tell."""
    assert glance(str(made_tree(tmp_path / "p", {"pack.yaml": "xx", "a/b/c": ""})), Ignore(), limits) is None


def test_fresh_changes_are_not_for_a_glance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How close is too close depends on the file system, and a look knows it."""
    folder = made_tree(tmp_path / "p", {"pack.yaml": ""})
    changed_ns = (folder / "pack.yaml").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: changed_ns + 1_900_000_000)
    assert glance(str(folder), Ignore(), Limits()) is None
    monkeypatch.setattr(time, "time_ns", lambda: changed_ns + 2_100_000_000)
    assert glance(str(folder), Ignore(), Limits()) is not None
    monkeypatch.setattr(time, "time_ns", lambda: changed_ns - AGE_NS)  # the clock was set back
    assert glance(str(folder), Ignore(), Limits()) is None


def test_a_link_in_place_of_a_drop_or_folder_is_not_followed(tmp_path: Path) -> None:
    """A glance never leaves the drop."""
    made_tree(tmp_path / "p", {"pack.yaml": ""})
    (tmp_path / "q").symlink_to("p")
    assert glance(str(tmp_path / "q"), Ignore(), Limits()) is None
