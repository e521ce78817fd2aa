"""The store: what goes in comes out, nothing else is ever in it, and nothing half."""

from __future__ import annotations

import itertools
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from packd.domain.ignore import Ignore
from packd.snapshot import copying, durable
from packd.snapshot.checkout import unfinished
from packd.snapshot.store import Snapshot, Store, Unsettled
from packd.snapshot.taken import UNSETTLED
from packd.snapshot.tree import Limits, look
from tests.unit.snapshot_ground import PACK, Ground, aged, made_tree, shape_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT = "sha256:" + "0" * 64


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


# --- taking ---


def test_a_snapshot_is_the_packs_tree_and_nothing_else(ground: Ground) -> None:
    """Names, contents, links, empty folders and the execute bit; all of it read-only, nothing beside it."""
    taken = ground.snapshot(ground.drop())
    assert shape_of(taken.path) == {
        "actions": ("d", 0o555, b""),
        "actions/run.sh": ("-", 0o555, b"#!/bin/sh\necho hello\n"),
        "actions/run.yaml": ("-", 0o444, b"ref: run\n"),
        "docs": ("d", 0o555, b""),
        "latest": ("l", 0o777, b"actions/run.sh"),
        "pack.yaml": ("-", 0o444, b"ref: demo\nversion: 1.0.0\n"),
    }
    assert stat.S_IMODE(taken.path.stat().st_mode) == 0o555
    assert (taken.files, taken.bytes, taken.warnings) == (3, 55, ())
    assert os.listdir(ground.root) == [taken.digest.removeprefix("sha256:")]


