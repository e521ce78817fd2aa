"""However people get content into the folder: it is one change, taken whole, and nothing is torn or missed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from packs import write_pack
from receiver import SECRET, Receiver

from packd.client import Client

LARGE = 5000


def by_copy(pack: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", pack, target], check=True)


def by_tar(pack: Path, target: Path) -> None:
    with tarfile.open(pack.with_suffix(".tar"), "w") as archive:
        archive.add(pack, target.name)
    subprocess.run(["tar", "xf", pack.with_suffix(".tar"), "-C", target.parent], check=True)


def by_git(pack: Path, target: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(pack)]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    subprocess.run(["git", "clone", "-q", pack, target], check=True)


def by_rsync(pack: Path, target: Path) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    subprocess.run(["rsync", "-a", f"{pack}/", f"{target}/"], check=True)


def by_rename(pack: Path, target: Path) -> None:
    pack.rename(target)


def by_rename_within(pack: Path, target: Path) -> None:
    hidden = target.with_name(f".{target.name}.incoming")
    shutil.copytree(pack, hidden)
    hidden.rename(target)


def slowly(pack: Path, target: Path) -> None:
    """A file every 150 ms, with the manifest first."""
    for path in [pack / "pack.yaml", *(path for path in sorted(pack.rglob("*")) if path.is_file())]:
        copy = target / path.relative_to(pack)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
        time.sleep(0.15)


def as_zip(pack: Path, target: Path) -> None:
    made = shutil.make_archive(str(pack), "zip", pack.parent, pack.name)
    shutil.copy(made, target.with_suffix(".zip"))


def as_tar_gz(pack: Path, target: Path) -> None:
    made = shutil.make_archive(str(pack), "gztar", pack)
    shutil.copy(made, f"{target}.tar.gz")


WAYS = [by_copy, by_tar, by_git, by_rsync, by_rename, by_rename_within, slowly, as_zip, as_tar_gz]


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_one_drop_is_one_revision(
    way: Callable[[Path, Path], None], daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """However it came, its first revision is whole and the only one."""
    daemon.start()
    pack = write_pack(tmp_path / "pack", "pack")
    for number in range(8):
        (pack / f"file{number}").write_text(str(number))
    way(pack, daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    assert receiver.types("pack") == ["pack.discovered", "pack.test_passed", "pack.registered"]
    active = daemon.state / "active" / "pack"
    assert [(active / f"file{number}").read_text() for number in range(8)] == [str(number) for number in range(8)]
    assert not (active / ".git").exists()


def test_five_thousand_files_are_one_revision(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """A fast, large copy overflows nothing and is taken once."""
    daemon.start()
    pack = write_pack(tmp_path / "pack", "pack")
    for number in range(LARGE):
        (pack / f"d{number % 50}").mkdir(exist_ok=True)
        (pack / f"d{number % 50}" / f"file{number}").write_text(str(number))
    by_copy(pack, daemon.packs / "pack")
    told = receiver.wait_for("pack.registered", "pack", timeout_s=60).event
    assert told["data"]["pack"]["revision"] == 1
    assert receiver.wait_for("pack.discovered", "pack").event["data"]["files"] == LARGE + 4


def test_a_clone_that_takes_longer_than_the_quiet_time_is_one_revision(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """Meanwhile only `.git` is filled; that is no pack yet, and nothing is said of it."""
    daemon.start()
    by_git(write_pack(tmp_path / "pack", "pack"), tmp_path / "other")
    held = tmp_path / "held"
    upload = tmp_path / "upload-pack"
    upload.write_text(f'#!/bin/sh\n: > {held}\nread go < {held}.go\nexec git-upload-pack "$@"\n')
    upload.chmod(0o755)
    os.mkfifo(f"{held}.go")
    source = f"file://{tmp_path / 'pack'}"
    with subprocess.Popen(["git", "clone", "-q", "-u", upload, source, daemon.packs / "slow"]) as clone:
        try:
            daemon.wait_until((daemon.packs / "slow" / ".git").exists, "the clone to begin")
            daemon.wait_until(held.exists, "the transfer to be held")
            daemon.wait_until(lambda: status(daemon)["queue"]["settling"] == 1, "the drop to be seen")
            write_pack(daemon.packs / "next", "next")  # it goes quiet later than what came before
            receiver.wait_for("pack.registered", "next")
            assert not (daemon.packs / "slow.failed").exists()
        finally:
            Path(f"{held}.go").write_text("go\n")
    assert clone.returncode == 0
    receiver.wait_for("pack.registered", "pack")
    assert receiver.types("pack") == ["pack.discovered", "pack.test_passed", "pack.registered"]
    assert receiver.types("slow") == []


def test_a_fifo_that_comes_and_goes_is_noticed(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """As soon as it is there the pack is refused, and as soon as it is gone the pack is read again."""
    daemon.start()
    dropped = write_pack(tmp_path / "pack", "pack").rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    os.mkfifo(dropped / "pipe")
    receiver.wait_for("pack.validation_failed", "pack")
    daemon.wait_until((daemon.packs / "pack.failed").exists, "the marker")
    (dropped / "pipe").unlink()
    daemon.wait_until(lambda: not (daemon.packs / "pack.failed").exists(), "the marker to go")


def test_an_editors_save_is_one_change(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Write beside, rename over, set the mode: one new revision."""
    daemon.start()
    dropped = write_pack(tmp_path / "pack", "pack").rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    manifest = dropped / "pack.yaml"
    beside = dropped / ".pack.yaml.swp"
    beside.write_text(manifest.read_text().replace("1.0.0", "1.0.1"))
    manifest.rename(dropped / "pack.yaml~")
    beside.rename(manifest)
    manifest.chmod(0o644)
    told = receiver.wait_for("pack.updated", "pack").event["data"]["pack"]
    assert (told["version"], told["revision"]) == ("1.0.1", 2)


