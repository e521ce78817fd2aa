"""The watcher on real folders: every way to drop a pack, and every way to go blind."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from watchdog.observers import inotify_c

from packd.domain.ignore import Ignore
from packd.watch import queue, scan
from packd.watch import watcher as door
from packd.watch.hints import Hint, Recovered, Trouble
from packd.watch.settle import Settler
from packd.watch.watcher import Tree, Watcher

DEADLINE_S = 20.0
QUEUE_LENGTH = Path("/proc/sys/fs/inotify/max_queued_events")


class Scene:
    """A packs directory, a folder beside it, a watcher on it, and everything that it told in order."""

    def __init__(self, base: Path) -> None:
        self.root = base / "packs"
        self.outside = base / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        self.told: list[Hint | Trouble | Recovered] = []
        self._changed = threading.Condition()
        self._fences = count()
        self.watcher = self.new_watcher()

    def new_watcher(self, on_hint: Callable[[Hint], None] | None = None, queue: int | None = None) -> Watcher:
        return Watcher(
            self.root,
            ignore=Ignore(),
            on_hint=on_hint or self._tell,
            on_trouble=self._tell,
            on_recovered=self._tell,
            check_every_s=0.05,
            poll_every_s=0.1,
            queue=queue,
        )

    def _tell(self, value: Hint | Trouble | Recovered) -> None:
        with self._changed:
            self.told.append(value)
            self._changed.notify_all()

    def wait(self, there: Callable[[], bool]) -> None:
        """Until it is there; looks again at every callback and every few milliseconds."""
        end = time.monotonic() + DEADLINE_S
        with self._changed:
            while not there():
                assert time.monotonic() < end, f"never came; told: {self.told[-20:]}"
                self._changed.wait(0.02)

    def wait_for_a_look(self) -> None:
        """Until the supervisor has seen to it once more that all is well."""
        before = self.watcher.state().checked_at
        self.wait(lambda: self.watcher.state().checked_at != before)

    def hints(self) -> list[tuple[str | None, bool]]:
        return [(told.drop, told.whole) for told in list(self.told) if isinstance(told, Hint)]

    def drops_told(self) -> set[str | None]:
        return {name for name, _ in self.hints()}

    def troubles(self) -> list[Trouble]:
        return [told for told in list(self.told) if isinstance(told, Trouble)]

    def recoveries(self) -> list[str]:
        return [told.reason for told in list(self.told) if isinstance(told, Recovered)]

    def after(self, act: Callable[[], object]) -> list[tuple[str | None, bool]]:
        """The hints that `act` causes. Events are told in order, so a last drop behind it shows that all are there. It is an
        archive: whoever puts watches right tells of a folder before its event does."""
        self.told.clear()
        act()
        fence = f"fence-{next(self._fences)}.zip"
        (self.root / fence).touch()
        self.wait(lambda: fence in self.drops_told())
        return [hint for hint in self.hints() if not str(hint[0]).startswith("fence-")]

    def shell(self, command: str) -> list[tuple[str | None, bool]]:
        """The hints that a shell command, run in the packs directory with $OUT beside it, causes."""
        environment = {**os.environ, "OUT": str(self.outside), "GIT_CONFIG_GLOBAL": "/dev/null"}
        return self.after(lambda: subprocess.run(["sh", "-ec", command], check=True, cwd=self.root, env=environment))

    def tree(self) -> Tree:
        tree = self.watcher._supervisor._watching
        assert isinstance(tree, Tree)
        return tree


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A scene whose watcher is not started yet."""
    scene = Scene(tmp_path)
    yield scene
    scene.watcher.stop()


@pytest.fixture
def live(scene: Scene) -> Scene:
    """A scene whose watcher is running."""
    scene.watcher.start()
    return scene


