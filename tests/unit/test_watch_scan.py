"""Listing what lies in the packs directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from packd.domain.ignore import Ignore
from packd.flow.packs_folder import PacksFolder
from packd.snapshot.limits import Limits
from packd.watch.scan import DropSeen, count_folders, drops, root_identity, subfolders
from tests.unit.snapshot_ground import open_folder_of_all
from tests.waiting import wait_until


def test_folders_and_archives_are_drops_and_nothing_else_is(tmp_path: Path) -> None:
    """Folders and archive files count; other files, dot names, markers and ignored names do not; sorted by name."""
    for name in ("web", "core", ".hidden", "x.failed", "__pycache__", "old~"):
        (tmp_path / name).mkdir()
    for name in ("b.zip", "a.TAR.gz", "README.md", "core.failed", "core.active", "c.zip.part", ".d.zip"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.zip")
    assert drops(tmp_path, Ignore()) == [
        DropSeen(name="a.TAR.gz", kind="archive"),
        DropSeen(name="b.zip", kind="archive"),
        DropSeen(name="core", kind="folder"),
        DropSeen(name="web", kind="folder"),
    ]


def test_a_link_in_place_of_a_drop_is_reported_and_not_followed(tmp_path: Path) -> None:
    """Seen as a link, so that it can be refused by name; but one to a plain file, which would be no drop either, is none.

    To nothing or in a circle it may have been meant as a pack; and it keeps nothing else from being seen.
    """
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "file").touch()
    (root / "pack").symlink_to(outside)
    (root / "a.zip").symlink_to(outside / "file")
    (root / "b.zip").symlink_to("nowhere")
    (root / "notes").symlink_to(outside / "file")
    (root / "broken").symlink_to("nowhere")
    (root / "circle").symlink_to("circle")
    links = ["a.zip", "b.zip", "broken", "circle", "pack"]
    assert [(drop.name, drop.kind) for drop in drops(root, Ignore())] == [(name, "link") for name in links]
    folder = PacksFolder(path=root, ignore=Ignore(), limits=Limits())
    assert {name: folder.kind_of(name) for name in os.listdir(root)} == {**dict.fromkeys(links, "link"), "notes": None}


_KINDS_AS_NOBODY = """
import os, sys
from pathlib import Path
from packd.domain.ignore import Ignore
from packd.flow.packs_folder import PacksFolder
from packd.snapshot.limits import Limits
os.setgid(65534); os.setuid(65534)
folder = PacksFolder(path=Path(sys.argv[1]), ignore=Ignore(), limits=Limits())
for drop in folder.drops():
    print(drop.name, drop.kind, folder.kind_of(drop.name))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not look")
def test_a_link_to_where_nobody_may_look_hides_nothing_else() -> None:
    """Such as into somebody's home; it is a link like any other."""
    with open_folder_of_all() as base:
        root = base / "packs"
        (root / "core").mkdir(parents=True)
        (base / "home" / "mine").mkdir(parents=True)
        (base / "home").chmod(0o700)
        (root / "mine").symlink_to(base / "home" / "mine")
        command = [sys.executable, "-c", _KINDS_AS_NOBODY, str(root)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "core folder folder\nmine link link\n"


def test_configured_names_are_no_drops(tmp_path: Path) -> None:
    """What the configuration ignores is ignored at the top too."""
    (tmp_path / "lost+found").mkdir()
    assert drops(tmp_path, Ignore(["lost+found"])) == []


def test_names_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    """A name of other bytes comes back as surrogate escapes that lead to the same folder."""
    (tmp_path / os.fsdecode(b"p\xff")).mkdir()
    (seen,) = drops(tmp_path, Ignore())
    assert os.fsencode(seen.name) == b"p\xff"
    assert (tmp_path / seen.name).is_dir()


def test_a_root_that_can_not_be_listed_is_an_error(tmp_path: Path) -> None:
    """What is not known is not an empty list."""
    with pytest.raises(OSError, match="nowhere"):
        drops(tmp_path / "nowhere", Ignore())


def test_the_identity_of_the_root_follows_the_folder(tmp_path: Path) -> None:
    """It stays through a rename, differs for another folder, follows links, and is None for what is no folder."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    before = root_identity(one)
    (tmp_path / "link").symlink_to(one)
    assert before is not None
    assert before == root_identity(tmp_path / "link")
    assert before != root_identity(two)
    one.rename(tmp_path / "three")
    assert root_identity(tmp_path / "three") == before
    assert root_identity(one) is None
    one.touch()
    assert root_identity(one) is None


def test_a_folder_that_is_made_anew_is_another_one(tmp_path: Path) -> None:
    """Also where the file system gives it the inode of the one before."""
    root, stamped = tmp_path / "packs", tmp_path / "stamped"
    stamped.touch()
    seen = set()

    def is_later() -> bool:
        """By the clock that folders are stamped with, which ticks."""
        stamped.touch()
        return stamped.stat().st_ctime_ns > root.stat().st_ctime_ns

    for _ in range(20):
        root.mkdir()
        seen.add(root_identity(root))
        wait_until(is_later)
        root.rmdir()
    assert len(seen) == 20


def test_folders_that_matter_leave_out_ignored_ones_and_links(tmp_path: Path) -> None:
    """Neither ignored folders nor links to folders have content that counts; dot names count inside a pack only."""
    for name in ("p/.github", "p/.git/objects", "p/__pycache__", "p/actions", ".staging/p"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "p" / "link").symlink_to(tmp_path)
    assert subfolders(str(tmp_path), Ignore(), top=True) == [f"{tmp_path}/p"]
    assert sorted(subfolders(f"{tmp_path}/p", Ignore(), top=False)) == [
        f"{tmp_path}/p/.github",
        f"{tmp_path}/p/actions",
    ]
    assert subfolders(f"{tmp_path}/gone", Ignore(), top=False) == []
    assert count_folders(tmp_path, Ignore()) == 4