def test_replacing_the_folder_never_unregisters(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """`rm -rf` and `cp -r` is an update."""
    daemon.start()
    write_pack(tmp_path / "pack", "pack").rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    shutil.rmtree(daemon.packs / "pack")
    by_copy(write_pack(tmp_path / "next", "pack", "1.1.0"), daemon.packs / "pack")
    receiver.wait_for("pack.updated", "pack")
    assert "pack.unregistered" not in receiver.types("pack")


def test_a_renamed_folder_is_the_same_pack(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Another name in the folder, the same ref and content: no new revision, nobody is told of a removal."""
    daemon.start()
    write_pack(tmp_path / "pack", "pack").rename(daemon.packs / "before")
    receiver.wait_for("pack.registered", "pack")
    (daemon.packs / "before").rename(daemon.packs / "after")
    daemon.wait_until(lambda: daemon.show("pack")["drop"] == "after", "the new name to be known")
    write_pack(tmp_path / "other", "other").rename(daemon.packs / "other")
    receiver.wait_for("pack.registered", "other")
    daemon.wait_until(lambda: daemon.cli("why", "before").returncode == 1, "the old name to be forgotten")
    assert receiver.types("pack") == ["pack.discovered", "pack.test_passed", "pack.registered"]


def test_newer_content_stops_the_tests_of_older(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """The run is cancelled within a second, the candidate superseded, only the newest becomes active."""
    daemon.start()
    dropped = write_pack(tmp_path / "pack", "pack", test="sleep 600").rename(daemon.packs / "pack")
    daemon.wait_until(lambda: "pack.test_started" in logged(daemon), "the suite to run")
    write_pack(dropped, "pack", "1.0.1")
    told = receiver.wait_for("pack.registered", "pack").event["data"]["pack"]
    assert told["version"] == "1.0.1"
    assert "pack.test_failed" not in receiver.types("pack")


def test_nothing_is_unregistered_while_the_packs_directory_is_away(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """Renamed away and back: the daemon says that it can't see, and goes on when it can."""
    daemon.start()
    write_pack(tmp_path / "pack", "pack").rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    daemon.packs.rename(tmp_path / "away")
    daemon.wait_until(lambda: "watch.degraded" in logged(daemon), "the loss to be noticed")
    (tmp_path / "away").rename(daemon.packs)
    daemon.wait_until(lambda: "watch.recovered" in logged(daemon), "the return to be noticed")
    write_pack(daemon.packs / "pack", "pack", "1.1.0")
    receiver.wait_for("pack.updated", "pack")
    assert "pack.unregistered" not in receiver.types("pack")


def test_an_empty_folder_in_its_place_is_not_a_removal_of_everything(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """What an unmounted volume looks like: nothing is unregistered, and it is said."""
    daemon.start()
    write_pack(tmp_path / "pack", "pack").rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    daemon.packs.rename(tmp_path / "away")
    daemon.packs.mkdir()
    daemon.wait_until(lambda: "watch.degraded" in logged(daemon), "the loss to be noticed")
    assert daemon.stop() == 0
    daemon.start()
    daemon.packs.rmdir()
    (tmp_path / "away").rename(daemon.packs)
    write_pack(daemon.packs / "pack", "pack", "1.1.0")
    receiver.wait_for("pack.updated", "pack")
    assert "pack.unregistered" not in receiver.types("pack")


def test_an_unmounted_packs_directory_is_not_a_removal_of_everything(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """Unmounted and mounted again under a running daemon: nothing is unregistered, then changes are seen again."""
    real = tmp_path / "real"
    real.mkdir()
    mounted = subprocess.run(["mount", "--bind", real, daemon.packs], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"can't mount here: {mounted.stderr.decode().strip()}")
    try:
        daemon.start()
        write_pack(tmp_path / "pack", "pack").rename(tmp_path / "real" / "pack")
        receiver.wait_for("pack.registered", "pack")
        subprocess.run(["umount", "-l", daemon.packs], check=True)
        daemon.wait_until(lambda: "watch.degraded" in logged(daemon), "the loss to be noticed")
        subprocess.run(["mount", "--bind", real, daemon.packs], check=True)
        daemon.wait_until(lambda: "watch.recovered" in logged(daemon), "the return to be noticed")
        write_pack(real / "pack", "pack", "1.1.0")
        receiver.wait_for("pack.updated", "pack")
        assert "pack.unregistered" not in receiver.types("pack")
    finally:
        daemon.kill()
        subprocess.run(["umount", "-l", daemon.packs], check=False, capture_output=True)


@pytest.mark.parametrize("lazily", [False, True], ids=["umount", "umount -l"])
def test_a_packs_directory_that_stays_unmounted_keeps_everything_in_use(
    daemon: Daemon, receiver: Receiver, tmp_path: Path, lazily: bool
) -> None:
    """Longer than any time of grace; mounted again, all is as it was and nothing was activated anew."""
    real = tmp_path / "real"
    real.mkdir()
    mount, unmount = ["mount", "--bind", real, daemon.packs], ["umount", *(["-l"] if lazily else []), daemon.packs]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"can't mount here: {mounted.stderr.decode().strip()}")
    try:
        daemon.start()
        for ref in ("one", "two"):
            write_pack(tmp_path / ref, ref).rename(real / ref)
            receiver.wait_for("pack.registered", ref)
        subprocess.run(unmount, check=True)
        daemon.wait_until(lambda: "is it not mounted?" in sentences(daemon), "the loss to be named")
        daemon.wait_until(lambda: at_rest(daemon), "what follows to have followed")
        assert {daemon.show(ref)["active"]["version"] for ref in ("one", "two")} == {"1.0.0"}
        subprocess.run(mount, check=True)
        daemon.wait_until(lambda: "watch.recovered" in logged(daemon), "the return to be noticed")
        shutil.rmtree(real / "two")
        receiver.wait_for("pack.unregistered", "two")
        assert receiver.types("one") == ["pack.discovered", "pack.test_passed", "pack.registered"]
    finally:
        daemon.kill()
        subprocess.run(["umount", "-l", daemon.packs], check=False, capture_output=True)


def test_a_packs_directory_that_is_made_anew_is_said_to_be_empty_until_something_is_dropped_into_it(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """Nothing is unregistered before that; then it is the packs directory, and what is missing counts as removed."""
    daemon.start()
    for ref in ("one", "two"):
        write_pack(tmp_path / ref, ref).rename(daemon.packs / ref)
        receiver.wait_for("pack.registered", ref)
    shutil.rmtree(daemon.packs)
    daemon.wait_until(lambda: "is not there or is no folder" in sentences(daemon), "the loss to be named")
    daemon.packs.mkdir()
    daemon.wait_until(lambda: "an empty folder has taken the place" in sentences(daemon), "that to be named")
    daemon.wait_until(lambda: at_rest(daemon), "what follows to have followed")
    assert {daemon.show(ref)["active"]["version"] for ref in ("one", "two")} == {"1.0.0"}
    assert "drop a pack into it" in " ".join(daemon.cli("doctor").stdout.split())
    write_pack(tmp_path / "three", "three").rename(daemon.packs / "three")
    receiver.wait_for("pack.registered", "three")
    for ref in ("one", "two"):
        receiver.wait_for("pack.unregistered", ref)
    daemon.wait_until(lambda: not sentences(daemon), "all to be well")


def sentences(daemon: Daemon) -> str:
    """What the daemon finds wrong with watching."""
    return " ".join(one["reason"] for one in status(daemon)["health"] if one["part"] == "watch")


def at_rest(daemon: Daemon) -> bool:
    """Nothing settles, waits for its time of grace or is being done."""
    queue = status(daemon)["queue"]
    return queue["settling"] == 0 and queue["jobs"] == 0


def status(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = Client(daemon.socket).get("/status")["data"]
    return found


def test_what_was_dropped_while_nobody_watched_is_found(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Added, changed and removed between two runs of the daemon."""
    daemon.start()
    write_pack(tmp_path / "goes", "goes").rename(daemon.packs / "goes")
    write_pack(tmp_path / "stays", "stays").rename(daemon.packs / "stays")
    receiver.wait_for("pack.registered", "goes")
    receiver.wait_for("pack.registered", "stays")
    assert daemon.stop() == 0
    shutil.rmtree(daemon.packs / "goes")
    write_pack(daemon.packs / "stays", "stays", "1.1.0")
    write_pack(daemon.packs / "comes", "comes")
    daemon.start()
    receiver.wait_for("pack.updated", "stays")
    receiver.wait_for("pack.registered", "comes")
    receiver.wait_for("pack.unregistered", "goes")


def test_a_pack_that_was_known_before_the_start_is_watched(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Down to its deepest folder, also where it has rules of its own; no scan follows that would find the change."""
    daemon.start()
    for ref in ("plain", "rules"):
        pack = write_pack(tmp_path / ref, ref)
        (pack / "docs" / "more" / "deep").mkdir(parents=True)
        if ref == "rules":
            (pack / ".packdignore").write_text("*.bak\nleft-out/\n")
            (pack / "left-out").mkdir()
        pack.rename(daemon.packs / ref)
        receiver.wait_for("pack.registered", ref)
    assert daemon.stop() == 0
    daemon.start()
    daemon.wait_until(
        lambda: [line["event"] for line in daemon.logged()].count("daemon.started") == 2, "the second start"
    )
    for ref in ("plain", "rules"):
        (daemon.packs / ref / "docs" / "more" / "deep" / "new.txt").write_text("new")
        receiver.wait_for("pack.updated", ref)


def test_a_change_through_another_hard_link_is_found_by_the_scan(tmp_path: Path, receiver: Receiver) -> None:
    """No event tells of it; the periodic comparison does."""
    watch = {"quiet_ms": 100, "reconcile_every_s": 1}
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}], watch=watch)
    daemon.start()
    try:
        pack = write_pack(tmp_path / "pack", "pack")
        os.link(pack / "pack.yaml", tmp_path / "elsewhere.yaml")
        pack.rename(daemon.packs / "pack")
        receiver.wait_for("pack.registered", "pack")
        other = tmp_path / "elsewhere.yaml"
        other.write_text(other.read_text().replace("1.0.0", "1.0.1"))
        receiver.wait_for("pack.updated", "pack")
    finally:
        daemon.kill()


def test_what_is_mounted_on_a_drop_is_found_by_the_scan_and_watched_from_then_on(
    tmp_path: Path, receiver: Receiver
) -> None:
    """No event tells of a mount, and none of what changes below it while only the folder under it is watched."""
    watch = {"quiet_ms": 100, "reconcile_every_s": 1}
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}], watch=watch)
    place = daemon.packs / "pack"
    place.mkdir()
    daemon.start()
    mount = ["mount", "--bind", write_pack(tmp_path / "elsewhere", "pack"), place]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    try:
        if mounted.returncode:
            pytest.skip(f"can't mount here: {mounted.stderr.decode().strip()}")
        receiver.wait_for("pack.registered", "pack")
        folders = [daemon.packs, place, place / "actions", place / "tests"]
        daemon.wait_until(lambda: status(daemon)["watch"]["watches"] == len(folders), "all folders to be watched")
    finally:
        daemon.kill()
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def logged(daemon: Daemon) -> set[str]:
    return {line["event"] for line in daemon.logged()}