def make_pack(folder: Path) -> Path:
    """A pack of a few files in a few folders."""
    for name in ("pack.yaml", "actions/run.py", "actions/run.yaml", "tests/test_run.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


# --- every way to drop, change and take away a pack ---


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("mkdir p; echo x > p/pack.yaml", {"p"}),
        ("cp -r $OUT/pack p", {"p"}),
        ("cp -a $OUT/pack p", {"p"}),
        ("mkdir p; tar cf - -C $OUT/pack . | tar xf - -C p", {"p"}),
        ("git init -q $OUT/pack; git -C $OUT/pack add -A; git -C $OUT/pack -c user.name=x -c user.email=x@x commit -qm x; git clone -q $OUT/pack p", {"p"}),
        ("cp -r $OUT/pack p; rm -rf p; cp -r $OUT/pack p", {"p"}),
        ("cp -r $OUT/pack p; rm -rf p", {"p"}),
        ("cp -r $OUT/pack p; mv p q", {"p", "q"}),
        ("cp -r $OUT/pack p; mv p $OUT/gone", {"p"}),
        ("tar czf a.tgz -C $OUT pack; rm a.tgz", {"a.tgz"}),
    ],
)  # fmt: skip
def test_every_way_to_drop_names_the_drop_and_nothing_else(live: Scene, command: str, names: set[str]) -> None:
    """Copying, extracting, cloning, renaming and removing give hints for exactly the drops concerned."""
    make_pack(live.outside / "pack")
    assert {name for name, _ in live.shell(command)} == names


@pytest.mark.parametrize("command", ["rm p", "mv p $OUT/p"])
def test_a_link_that_goes_names_the_drop(live: Scene, command: str) -> None:
    """It was refused; its marker is to go, too."""
    live.shell("ln -s $OUT p")
    assert live.shell(command) == [("p", False)]


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_rsync_names_the_drop(live: Scene) -> None:
    """Its temporary files do not matter, its renames do."""
    make_pack(live.outside / "pack")
    assert {name for name, _ in live.shell("rsync -a $OUT/pack/ p/")} == {"p"}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("mv $OUT/pack p", "p"),
        ("cp -r $OUT/pack .p; mv .p p", "p"),
        ("mkdir .staging; cp -r $OUT/pack .staging/p; mv .staging/p p", "p"),
        ("cp -r $OUT/pack p.tmp; mv p.tmp p", "p"),
        ("cp -r $OUT/pack p; rm -rf p; mv $OUT/pack p", "p"),
        ("tar cf $OUT/a.tar $OUT/pack; mv $OUT/a.tar a.tar", "a.tar"),
        ("tar cf a.tar.part $OUT/pack; mv a.tar.part a.tar", "a.tar"),
        ("tar cf a.tar $OUT/pack", "a.tar"),
        ("cp -r $OUT/pack x; mv $OUT/pack/tests $OUT/y; mv $OUT/y y", "y"),
    ],
)
def test_what_arrives_whole_is_told_so_last(live: Scene, command: str, name: str) -> None:
    """One rename from outside of the drops, or an archive closed after writing; no later hint takes it back."""
    make_pack(live.outside / "pack")
    assert [hint for hint in live.shell(command) if hint[0] == name][-1] == (name, True)


def test_a_whole_arrival_is_one_hint(live: Scene) -> None:
    """A folder moved in is not spelt out file by file, so nothing makes it wait for quiet."""
    make_pack(live.outside / "pack")
    assert live.shell("mv $OUT/pack p") == [("p", True)]


def test_in_a_crowd_of_renames_each_is_what_it_is(live: Scene) -> None:
    """What comes from elsewhere is whole, and what is renamed within the packs directory is not, however many come."""
    packs = [make_pack(live.outside / f"p{number}") for number in range(100)]
    live.after(lambda: [make_pack(live.root / f"old{number}") for number in range(20)])

    def all_at_once() -> None:
        for number, pack in enumerate(packs):
            pack.rename(live.root / pack.name)
            if number % 5 == 0:
                (live.root / f"old{number // 5}").rename(live.root / f"new{number // 5}")

    hints = live.after(all_at_once)
    assert {name for name, whole in hints if whole} == {pack.name for pack in packs}
    assert {name for name, whole in hints if not whole} == {f"{age}{n}" for n in range(20) for age in ("old", "new")}