def test_reading_much_may_use_every_processor(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing and copying wait for nobody; what is read in a moment stays with the other threads."""
    free: list[bool] = []

    @contextmanager
    def everywhere() -> Iterator[None]:
        free.append(True)
        yield

    monkeypatch.setattr("packd.snapshot.store.HERE", SimpleNamespace(all=everywhere))
    path = ground.drop()
    small = ground.snapshot(path)
    assert ground.store.verify(small.digest)
    assert free == []
    (path / "data.bin").write_bytes(bytes(2 * 1024 * 1024))
    large = ground.snapshot(path)
    assert free == [True]
    assert ground.store.verify(large.digest)
    assert free == [True, True]


def test_a_snapshot_says_what_the_drop_was(ground: Ground) -> None:
    """Its fingerprint is that of the drop, so that a look tells whether it must be read again."""
    path = aged(ground.drop())
    taken = ground.snapshot(path)
    seen = look(path, Ignore(), Limits())
    assert taken.fingerprint == seen.fingerprint(time.time_ns()) is not None
    assert taken.newest_ns == seen.newest_ns


def test_what_is_read_just_after_its_writing_is_taken_and_not_trusted(ground: Ground) -> None:
    """A drop need not be old to become a snapshot; only its fingerprint is not yet believed."""
    numbers = itertools.count()
    wait_until(lambda: ground.snapshot(ground.drop(name=f"p{next(numbers)}")).fingerprint is None)


def test_a_drop_that_never_stops_changing_is_unsettled(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a change falls into every tick, nothing is read."""
    monkeypatch.setattr("packd.snapshot.waiting._until_distinct_ns", lambda _: 1)
    assert ground.unsettled(ground.drop()) == "tree.changed"


def test_the_same_content_is_stored_once(ground: Ground) -> None:
    """Two drops, one digest, one tree; the second copy is thrown away."""
    one, other = ground.drop(name="one"), ground.drop(name="other")
    first = ground.snapshot(one)
    inode = first.path.stat().st_ino
    assert ground.snapshot(other).digest == first.digest
    assert first.path.stat().st_ino == inode
    assert ground.left() == []


def test_what_is_removed_while_it_is_taken_again_is_there_afterwards(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that came in between, after it was read and before it counts as young."""
    path, verify = ground.drop(), Store.verify
    taken = ground.snapshot(path)
    monkeypatch.setattr(Store, "verify", lambda store, digest: verify(store, digest) and store.remove(digest))
    assert ground.snapshot(path).digest == taken.digest
    assert verify(ground.store, taken.digest)
    assert ground.left() == []


def test_files_keep_the_time_of_their_last_change(ground: Ground) -> None:
    """Tools that compare size and time must see that two revisions differ."""
    path = ground.drop()
    os.utime(path / "pack.yaml", ns=(1, 1_700_000_000_123_456_789))
    assert (ground.snapshot(path).path / "pack.yaml").stat().st_mtime_ns == 1_700_000_000_123_456_789


def test_the_deepest_pack_that_can_be_is_taken_and_given_out(ground: Ground) -> None:
    """At the highest limit there is, neither the stack nor the descriptors run out."""
    ground.limits = Limits(depth=200)
    taken = ground.snapshot(ground.drop({"d/" * 200 + "f": "x"}))
    ground.store.copy_out(taken.digest, ground.folder / "copy", durable=True)
    assert ground.store.verify(taken.digest)
    assert ground.store.remove(taken.digest)


def test_warnings_come_with_the_snapshot(ground: Ground) -> None:
    """A dangling link inside the pack is kept, and told."""
    taken = ground.snapshot(ground.drop({**PACK, "gone": "-> not/here"}))
    assert [problem.code for problem in taken.warnings] == ["tree.link_dangling"]
    assert os.readlink(taken.path / "gone") == "not/here"


def test_what_is_refused_leaves_nothing(ground: Ground) -> None:
    """All problems at once, and the fingerprint by which it is known not to have changed."""
    path = ground.drop({"a": "-> /etc", "b": "-> b"})
    os.mkfifo(path / "c")
    aged(path)
    assert ground.refused(path) == ["tree.link_escapes", "tree.link_loop", "tree.special_file"]
    taken = ground.take(path)
    assert taken.fingerprint == look(path, Ignore(), Limits()).fingerprint(time.time_ns()) is not None
    assert os.listdir(ground.root) == []


def test_a_store_that_was_removed_is_made_again(ground: Ground) -> None:
    """By the next snapshot: packd goes on working."""
    path, store = ground.drop(), ground.store
    ground.root.rmdir()
    taken = store.take(path, Ignore())
    assert isinstance(taken, Snapshot)
    assert taken.path.is_dir()


def test_a_drop_that_is_gone_is_unsettled(ground: Ground) -> None:
    """It is not the store's business whether it was removed."""
    assert ground.unsettled(ground.folder / "nothing") == "tree.vanished"


# --- changes while it is read ---


def _between(monkeypatch: pytest.MonkeyPatch, module: object, name: str, act: object) -> None:
    """Let something happen just before the function `name` is called for the first time."""
    original, done = getattr(module, name), []

    def patched(*args: object, **more: object) -> object:
        if not done:
            done.append(True)
            act()  # type: ignore[operator]
        return original(*args, **more)

    monkeypatch.setattr(module, name, patched)


RACES = {
    "content": lambda p: (p / "pack.yaml").write_text("x" * 25),
    "longer": lambda p: (p / "pack.yaml").write_text("x" * 26),
    "replaced": lambda p: ((p / "n").write_text("x" * 25), (p / "n").replace(p / "pack.yaml")),
    "removed": lambda p: (p / "pack.yaml").unlink(),
    "added": lambda p: (p / "docs" / "new").touch(),
    "mode": lambda p: (p / "pack.yaml").chmod(0o755),
    "a link out instead of a folder": lambda p: ((p / "actions").rename(p / "x"), (p / "actions").symlink_to("/etc")),
    "another folder in its place": lambda p: ((p / "actions").rename(p / "x"), (p / "actions").mkdir()),
    "a link out instead of a file": lambda p: ((p / "pack.yaml").unlink(), (p / "pack.yaml").symlink_to("/etc/passwd")),
    "a FIFO instead of a file": lambda p: ((p / "pack.yaml").unlink(), os.mkfifo(p / "pack.yaml")),
    "the whole drop": lambda p: p.rename(p.with_name("gone")),
    "the whole drop for another": lambda p: (p.rename(p.with_name("gone")), made_tree(p)),
}


@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("moment", ["before it is copied", "after it was copied"])
def test_what_changes_while_it_is_read_is_thrown_away(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, race: str, moment: str
) -> None:
    """Any change between the two looks: unsettled, and nothing of the torn copy is left."""
    path = ground.drop()
    if moment == "before it is copied":
        _between(monkeypatch, sys.modules["packd.snapshot.store"], "_copy", lambda: RACES[race](path))
    else:
        _between(monkeypatch, Store, "_check_unchanged", lambda: RACES[race](path))
    assert ground.unsettled(path) in ("tree.changed", "tree.vanished")
    assert os.listdir(ground.root) == []


def test_what_is_ignored_may_change_at_any_time(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's swap file does not keep a pack from being read."""
    path = ground.drop()
    _between(monkeypatch, Store, "_check_unchanged", (path / "docs" / ".a.swp").touch)
    assert isinstance(ground.take(path), Snapshot)


def test_a_file_that_grows_while_it_is_read_is_not_read_for_ever(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading ends one piece behind the size that it had."""
    path, reads = ground.drop({"log": "x"}), []
    monkeypatch.setattr(copying.os, "read", lambda *_: reads.append(1) or b"x" * 100)
    assert ground.unsettled(path) == "tree.changed"
    assert len(reads) == 1


class Writer:
    """Writes two files again and again, each generation first into `a`, then into `b`, with short rests."""

    BLOCKS = 12

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stop = threading.Event()
        self.generation = 0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stop.is_set():
            for _ in range(5):
                self.generation += 1
                for name in ("a", "b"):
                    self.write(self.folder / name)
            self.stop.wait(0.03)

    def write(self, path: Path) -> None:
        """In place and in pieces, with the same length: what is hardest to notice."""
        with path.open("r+b", buffering=0) as opened:
            for _ in range(self.BLOCKS):
                opened.write(b"%08d" % self.generation * 512)


def test_a_snapshot_is_what_the_drop_was_at_one_moment(ground: Ground) -> None:
    """While somebody keeps rewriting files in place, every snapshot is one of the states that there were."""
    path = ground.drop({"a": b"%08d" % 0 * 512 * Writer.BLOCKS, "b": b"%08d" % 0 * 512 * Writer.BLOCKS})
    writer, torn, taken = Writer(path), 0, []
    writer.thread.start()
    deadline = time.monotonic() + 30
    try:
        while (len(taken) < 5 or torn < 5) and time.monotonic() < deadline:
            result = ground.take(path)
            assert isinstance(result, Snapshot | Unsettled)
            if isinstance(result, Snapshot):
                taken.append(result)
            else:
                torn += 1
    finally:
        writer.stop.set()
        writer.thread.join()
    assert len(taken) >= 5
    assert torn >= 5
    for snapshot in taken:
        content = (snapshot.path / "a").read_bytes() + (snapshot.path / "b").read_bytes()
        seen = [content[at : at + 8] for at in range(0, len(content), 8)]
        # In the order of writing, generations only ever step down once, by one: n+1 as far as it got, n behind it.
        assert sorted(seen, reverse=True) == seen
        assert int(seen[0]) - int(seen[-1]) <= 1
        assert ground.store.verify(snapshot.digest)
    assert ground.left() == []


# --- crashes ---

_DIE_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from packd.domain.ignore import Ignore
from packd.snapshot.store import Snapshot, Store
from packd.snapshot.tree import Limits

root, drop, archive = map(Path, sys.argv[1:4])
steps = 0

def run(source, die_at):
    def step(event, args):
        global steps
        if event.startswith("os.") or event == "open":
            steps += 1
            if steps == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)
    assert isinstance(Store(root, Limits()).take(source, Ignore()), Snapshot)
    os._exit(0)

for source in (drop, archive):
    store, die_at, seen = Store(root, Limits()), 0, set()
    while True:
        die_at += 1
        child = os.fork()
        if child == 0:
            run(source, die_at)
        status = os.waitpid(child, 0)[1]
        found = store.digests()
        assert len(found) <= 1 and all(store.verify(digest) for digest in found), die_at
        seen.add((len(found), len(os.listdir(root)) - len(found)))
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        store.clear_temporaries()
        assert len(os.listdir(root)) == len(found)
        for digest in found:
            assert store.remove(digest)
    print(die_at, sorted(seen))
    for digest in store.digests():
        store.remove(digest)
"""


def test_kill_at_any_step_leaves_nothing_or_a_whole_snapshot(ground: Ground) -> None:
    """Killed at every system call in turn: what has a name is complete, the rest is swept at the next start."""
    path = aged(ground.drop())
    archive = ground.folder / "demo.tar"
    subprocess.run(["tar", "cf", archive, "--exclude=latest", "-C", path, "."], check=True)
    command = [sys.executable, "-c", _DIE_AT_EVERY_STEP, str(ground.root), str(path), str(aged(archive))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        steps, seen = line.split(" ", 1)
        assert int(steps) > 30
        assert "(0, 0)" in seen
        assert "(0, 1)" in seen
        assert "(1, 0)" in seen


def test_what_a_crash_left_is_cleared_at_the_next_start(ground: Ground) -> None:
    """Read-only folders in it too, links in it not followed, snapshots untouched."""
    taken, other = ground.snapshot(ground.drop()), ground.drop(name="other")
    left = made_tree(ground.root / "tmp-0123", {"a/b": "", "out": f"-> {other}"})
    (left / "a").chmod(0o555)
    left.chmod(0o555)
    assert ground.store.clear_temporaries() == 1
    assert ground.left() == []
    assert ground.store.verify(taken.digest)
    assert (other / "pack.yaml").exists()


# --- what is in it ---


def test_a_store_knows_what_it_has(ground: Ground) -> None:
    """By digest; what is no digest is an error before it is a path."""
    store = ground.store
    assert store.digests() == []
    one, other = ground.snapshot(ground.drop()), ground.snapshot(ground.drop({"x": ""}, "x"))
    assert store.digests() == sorted([one.digest, other.digest])
    assert store.has(one.digest)
    assert not store.has(ABSENT)
    for ask in (store.path, store.has, store.verify, store.remove):
        with pytest.raises(ValueError, match="is not a digest"):
            ask("sha256:../../etc")


def test_a_removed_snapshot_is_gone_with_all_that_it_had(ground: Ground) -> None:
    """Read-only as it is; removing it again says that it was not there."""
    taken = ground.snapshot(ground.drop())
    assert ground.store.remove(taken.digest)
    assert not ground.store.remove(taken.digest)
    assert os.listdir(ground.root) == []


TAMPERING = {
    "content": lambda p: (p / "pack.yaml").write_text("y"),
    "mode": lambda p: (p / "pack.yaml").chmod(0o555),
    "an ignored file": lambda p: (p / ".git").mkdir(),
    "a file less": lambda p: (p / "pack.yaml").unlink(),
    "a link": lambda p: ((p / "latest").unlink(), (p / "latest").symlink_to("pack.yaml")),
    "a FIFO": lambda p: os.mkfifo(p / "pipe"),
}


@pytest.mark.parametrize("tampering", TAMPERING)
def test_verifying_notices_any_tampering(ground: Ground, tampering: str) -> None:
    """Also files that a pack would never have."""
    taken = ground.snapshot(ground.drop())
    assert ground.store.verify(taken.digest)
    for folder in (taken.path, *taken.path.glob("**/")):
        folder.chmod(0o755)
    (taken.path / "pack.yaml").chmod(0o644)
    assert ground.store.verify(taken.digest), "write bits are no content"
    TAMPERING[tampering](taken.path)
    assert not ground.store.verify(taken.digest)
    assert not ground.store.verify(ABSENT)


def test_what_could_not_be_looked_at_is_not_called_changed(ground: Ground) -> None:
    """Out of descriptors, packd knows nothing about the content."""
    taken = ground.snapshot(ground.drop())
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, usual[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            ground.store.verify(taken.digest)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert ground.store.verify(taken.digest)


# --- out of it ---


@pytest.mark.parametrize("durable_copy", [True, False])
def test_a_working_copy_is_the_pack_and_can_be_written(ground: Ground, durable_copy: bool) -> None:
    """Owner-writable everywhere, with execute bits, links and times; the snapshot stays what it was."""
    path = ground.drop({**PACK, "big": os.urandom(300_000)})
    taken = ground.snapshot(path)
    copy = ground.folder / "copy"
    ground.store.copy_out(taken.digest, copy, durable=durable_copy)
    assert shape_of(copy) == shape_of(path)
    assert (copy / "pack.yaml").stat().st_mtime_ns == (path / "pack.yaml").stat().st_mtime_ns
    (copy / "pack.yaml").write_text("other")
    (copy / "actions" / "new").touch()
    with (copy / "big").open("r+b") as opened:
        opened.write(b"other")
    assert ground.store.verify(taken.digest)


def test_a_working_copy_can_be_read_only(ground: Ground) -> None:
    """As it is in the store."""
    taken = ground.snapshot(ground.drop())
    ground.store.copy_out(taken.digest, ground.folder / "copy", writable=False)
    assert shape_of(ground.folder / "copy") == shape_of(taken.path)
    assert stat.S_IMODE((ground.folder / "copy").stat().st_mode) == 0o555


def test_a_working_copy_without_copy_file_range_is_the_same(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel can't copy between the two places, packd does."""
    taken = ground.snapshot(ground.drop({"big": b"x" * 300_000}))

    def refuses(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuses)
    ground.store.copy_out(taken.digest, ground.folder / "copy")
    assert (ground.folder / "copy" / "big").read_bytes() == b"x" * 300_000


def test_a_copy_is_never_made_over_something(ground: Ground) -> None:
    """An existing destination stays as it is; a missing snapshot makes none."""
    taken, store = ground.snapshot(ground.drop()), ground.store
    with pytest.raises(FileExistsError):
        store.copy_out(taken.digest, ground.folder / "demo")
    with pytest.raises(LookupError, match="was it swept"):
        store.copy_out(ABSENT, ground.folder / "copy")
    assert not (ground.folder / "copy").exists()


def test_content_that_comes_again_replaces_what_was_damaged(ground: Ground) -> None:
    """Who drops a pack once more gets what was dropped, and not what somebody made of it in the store."""
    taken = ground.snapshot(ground.drop())
    manifest = taken.path / "pack.yaml"
    manifest.chmod(0o644)
    manifest.write_text("ref: evil\n")
    assert not ground.store.verify(taken.digest)
    assert ground.snapshot(ground.folder / "demo").digest == taken.digest
    assert ground.store.verify(taken.digest)


@pytest.mark.parametrize("instead", ["a file", "a link", "a link to nothing"])
def test_content_that_comes_again_replaces_whatever_lies_in_its_place(ground: Ground, instead: str) -> None:
    """Nothing of which is followed, or left in the store."""
    taken = ground.snapshot(ground.drop())
    assert ground.store.set_aside(taken.digest) is not None
    ground.store.clear_temporaries()
    if instead == "a file":
        taken.path.write_text("no folder")
    else:
        taken.path.symlink_to(ground.folder / "demo" if instead == "a link" else "nowhere")
    assert not ground.store.verify(taken.digest)
    assert ground.snapshot(ground.folder / "demo").digest == taken.digest
    assert ground.store.verify(taken.digest)
    assert os.listdir(ground.root) == [taken.path.name]
    assert (ground.folder / "demo" / "pack.yaml").exists()


# --- durability ---


@pytest.mark.parametrize("files", [durable.FEW_FILES, durable.FEW_FILES + 1])
def test_everything_is_flushed_before_it_gets_its_name(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """Few files one by one, many by one flush of the file system; then the rename, then the folder of the store."""
    done: list[str] = []
    fsync, rename, flush = os.fsync, Path.rename, durable._flush_file_system
    monkeypatch.setattr(os, "fsync", lambda fd: done.append(os.readlink(f"/proc/self/fd/{fd}")) or fsync(fd))
    monkeypatch.setattr(Path, "rename", lambda *paths: done.append("rename") or rename(*paths))
    monkeypatch.setattr(durable, "_flush_file_system", lambda fd: done.append("syncfs") or flush(fd))
    ground.snapshot(ground.drop({f"d/f{number}": "x" for number in range(files)}))
    assert done[-2:] == ["rename", str(ground.root)]
    if files > durable.FEW_FILES:
        assert done[:-2] == ["syncfs"]
    else:
        assert len({path for path in done[:-2] if "/d/f" in path}) == files
        assert len(done[:-2]) == files + 2


def test_few_files_in_many_folders_are_all_flushed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many folders there are, each is flushed, and none is left open."""
    flushed: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(os.readlink(f"/proc/self/fd/{fd}")) or fsync(fd))
    drop = ground.drop({f"d{number}/f": "x" for number in range(3)})
    for number in range(durable.FEW_FILES):
        (drop / f"e{number}").mkdir()
    opened = len(os.listdir("/proc/self/fd"))
    ground.snapshot(drop)
    assert len({path.rpartition("/")[2] for path in flushed if "/e" in path}) == durable.FEW_FILES
    assert len(set(flushed)) == 3 + 3 + durable.FEW_FILES + 2
    assert len(os.listdir("/proc/self/fd")) == opened


@pytest.mark.parametrize("files", [3, 2 * durable.FEW_FILES])
def test_a_copy_that_is_given_up_leaves_nothing_open(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """What is kept open until it is flushed is closed when it never will be."""
    drop = ground.drop({f"d/f{number}": "x" for number in range(files)})
    _between(monkeypatch, Store, "_check_unchanged", (drop / "one more").touch)
    opened = len(os.listdir("/proc/self/fd"))
    assert ground.unsettled(drop) == "tree.changed"
    assert len(os.listdir("/proc/self/fd")) == opened


def test_without_syncfs_every_file_is_flushed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the C library or kernel does not have is done the slow way."""
    flushed: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(fd) or fsync(fd))
    monkeypatch.setattr(durable, "_flush_file_system", lambda _: False)
    ground.snapshot(ground.drop({f"f{number}": "x" for number in range(40)}))
    assert len(flushed) == 42


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ((".git/HEAD",), Unsettled),
        ((".hg/store/lock",), Unsettled),
        ((".git/HEAD", ".git/index.lock", "pack.yaml"), Unsettled),
        ((".git/HEAD", ".git/index", ".git/index.lock", "pack.yaml"), Snapshot),
        ((".git/HEAD", "pack.yaml"), Snapshot),
        ((".hg/wlock", "pack.yaml"), Snapshot),
        (("__pycache__/x.pyc",), Snapshot),
    ],
    ids=[
        "transferred",
        "transferred by Mercurial",
        "checked out",
        "fetched later",
        "without a commit",
        "by Mercurial",
        "empty",
    ],
)
def test_what_a_clone_has_not_finished_is_not_taken(tmp_path: Path, files: tuple[str, ...], taken: type) -> None:
    """A clone whose files are not all there; a lock that comes later, or an index that never was, is none."""
    for name in files:
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).touch()
    assert isinstance(Store(tmp_path / "store", Limits()).take(tmp_path / "p", Ignore()), taken)


@pytest.mark.parametrize("file", ["big.bin", "lib/big.bin"])
def test_a_pack_into_which_rsync_still_brings_a_file_is_not_taken(ground: Ground, file: str) -> None:
    """However quiet it is: nothing that belongs to it changes while that file grows. Then it is read."""
    drop = ground.drop({"pack.yaml": "ref: p", "lib/a": "a"})
    growing = drop / Path(file).with_name(f".{Path(file).name}.Ab12Cd")
    growing.write_text("half")
    found = ground.take(drop)
    assert isinstance(found, Unsettled)
    assert (found.problem.code, found.problem.file) == ("tree.incomplete", str(growing.relative_to(drop)))
    growing.rename(drop / file)
    assert ground.snapshot(drop).files == 3


def test_what_a_killed_rsync_left_behind_is_not_waited_for(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it become part of the pack."""
    drop = ground.drop({"pack.yaml": "ref: p", ".big.bin.Ab12Cd": "half"})
    later = time.time_ns() + 11_000_000_000
    monkeypatch.setattr("packd.snapshot.tree.time", SimpleNamespace(time_ns=lambda: later))
    assert ground.snapshot(drop).files == 1


def test_what_rsync_began_to_bring_while_the_pack_was_read_makes_it_torn(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the pack itself was changed yet."""
    drop = ground.drop({"pack.yaml": "ref: p"})
    check = Store._check_unchanged

    def begun(store: Store, source: Path, *rest: Any) -> None:
        (drop / ".pack.yaml.Ab12Cd").touch()
        check(store, source, *rest)

    monkeypatch.setattr(Store, "_check_unchanged", begun)
    assert isinstance(ground.take(drop), Unsettled)


@pytest.mark.parametrize(
    ("made", "taken"),
    [
        ((), Unsettled),
        (("p/lib/run.sh",), Snapshot),
        (("p/.git/modules/lib/index",), Snapshot),
    ],
    ids=["transferred", "being filled", "emptied later"],
)
def test_a_pack_whose_submodules_are_being_cloned_is_not_taken(
    tmp_path: Path, made: tuple[str, ...], taken: type
) -> None:
    """Git puts the pack's own files there, then transfers all submodules, and fills them at last."""
    for name in ("p/.git/index", "p/.git/modules/lib/HEAD", "p/pack.yaml", "p/lib/.git", "p/empty/.git/x", *made):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "p" / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n")
    found = Store(tmp_path / "store", Limits()).take(tmp_path / "p", Ignore())
    assert isinstance(found, taken)
    assert not isinstance(found, Unsettled) or (found.problem.code, found.problem.file) == ("tree.incomplete", "lib")


def test_a_clone_under_way_counts_as_what_has_not_come_to_rest(tmp_path: Path) -> None:
    """So that it is refused once at most, whatever else it is found to be meanwhile."""
    (tmp_path / "slow" / ".git").mkdir(parents=True)
    waiting = unfinished(tmp_path / "slow", look(tmp_path / "slow", Ignore((".git",)), Limits()))
    assert waiting is not None
    assert waiting.code in UNSETTLED