@pytest.mark.parametrize("is_restarted", [False, True])
def test_packs_go_along_when_drops_swap_their_names_or_move_up(
    daemon: Daemon, receiver: Receiver, tmp_path: Path, is_restarted: bool
) -> None:
    """None of them is refused, unregistered or tested again, whether that is seen as it happens or found later."""
    daemon.start()
    refs = {"a": "alpha", "b": "beta", "x": "refx", "y": "refy"}
    for name, ref in refs.items():
        write_pack(tmp_path / name, ref).rename(daemon.packs / name)
    for ref in refs.values():
        receiver.wait_for("pack.registered", ref)
    if is_restarted:
        daemon.stop()
    for before, after in (("a", ".t"), ("b", "a"), (".t", "b"), ("y", "z"), ("x", "y")):
        (daemon.packs / before).rename(daemon.packs / after)
    if is_restarted:
        daemon.start()
    places = {"alpha": "b", "beta": "a", "refx": "y", "refy": "z"}
    daemon.wait_until(lambda: {ref: daemon.show(ref)["drop"] for ref in places} == places, "the packs to be found")
    daemon.wait_until(lambda: not any(status(daemon)["queue"].values()), "all times of grace to be over")
    for ref, place in places.items():
        assert receiver.types(ref) == ["pack.discovered", "pack.test_passed", "pack.registered"]
        assert daemon.show(ref)["drop"] == place


def test_a_pack_renamed_onto_the_place_of_another_takes_it(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """What lay there before is unregistered, what was renamed stays the same revision."""
    daemon.start()
    write_pack(tmp_path / "one", "one").rename(daemon.packs / "one")
    write_pack(tmp_path / "two", "two").rename(daemon.packs / "two")
    receiver.wait_for("pack.registered", "one")
    receiver.wait_for("pack.registered", "two")
    shutil.rmtree(daemon.packs / "two")
    (daemon.packs / "one").rename(daemon.packs / "two")
    receiver.wait_for("pack.unregistered", "two")
    assert daemon.show("one")["drop"] == "two"
    assert receiver.types("one") == ["pack.discovered", "pack.test_passed", "pack.registered"]