def test_a_second_half_that_can_not_come_is_not_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes the place of a drop that was moved away is told at once, and after it."""
    monkeypatch.setattr(door._Pairing, "delay", 2 * DEADLINE_S)
    scene.watcher.start()
    make_pack(scene.outside / "pack")
    scene.after(lambda: make_pack(scene.root / "p"))
    assert scene.shell("mv p $OUT/gone; mv $OUT/pack p") == [("p", False), ("p", True)]


def test_an_archive_written_slowly_is_whole_only_at_its_end(live: Scene) -> None:
    """While it is open for writing it is only a change."""

    def write_half() -> None:
        archive.write(b"x" * 5000)
        archive.flush()

    with (live.root / "a.zip").open("wb") as archive:
        assert set(live.after(write_half)) == {("a.zip", False)}
        assert set(live.after(write_half)) == {("a.zip", False)}
        assert live.after(archive.close) == [("a.zip", True)]


def test_an_editors_save_dance_is_a_change(live: Scene) -> None:
    """Writing a temporary, renaming it over the file and setting its mode: the drop is named, and never whole."""
    make_pack(live.root / "p")
    live.after(lambda: None)
    told = live.shell(
        "echo new > p/.pack.yaml.swp; mv p/.pack.yaml.swp p/pack.yaml; chmod 600 p/pack.yaml; touch p/4913~"
    )
    assert set(told) == {("p", False)}


def test_an_atomic_replacement_of_a_folder_names_it(live: Scene) -> None:
    """Two folders exchanged in one step: both are named, and each later change under its new name."""
    make_pack(live.root / "p")
    (make_pack(live.root / "q") / "only-in-q").mkdir()
    live.after(lambda: None)
    assert {name for name, _ in live.after(lambda: exchange(live.root / "p", live.root / "q"))} == {"p", "q"}
    live.wait(lambda: {name for name, _ in live.after((live.root / "p/only-in-q/x").touch)} == {"p"})
    live.wait(lambda: {name for name, _ in live.after((live.root / "q/tests/x").touch)} == {"q"})


@pytest.mark.parametrize("other", ["q", ".next"])
def test_what_changes_right_after_an_exchange_is_told_of_its_own_drop(tmp_path: Path, other: str) -> None:
    """It is heard under a name that is not its own, or under none; once the watches are right both are to be looked at."""
    for name in ("p", other):
        make_pack(tmp_path / name)
    told: list[str | None] = []
    heard = threading.Event()

    def hint(hint: Hint) -> None:
        told.append(hint.drop)
        if hint.drop == "fence":
            heard.set()

    tree = Tree(tmp_path, ignore=Ignore(), hint=hint, wake=lambda: None)
    try:
        exchange(tmp_path / "p", tmp_path / other)
        (tmp_path / "p/pack.yaml").write_text("changed")
        (tmp_path / "fence").mkdir()
        assert heard.wait(DEADLINE_S)
        told.clear()
        tree.tend()
        assert "p" in told
        told.clear()
        tree.tend()
        assert told == []
    finally:
        tree.close()


def test_where_nothing_was_renamed_no_watch_is_looked_at(live: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is asked many times a minute, also of ten thousand watches."""
    live.after(lambda: make_pack(live.root / "p"))
    looked: list[object] = []
    monkeypatch.setattr(live.tree()._group, "verify", lambda tops: looked.append(tops) or [])
    live.tree().tend()
    assert looked == []


def exchange(one: Path, other: Path) -> None:
    """In one step; skips the test where that can't be done."""
    flag = 2  # RENAME_EXCHANGE, renameat2(2)
    if ctypes.CDLL(None).renameat2(-100, os.fsencode(one), -100, os.fsencode(other), flag) != 0:
        pytest.skip("the file system can't exchange two names")


def test_a_change_of_mode_is_a_change(live: Scene) -> None:
    """A script that becomes executable is different content."""
    make_pack(live.root / "p")
    live.after(lambda: None)
    assert live.after(lambda: (live.root / "p/actions/run.py").chmod(0o755)) == [("p", False)]
    assert live.after(lambda: (live.root / "p").chmod(0o700)) == [("p", False)]


def test_reading_is_no_change(live: Scene) -> None:
    """Walking, reading and hashing a drop never wakes anyone."""
    make_pack(live.root / "p")
    live.after(lambda: None)
    assert live.shell("find . -type f -exec cat {} + | sha256sum; ls -lR > /dev/null; cp -r p $OUT/copy") == []


def test_ignored_names_and_markers_give_no_hint(live: Scene) -> None:
    """What version control, Python, editors and packd itself write is passed over, also in folders just made."""
    make_pack(live.root / "p")
    live.after(lambda: None)
    told = live.shell(
        "mkdir -p p/.git/objects/ab p/actions/__pycache__ .staging; echo x > p/.git/objects/ab/cd; echo x > p/.git/index;"
        "touch p/actions/__pycache__/run.pyc p/.pack.yaml.swp .staging/x notes.txt; chmod 600 notes.txt;"
        "echo why > p.failed; chmod 600 p.failed; mv p.failed p.active; rm p.active; rm -rf p/.git"
    )
    assert told == []


