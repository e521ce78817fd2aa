"""What lies in the packs directory and is no drop: why, and what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from packd.domain.ignore import Ignore
from packd.flow.packs_folder import PacksFolder
from packd.snapshot.limits import Limits
from packd.watch.ignored import alikes

IGNORE = Ignore(["*.bak"])
ENDINGS = ".tar.gz, .tar.xz, .tar.zst, .tgz, .tar, .zip"


@pytest.fixture
def folder(tmp_path: Path) -> PacksFolder:
    """With one of everything that is no drop, and two that are."""
    for name in ("core", "m8.tmp", "m9~", ".m7", "m5.failed"):
        (tmp_path / name).mkdir()
    for name in ("a.zip", "a.tar.bz2", "B.RAR", "pack.yaml", "x.tar.gz.bak", "notes.txt", "c.rar.part"):
        (tmp_path / name).touch()
    for name in ("core", "My Pack"):
        (tmp_path / f"{name}.failed").touch()
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("notes.txt")
    (tmp_path / "c.zip").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.7z"))
    return PacksFolder(path=tmp_path, ignore=IGNORE, limits=Limits())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m8.tmp", "names like '*.tmp' are those that editors, copying programs and version control use"),
        ("m9~", "names like '*~' are"),
        (".m7", "a name that begins with a dot is a hidden one: give it another name"),
        ("m5.failed", "names that end in '.failed' are those of packd's own markers: give it another name"),
        ("core.failed", "is a marker, as packd writes them beside the drops: see `packd why core`"),
        ("My Pack.failed", "see `packd why 'My Pack'`"),
        ("x.tar.gz.bak", "the setting `watch.ignore` names '*.bak': give it another name"),
        ("a.tar.bz2", f"is an archive of a sort that packd does not unpack: make it one of {ENDINGS}, or drop"),
        ("B.RAR", "is an archive of a sort that packd does not unpack"),
        ("pack.yaml", "each pack is a folder of its own: make one here, and move all that belongs to it into that"),
        ("notes.txt", f"is a file, and no archive that packd unpacks: a pack is a folder with a pack.yaml in it, or an archive of one ({ENDINGS})"),
        ("pipe.tar", "is a named pipe: a pack is a folder"),
        ("socket.7z", "is a socket: a pack is a folder"),
        ("link", "is a link to a file: a pack is a folder"),
    ],
)  # fmt: skip
def test_it_is_said_by_which_rule(folder: PacksFolder, name: str, said: str) -> None:
    """And what to do; none of these is taken for a drop that waits to be read."""
    assert said in str(folder.why_ignored(name))
    assert not folder.has_drop(name)
    assert name not in {drop.name for drop in folder.drops()}


@pytest.mark.parametrize("name", ["core", "a.zip", "c.zip", "nothing", "core/x", "", ".", "..", "a\0b", "x" * 300])
def test_nothing_is_said_of_drops_and_of_what_is_not_there(folder: PacksFolder, name: str) -> None:
    """Whatever somebody asks for may be no name at all."""
    assert folder.why_ignored(name) is None


def test_what_looks_like_a_pack(folder: PacksFolder) -> None:
    """Plain files only, and none that somebody ignores on purpose or that is still being written under another name."""
    assert alikes(folder.path, IGNORE) == {"a.tar.bz2", "B.RAR", "pack.yaml"}
    assert alikes(folder.path, Ignore(["*.RAR", "pack.yaml"])) == {"a.tar.bz2"}
