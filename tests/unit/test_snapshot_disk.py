"""A disk that is full or can't be written: said by name, and nothing half is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from packd.domain.ignore import Ignore
from packd.snapshot.store import Store, StoreFull, StoreUnwritable
from packd.snapshot.tree import Limits
from tests.unit.snapshot_ground import Ground, open_folder_of_all, tar_of

BIG = {"pack.yaml": "", "big": b"x" * 2_000_000}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Ground]:
    """A ground whose store is on a disk of 1 MiB and 40 inodes."""
    if os.geteuid() != 0:
        pytest.skip("NOT CHECKED: only root can mount the small disk that this needs")
    root = tmp_path / "store"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "small", root],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"NOT CHECKED: the small disk that this needs can't be mounted: {mounted.stderr}")
    try:
        yield Ground(tmp_path)
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def test_a_full_disk_is_named_and_left_as_it_was(small: Ground) -> None:
    """Folder or archive: no temporary stays, and what fits is still taken afterwards."""
    before = small.snapshot(small.drop())
    for path in (small.drop(BIG, "big"), small.file("big.tar", tar_of(BIG))):
        with pytest.raises(StoreFull, match=r"store is full \(.* free\): make room"):
            small.take(path)
        assert small.left() == []
    assert small.store.digests() == [before.digest]
    assert small.snapshot(small.drop({"x": "y"}, "x")).files == 1


def test_a_disk_without_inodes_is_told_apart(small: Ground) -> None:
    """Making room would not help there; removing files does."""
    with pytest.raises(StoreFull, match="no inodes left"):
        small.take(small.drop({f"f{number}": "" for number in range(60)}, "many"))
    assert small.left() == []


def test_a_working_copy_on_a_full_disk_is_not_left_half(small: Ground) -> None:
    """The destination is gone again, and the message names its disk."""
    other = Store(small.folder / "elsewhere", Limits())
    taken = other.take(small.drop(BIG, "big"), Ignore())
    with pytest.raises(StoreFull, match=r"store is full"):
        other.copy_out(taken.digest, small.root / "copy")
    assert os.listdir(small.root) == []


def test_a_read_only_disk_is_named(small: Ground) -> None:
    """Neither full nor broken; and what is stored can still be read."""
    taken = small.snapshot(small.drop())
    subprocess.run(["mount", "-o", "remount,ro", small.root], check=True)
    with pytest.raises(StoreUnwritable, match=r"store can't be written \(Read-only file system\)"):
        small.take(small.drop({"x": ""}, "x"))
    with pytest.raises(StoreUnwritable):
        small.store.remove(taken.digest)
    assert small.store.verify(taken.digest)


_AS_NOBODY = """
import os, sys
from pathlib import Path
from packd.domain.ignore import Ignore
from packd.snapshot.store import Store, StoreUnwritable
from packd.snapshot.tree import Limits
os.setgid(65534); os.setuid(65534)
own, foreign, drop = map(Path, sys.argv[1:])
store = Store(own / "store", Limits())
taken = store.take(drop, Ignore())
assert store.verify(taken.digest)
store.copy_out(taken.digest, own / "copy")
(own / "copy" / "pack.yaml").write_text("mine")
os.mkdir(own / "store" / "tmp-1"); os.mkdir(own / "store" / "tmp-1" / "a"); os.chmod(own / "store" / "tmp-1", 0o555)
assert store.clear_temporaries() == 1 and os.listdir(own / "store") == [taken.digest[7:]]
assert store.remove(taken.digest) and os.listdir(own / "store") == []
for attempt in (lambda: Store(foreign / "store", Limits()), lambda: Store(foreign, Limits()).take(drop, Ignore())):
    try:
        attempt()
    except StoreUnwritable as failure:
        print(failure)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_needs_no_more_than_a_folder() -> None:
    """Taking, verifying, copying, removing and clearing work without privileges; a foreign folder is named."""
    with open_folder_of_all() as base:
        drop = Ground(base).drop()
        own, foreign = base / "own", base / "foreign"
        own.mkdir()
        os.chown(own, 65534, 65534)
        foreign.mkdir()
        command = [sys.executable, "-c", _AS_NOBODY, str(own), str(foreign), str(drop)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("can't be written (Permission denied): let the user that packd runs as write it") == 2