def test_folders_of_version_control_cost_no_watches(live: Scene) -> None:
    """Only folders whose content matters are watched: the packs directory, the pack, and its own two."""
    for name in ("objects/aa", "objects/bb", "refs/heads"):
        (live.root / "p/.git" / name).mkdir(parents=True)
    make_pack(live.root / "p")
    live.wait(lambda: live.watcher.state().watches == 4)


def test_a_copy_of_5000_files_stays_one_drop(live: Scene) -> None:
    """Every hint is for that drop, the last comes after the last file, and a settler makes one burst of it."""
    (live.outside / "big").mkdir()
    for number in range(5000):
        (live.outside / "big" / f"{number}.txt").write_text("x")
    quiet_s = 30.0  # longer than a busy machine pauses a copy
    settler = Settler(quiet_s, 600.0)
    assert {name for name, _ in live.shell("cp -r $OUT/big big")} == {"big"}
    told = [hint for hint in live.told if isinstance(hint, Hint) and hint.drop == "big"]
    for hint in told:
        assert settler.due(hint.at) == []
        settler.touched("big", hint.at)
    (settled,) = settler.due(max(hint.at for hint in told) + quiet_s)
    assert settled.touches == len(told) >= 5000


def test_folders_nested_deeper_than_any_path_is_long_end_nothing(live: Scene) -> None:
    """Deeper than Python recurses, too. What lies so deep is in no pack: that it can't be watched is no trouble."""
    (live.root / ".deep").mkdir()
    opened = os.open(live.root / ".deep", os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("dd", dir_fd=opened)
        inside = os.open("dd", os.O_RDONLY, dir_fd=opened)
        os.close(opened)
        opened = inside
    os.close(opened)
    try:
        assert live.after(lambda: (live.root / ".deep").rename(live.root / "deep")) == [("deep", True)]
        begun = time.monotonic()
        live.wait(lambda: (live.watcher.state().checked_at or 0.0) > begun)
        assert live.troubles() == []
        assert live.watcher.state().alive
    finally:
        subprocess.run(["rm", "-rf", live.root], check=True)  # pytest can't


def test_folders_made_deep_at_once_are_all_watched(live: Scene) -> None:
    """A change at the bottom of a tree that appeared in one go is seen."""
    live.shell("mkdir -p p/a/b/c/d/e/f")
    live.wait(lambda: live.watcher.state().watches >= 8)
    assert {name for name, _ in live.shell("echo x > p/a/b/c/d/e/f/file")} == {"p"}


def test_names_that_are_not_utf8_are_told_as_the_scan_tells_them(live: Scene) -> None:
    """Surrogate escapes, that lead back to the same bytes."""
    name = os.fsdecode(b"p\xff")
    assert {told for told, _ in live.after((live.root / name).mkdir)} == {name}


def test_a_drop_moved_out_is_no_longer_watched(live: Scene) -> None:
    """What happens to it outside says nothing about its old name, where something else may be by now."""
    make_pack(live.root / "p")
    live.wait(lambda: live.watcher.state().watches == 4)
    live.shell("mv p $OUT/gone; mkdir p")
    live.wait(lambda: live.watcher.state().watches == 2)  # the root and the new folder
    assert live.shell("echo x > $OUT/gone/pack.yaml; echo x > $OUT/gone/tests/new") == []
    assert {name for name, _ in live.shell("rmdir p; rm -rf $OUT/gone; mkdir p; echo x > p/pack.yaml")} == {"p"}


def test_watches_of_removed_folders_are_given_back(live: Scene) -> None:
    """After everything was removed, one watch is left."""
    make_pack(live.root / "p")
    live.wait(lambda: live.watcher.state().watches == 4)
    shutil.rmtree(live.root / "p")
    live.wait(lambda: live.watcher.state().watches == 1)


def test_recount_finds_what_is_not_watched(live: Scene) -> None:
    """A folder that is not watched, for whatever reason, is watched after the periodic count."""
    make_pack(live.root / "p")
    live.wait(lambda: live.watcher.state().watches == 4)
    group = live.tree()._group
    with group._lock:
        group._remove_callbacks([group._active_callbacks_by_path[os.fsencode(live.root / "p/tests")]])
    assert live.watcher.state().watches == 3
    live.watcher.recount()
    live.wait(lambda: live.watcher.state().watches == 4)
    assert live.shell("echo x > p/tests/new") != []


def test_a_child_process_does_not_inherit_the_descriptor(live: Scene) -> None:
    """Otherwise every suite that runs would hold the watches of the daemon."""
    assert not os.get_inheritable(live.tree()._observer.reader._inotify_fd)


def test_stopping_is_prompt_and_silent(live: Scene) -> None:
    """No thread and no watch is left, and later changes are not told."""
    threads = {live.watcher._supervisor._thread, live.tree()._observer, live.tree()._observer.reader}
    started = time.monotonic()
    live.watcher.stop()
    assert time.monotonic() - started < 5
    assert not any(thread.is_alive() for thread in threads)
    live.told.clear()
    make_pack(live.root / "p")
    assert live.told == []
    assert not live.watcher.state().alive


# --- every way to go blind ---


def overflow(scene: Scene) -> None:
    """What the kernel says when its queue was full (inotify(7): IN_Q_OVERFLOW, with no watch)."""
    event = inotify_c.InotifyEvent(-1, inotify_c.InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    scene.tree()._observer.reader.handle_event(event)


def test_after_an_overflow_everything_is_looked_at_and_watching_goes_on(live: Scene) -> None:
    """Told in this order: trouble, a hint to look at everything, recovered; by a new observer."""
    before = live.tree()
    overflow(live)
    live.wait(lambda: live.recoveries() == ["overflow"])
    reasons = [(type(told).__name__, getattr(told, "reason", None)) for told in live.told]
    assert reasons == [("Trouble", "overflow"), ("Hint", None), ("Recovered", "overflow")]
    assert live.tree() is not before
    assert {name for name, _ in live.shell("mkdir p")} == {"p"}


def test_overflows_in_a_row_are_given_a_rest(live: Scene) -> None:
    """A second one soon after pauses the watching, and meanwhile everything is looked at now and then."""
    overflow(live)
    live.wait(lambda: live.recoveries() == ["overflow"])
    live.told.clear()
    overflow(live)
    live.wait(lambda: live.hints().count((None, False)) >= 3)
    assert live.recoveries() == []
    live.wait(lambda: live.recoveries() == ["overflow"])


@pytest.mark.skipif(not os.access(QUEUE_LENGTH, os.W_OK), reason="needs the right to shorten the kernel's queue")
def test_a_real_overflow_is_survived(scene: Scene) -> None:
    """With a queue of a few events, a copy overflows it; packd says so, recovers, and sees later changes."""
    usual = QUEUE_LENGTH.read_text()
    try:
        QUEUE_LENGTH.write_text("16")  # for instances made from now on
        scene.watcher.start()
    finally:
        QUEUE_LENGTH.write_text(usual)
    folder = scene.root / "big"
    folder.mkdir()
    end, numbers = time.monotonic() + DEADLINE_S, count()
    while not scene.troubles() and time.monotonic() < end:
        (folder / str(next(numbers) % 1000)).touch()
    scene.wait(lambda: scene.recoveries() == ["overflow"])
    assert (None, False) in scene.hints()
    assert {name for name, _ in scene.shell("mkdir p")} == {"p"}


@pytest.mark.parametrize("away", ["rm -rf ../packs", "mv ../packs $OUT/away"])
def test_a_root_that_goes_and_comes_back(live: Scene, away: str) -> None:
    """While it is missing only that is told; when it is there again everything is looked at, and changes are seen."""
    make_pack(live.root / "p")
    live.after(lambda: None)
    live.told.clear()
    subprocess.run(["sh", "-ec", away], check=True, cwd=live.root, env={**os.environ, "OUT": str(live.outside)})
    live.wait(lambda: [trouble.reason for trouble in live.troubles()] == ["root_missing"])
    assert live.troubles()[0].scope == str(live.root)
    assert str(live.root) in live.troubles()[0].detail
    assert not live.watcher.state().alive
    live.told.clear()
    live.root.mkdir()
    live.wait(lambda: live.recoveries() == ["root_missing"])
    assert live.hints()[-1] == (None, False)
    assert live.watcher.state().troubles == ()
    if (live.outside / "away").exists():
        assert live.shell("echo x > $OUT/away/p/pack.yaml") == []
    assert {name for name, _ in live.shell("mkdir p")} == {"p"}


@contextmanager
def looking_fails(monkeypatch: pytest.MonkeyPatch, error: int) -> Iterator[threading.Semaphore]:
    """At the packs directory; what is yielded counts how often."""
    looked = threading.Semaphore(0)

    def refuse(*_: object, **__: object) -> None:
        looked.release()
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(scan, "opened", refuse)
        yield looked


def test_a_root_on_a_disk_that_fails_is_not_called_missing(live: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads that it is not there looks in the wrong place: what the disk says is said."""
    with looking_fails(monkeypatch, errno.EIO):
        live.wait(lambda: bool(live.troubles()))
        assert "can't be read (Input/output error)" in live.troubles()[0].detail
    live.wait(lambda: live.recoveries() == ["root_missing"])


def test_a_shortage_of_descriptors_says_nothing_of_the_root(live: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is watched as before: nobody is told that it is missing, and no watch is added anew."""
    with looking_fails(monkeypatch, errno.EMFILE) as looked:
        for _ in range(3):
            assert looked.acquire(timeout=60)
    assert live.troubles() == []
    assert {name for name, _ in live.shell("mkdir p")} == {"p"}


def test_a_root_that_is_replaced_between_two_checks(live: Scene) -> None:
    """Another folder under the same path is noticed by its inode: trouble and recovery are both told."""
    (live.outside / "other").mkdir()
    live.root.rename(live.outside / "old")
    (live.outside / "other").rename(live.root)
    live.wait(lambda: live.recoveries() == ["root_missing"])
    assert len(live.troubles()) == 1
    assert {name for name, _ in live.shell("mkdir p")} == {"p"}
    assert live.shell("mkdir $OUT/old/q") == []


def test_a_root_that_is_a_link_to_elsewhere(scene: Scene) -> None:
    """The folder that it leads to is watched, and when it leads to another one, that is noticed."""
    target = scene.outside / "one"
    scene.root.rename(target)
    scene.root.symlink_to(target)
    scene.watcher.start()
    assert {name for name, _ in scene.shell("mkdir p")} == {"p"}
    (scene.outside / "two").mkdir()
    (scene.outside / "link").symlink_to(scene.outside / "two")
    (scene.outside / "link").rename(scene.root)
    scene.wait(lambda: scene.recoveries() == ["root_missing"])
    assert {name for name, _ in scene.shell("mkdir q")} == {"q"}


def test_a_root_that_is_missing_at_the_start(scene: Scene) -> None:
    """Starting does not fail; it is told, and it begins when the folder appears."""
    scene.root.rmdir()
    scene.watcher.start()
    assert [trouble.reason for trouble in scene.troubles()] == ["root_missing"]
    scene.root.mkdir()
    scene.wait(lambda: scene.recoveries() == ["root_missing"])
    assert {name for name, _ in scene.shell("mkdir p")} == {"p"}


def test_a_file_system_that_is_unmounted_is_a_missing_root(scene: Scene) -> None:
    """It is said so; what lies there now is watched, and so is what is mounted there again."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "packd-test", str(scene.root)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        scene.watcher.start()
        subprocess.run(["umount", str(scene.root)], check=True)
        scene.wait(lambda: scene.recoveries() == ["root_missing"])
        (told,) = scene.troubles()
        assert "no longer mounted; mount it again" in told.detail
        assert {name for name, _ in scene.shell("mkdir below")} == {"below"}
        scene.told.clear()
        subprocess.run(mount, check=True)
        scene.wait(lambda: scene.recoveries() == ["root_missing"])
        assert {name for name, _ in scene.shell("mkdir p")} == {"p"}
    finally:
        scene.watcher.stop()
        subprocess.run(["umount", str(scene.root)], check=False)


class Kernel:
    """inotify_add_watch, with a limit on watches or a folder that it refuses."""

    def __init__(self) -> None:
        self._real = inotify_c.inotify_add_watch
        self._known: set[int] = set()
        self.limit: int | None = None
        self.refused = b""

    def add_watch(self, descriptor: int, path: bytes, mask: int) -> int:
        if path == self.refused:
            ctypes.set_errno(errno.EACCES)
            return -1
        watch = self._real(descriptor, path, mask)
        if self.limit is None or watch == -1 or watch in self._known or len(self._known) < self.limit:
            self._known.add(watch)
            return watch
        inotify_c.inotify_rm_watch(descriptor, watch)
        ctypes.set_errno(errno.ENOSPC)
        return -1


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(inotify_c, "inotify_add_watch", kernel.add_watch)
    return kernel


@pytest.mark.parametrize("early", [True, False])
def test_a_watch_limit_is_told_polled_around_and_recovered_from(scene: Scene, kernel: Kernel, early: bool) -> None:
    """Reached at the start or later: the setting and the number are named, all is looked at again and again."""
    kernel.limit = 3
    if early:
        make_pack(scene.root / "p")
    scene.watcher.start()
    if not early:
        make_pack(scene.root / "p")
    scene.wait(lambda: [trouble.reason for trouble in scene.troubles()] == ["limit"])
    (trouble,) = scene.troubles()
    assert "fs.inotify.max_user_watches" in trouble.detail
    assert "1 of the 4 folders" in trouble.detail
    scene.told.clear()
    scene.wait(lambda: scene.hints().count((None, False)) >= 3)
    state = scene.watcher.state()
    assert (state.alive, state.watches, state.folders, state.troubles) == (True, 3, 4, (trouble,))
    kernel.limit = None
    scene.wait(lambda: scene.recoveries() == ["limit"])
    assert scene.watcher.state().watches == scene.watcher.state().folders == 4
    for folder in ("actions", "tests"):
        assert {name for name, _ in scene.after((scene.root / "p" / folder / "new").touch)} == {"p"}


def test_a_root_that_can_not_be_watched_is_polled(scene: Scene, kernel: Kernel) -> None:
    """Even with no watch at all, packd goes on by looking at everything, and watches as soon as it may."""
    kernel.limit = 0
    scene.watcher.start()
    scene.wait(lambda: scene.hints().count((None, False)) >= 3)
    assert [trouble.reason for trouble in scene.troubles()] == ["limit"]
    kernel.limit = None
    scene.wait(lambda: scene.recoveries() == ["limit"])
    assert {name for name, _ in scene.shell("mkdir p")} == {"p"}


def test_what_was_queued_before_it_began_is_told(scene: Scene) -> None:
    """A queue that somebody watched into is heard once the first scan has named the folders; what follows, too."""
    make_pack(scene.root / "p")
    made = queue.make_queue()
    for folder in (scene.root, *(path for path in scene.root.rglob("*") if path.is_dir())):
        queue.watch(made, os.fsencode(folder))
    (scene.root / "p" / "tests" / "late").touch()
    (scene.root / "q").mkdir()
    scene.watcher = scene.new_watcher(queue=made)
    scene.watcher.start(walk=False)
    for _ in range(3):
        scene.wait_for_a_look()
    assert scene.told == []
    with scene.watcher.first_scan() as scan:
        assert scan.queued
        assert scan.enter is not None
        for folder in (path for path in (scene.root / "p", *(scene.root / "p").rglob("*")) if path.is_dir()):
            scan.enter(str(folder.relative_to(scene.root)))
        scan.over()
    scene.wait(lambda: {"p", "q"} <= scene.drops_told())
    assert scene.troubles() == []
    assert {name for name, _ in scene.shell("touch p/tests/later")} == {"p"}
    with scene.watcher.first_scan() as later:
        assert not later.queued


def test_a_queue_is_let_go_of_when_it_was_never_heard(scene: Scene) -> None:
    """Stopping before the first scan ends as quietly as after it."""
    made = queue.make_queue()
    scene.watcher = scene.new_watcher(queue=made)
    scene.watcher.start(walk=False)
    scene.watcher.stop()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(made)


def test_too_many_inotify_instances_are_polled_around(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel refuses an instance, the setting is named and everything is looked at again and again."""

    def refuse() -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(door, "make_queue", refuse)
        scene.watcher.start()
        scene.wait(lambda: scene.hints().count((None, False)) >= 2)
        assert "fs.inotify.max_user_instances" in scene.troubles()[0].detail
    scene.wait(lambda: scene.recoveries() == ["limit"])
    assert {name for name, _ in scene.shell("mkdir p")} == {"p"}


def test_a_folder_that_may_not_be_read_is_told_by_name(scene: Scene, kernel: Kernel) -> None:
    """The rest is watched; when it is allowed, or the folder is gone, that is told too."""
    kernel.refused = os.fsencode(scene.root / "p/tests")
    make_pack(scene.root / "p")
    scene.watcher.start()
    (trouble,) = scene.troubles()
    assert (trouble.reason, trouble.scope) == ("permission", str(scene.root / "p/tests"))
    assert {name for name, _ in scene.after((scene.root / "p/actions/new").touch)} >= {"p"}
    shutil.rmtree(scene.root / "p/tests")
    scene.wait(lambda: scene.recoveries() == ["permission"])


def test_a_watching_thread_that_dies_is_replaced(live: Scene) -> None:
    """Whatever ended it, it is told as a loss of events, and watching goes on."""
    live.tree()._emitter.stop()
    live.wait(lambda: live.recoveries() == [live.troubles()[0].reason] if live.troubles() else False)
    assert {name for name, _ in live.shell("mkdir p")} == {"p"}


def test_a_callback_that_raises_does_not_end_the_watching(scene: Scene) -> None:
    """The exception is kept for the status, and the hint is made good by a look at everything."""

    def choke_once(hint: Hint) -> None:
        if not scene.watcher.state().callback_error:
            raise LookupError("a bug of the receiver")
        scene._tell(hint)

    scene.watcher = scene.new_watcher(choke_once)
    scene.watcher.start()
    (scene.root / "p").mkdir()
    scene.wait(lambda: (None, False) in scene.hints())
    assert scene.watcher.state().callback_error == "LookupError: a bug of the receiver"
    assert {name for name, _ in scene.shell("mkdir q")} == {"q"}


def test_a_thousand_renames_leave_every_watch_right(live: Scene) -> None:
    """However folders are renamed back and forth, in the end each is watched under the name that it has."""
    for number in range(8):
        make_pack(live.root / f"p{number}")
    for step in range(250):
        here, there = live.root / f"p{step % 8}", live.root / f".p{step % 8}"
        here.rename(there)
        there.rename(here)
    live.wait(lambda: live.watcher.state().watches == 8 * 3 + 1)
    for number in range(8):
        place = live.root / f"p{number}/tests/new"
        live.wait(lambda place=place, number=number: (f"p{number}", False) in live.after(place.touch))


# --- a first scan that watches what it comes by ---


def test_the_first_scan_watches_each_folder_as_it_enters_it(scene: Scene) -> None:
    """From that moment on a change in it is heard, also before the scan is over."""
    make_pack(scene.root / "p")
    scene.watcher.start(walk=False)
    assert scene.watcher.state().watches == 1
    with scene.watcher.first_scan() as scan:
        assert scan.enter is not None
        scan.enter("p")
        assert scene.shell("echo x > p/new") != []
        assert scene.shell("echo x > p/tests/new") == []
        for inside in ("p/actions", "p/tests"):
            scan.enter(inside)
        assert {name for name, _ in scene.shell("echo x > p/tests/more")} == {"p"}
        scan.over()
    assert scene.watcher.state().watches == 4
    assert scene.troubles() == []


@pytest.mark.parametrize("end", ["partly", "not over", "broken off"])
def test_what_the_first_scan_left_out_is_watched_after_it(scene: Scene, end: str) -> None:
    """Whether it says so of one drop, was never over, or broke."""
    make_pack(scene.root / "p")
    scene.watcher.start(walk=False)
    try:
        with scene.watcher.first_scan() as scan:
            if end == "partly":
                scan.partly("p")
                scan.over()
            if end == "broken off":
                raise OSError("out of files")
    except OSError:
        pass
    scene.wait(lambda: scene.watcher.state().watches == 4)
    assert {name for name, _ in scene.shell("echo x > p/tests/new")} == {"p"}


def test_a_drop_that_comes_during_the_first_scan_is_watched(scene: Scene) -> None:
    """Nobody enters it: it came behind the listing, and its coming is heard."""
    scene.watcher.start(walk=False)
    with scene.watcher.first_scan() as scan:
        scene.shell("cp -r $OUT/pack p || mkdir -p p/tests")
        scene.wait(lambda: os.fsencode(scene.root / "p/tests") in scene.tree()._group._active_callbacks_by_path)
        scan.over()
    assert {name for name, _ in scene.shell("echo x > p/tests/new")} == {"p"}


def test_only_the_first_scan_watches(scene: Scene) -> None:
    """Later ones, and one behind a walk of the watcher's own, cost nothing more."""
    scene.watcher.start()
    with scene.watcher.first_scan() as scan:
        assert scan.enter is None


def test_a_limit_that_the_first_scan_meets_is_told(scene: Scene, kernel: Kernel) -> None:
    """As it is when the watcher walks itself."""
    make_pack(scene.root / "p")
    kernel.refused = os.fsencode(scene.root / "p/tests")
    scene.watcher.start(walk=False)
    with scene.watcher.first_scan() as scan:
        assert scan.enter is not None
        for inside in ("p", "p/actions", "p/tests"):
            scan.enter(inside)
        scan.over()
    scene.wait(lambda: [trouble.scope for trouble in scene.troubles()] == [str(scene.root / "p/tests")])
    shutil.rmtree(scene.root / "p/tests")
    scene.wait(lambda: scene.recoveries() == ["permission"])
