"""Bad input: each gets its clear problem in `why`, the marker, the log and the event, and the daemon stays well."""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path

import pytest
from daemon import Daemon
from packs import script, write_pack
from receiver import Receiver

from tests.processes import long_sleep, running
from tests.waiting import until_exists


def empty_folder(at: Path) -> None:
    at.mkdir()


def no_manifest(at: Path) -> None:
    write_pack(at, "pack")
    (at / "pack.yaml").unlink()


def broken_yaml(at: Path) -> None:
    write_pack(at, "pack")
    (at / "pack.yaml").write_text("ref: pack\nversion: [1.0\n")


def unquoted_version(at: Path) -> None:
    write_pack(at, "pack")
    (at / "pack.yaml").write_text("ref: pack\nversion: 1.0\n")


def too_many_files(at: Path) -> None:
    write_pack(at, "pack")
    (at / "many").mkdir()
    for number in range(20_050):
        (at / "many" / str(number)).touch()


def not_utf8(at: Path) -> None:
    write_pack(at, "pack")
    Path(os.fsdecode(os.fsencode(at) + b"/caf\xe9")).touch()


def link_loop(at: Path) -> None:
    write_pack(at, "pack")
    (at / "one").symlink_to("two")
    (at / "two").symlink_to("one")


def link_out(at: Path) -> None:
    write_pack(at, "pack")
    (at / "passwd").symlink_to("/etc/passwd")


def fifo(at: Path) -> None:
    write_pack(at, "pack")
    os.mkfifo(at / "pipe")


def no_testing(at: Path) -> None:
    write_pack(at, "pack")
    (at / "pack.yaml").write_text('ref: pack\nversion: "1.0.0"\n')


def missing_entry_point(at: Path) -> None:
    write_pack(at, "pack")
    (at / "actions" / "greet.sh").unlink()


REFUSED: list[tuple[Callable[[Path], None], str, str]] = [
    (empty_folder, "manifest.missing", "empty"),
    (no_manifest, "manifest.missing", "pack.yaml"),
    (broken_yaml, "metadata.invalid_yaml", "pack.yaml"),
    (unquoted_version, "manifest.invalid_version", "quote"),
    (too_many_files, "limits.traversed_entries_exceeded", "20,000"),
    (not_utf8, "tree.name_not_utf8", "UTF-8"),
    (link_loop, "tree.link_loop", "one"),
    (link_out, "tree.link_escapes", "passwd"),
    (fifo, "tree.special_file", "pipe"),
    (no_testing, "testing.missing", "No testing configuration found in pack.yaml for pack 'pack'"),
    (missing_entry_point, "action.entrypoint", "greet.sh"),
]


@pytest.mark.parametrize(("make", "code", "says"), REFUSED, ids=[make.__name__ for make, *_ in REFUSED])
def test_bad_content_is_refused_with_its_reason(
    make: Callable[[Path], None], code: str, says: str, daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """The same code and the same words everywhere; fixing the folder is enough to go on."""
    daemon.start()
    make(tmp_path / "pack")
    dropped = (tmp_path / "pack").rename(daemon.packs / "pack")
    told = receiver.wait_for("pack.validation_failed", "pack").event["data"]
    assert code in [problem["code"] for problem in told["problems"]]
    receiver.wait_for("pack.rolled_back", "pack", reason="validation_failed", restored=None)
    why = daemon.cli("why", "pack")
    assert why.returncode == 1
    assert code in why.stdout
    assert says in why.stdout
    marker = daemon.packs / "pack.failed"
    daemon.wait_until(marker.exists, "the marker")
    assert says in marker.read_text()
    assert any(line["event"] == "pack.validation_failed" for line in daemon.logged())
    shutil.rmtree(dropped)
    write_pack(tmp_path / "fixed", "pack").rename(dropped)
    receiver.wait_for("pack.registered", "pack")
    daemon.wait_until(lambda: not marker.exists(), "the marker to go")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", ""),
        ("ref: My Pack", "manifest.invalid_ref"),
        ("version: new", "manifest.invalid_version"),
        ("dependencies: [core@newest]", "dependency.invalid_range"),
    ],
)
def test_a_pack_without_tests_is_told_so_with_all_else(
    said: str, code: str, daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """One refusal names all that is to be done, so that fixing it is enough."""
    daemon.start()
    missing_entry_point(tmp_path / "pack")
    manifest = {"ref": "ref: pack", "version": "version: 1.0.0", said.partition(":")[0]: said}
    (tmp_path / "pack" / "pack.yaml").write_text("\n".join(manifest.values()) + "\n")
    (tmp_path / "pack").rename(daemon.packs / "pack")
    told = receiver.wait_for("pack.validation_failed", "pack").event["data"]["problems"]
    assert {problem["code"] for problem in told} == {"testing.missing", "action.entrypoint", code} - {""}


@pytest.mark.parametrize(
    ("test", "reason", "says"),
    [
        ("yes 'a line that is printed for ever' | head -c 1100000000", "resource_limit", "output"),
        ("sleep 600", "timeout", "it did not end within 2 s"),
        ("echo 'Total Tests: 3'; echo 'Passed: 2'; echo 'Failed: 1'; exit 1", "failures", "2 of 3"),
        ("echo 'Total Tests: 0'; echo 'Passed: 0'; echo 'Failed: 0'", "no_tests", "no test"),
        ("kill -SEGV $$", "crash", "SIGSEGV"),
    ],
    ids=["prints a GiB", "never ends", "fails", "tests nothing", "crashes"],
)
def test_bad_suites_are_told_apart(
    test: str, reason: str, says: str, daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """What went wrong has a word of its own, and the daemon goes on with the next pack."""
    daemon.start()
    pack = write_pack(tmp_path / "pack", "pack", test=test)
    manifest = pack / "pack.yaml"
    manifest.write_text(manifest.read_text().replace("timeout: 20", "timeout: 2"))
    pack.rename(daemon.packs / "pack")
    told = receiver.wait_for("pack.test_failed", "pack").event["data"]
    assert told["reason"] == reason
    assert says.lower() in daemon.cli("why", "pack").stdout.lower()
    write_pack(tmp_path / "next", "next").rename(daemon.packs / "next")
    receiver.wait_for("pack.registered", "next")


def test_background_processes_are_ended_with_the_suite(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Of the first suite as of every other, passed or failed: what it left is gone, and that it left something is said
    in the event, in the log and by `packd why`; where it failed, beside the drop as well."""
    daemon.start()
    left_running = long_sleep()
    test = f"setsid sh -c 'touch up; exec {left_running}' >/dev/null 2>&1 & {until_exists('up')}"
    write_pack(tmp_path / "pack", "pack", test=test).rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    write_pack(tmp_path / "bad", "bad", test=f"{test}; exit 3").rename(daemon.packs / "bad")
    receiver.wait_for("pack.rolled_back", "bad")
    assert not running(left_running)
    left = "it left 1 process running, which packd killed"
    for ref, outcome in (("pack", "pack.test_passed"), ("bad", "pack.test_failed")):
        assert left in " ".join(receiver.wait_for(outcome, ref).event["data"]["notes"])
        (logged,) = [line for line in daemon.logged() if line["event"] == outcome and line["pack"] == ref]
        assert left in " ".join(logged["notes"])
        assert left in daemon.cli("why", ref).stdout
    assert left in (daemon.packs / "bad.failed").read_text()


def test_a_second_drop_with_the_same_ref_is_refused_until_the_first_is_gone(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """The first keeps it; the refusal names it; when it goes, the other one takes its place by itself."""
    daemon.start()
    first = write_pack(tmp_path / "one", "same").rename(daemon.packs / "one")
    receiver.wait_for("pack.registered", "same")
    write_pack(tmp_path / "two", "same", "2.0.0").rename(daemon.packs / "two")
    told = receiver.wait_for("pack.validation_failed", "same").event["data"]["problems"][0]
    assert told["code"] == "manifest.ref_taken"
    assert "'one'" in told["message"]
    assert "'one'" in daemon.cli("why", "two").stdout
    assert daemon.show("same")["active"]["version"] == "1.0.0"
    shutil.rmtree(first)
    daemon.wait_active("same", "2.0.0")


def test_a_refused_archive_answers_to_the_name_that_it_is_listed_by(daemon: Daemon, receiver: Receiver) -> None:
    """`packd list`, the event and the log all call it by the ref that it claims, and so may whoever asks why."""
    daemon.start()
    (daemon.packs / "zlie.zip").write_bytes(b"this is no archive")
    receiver.wait_for("pack.validation_failed", "zlie")
    for command in ("why", "show"):
        assert "zlie.zip" in daemon.cli(command, "zlie").stdout
    assert daemon.cli("why", "zlie").stdout == daemon.cli("why", "zlie.zip").stdout


def test_the_marker_tells_of_its_drop_also_where_a_pack_has_that_name(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """Asked for the pack one hears of the pack, and that the drop of its name was refused."""
    daemon.start()
    write_pack(tmp_path / "one", "emoji").rename(daemon.packs / "dup")
    receiver.wait_for("pack.registered", "emoji")
    write_pack(tmp_path / "two", "emoji", "2.0.0").rename(daemon.packs / "emoji")
    marker = daemon.packs / "emoji.failed"
    daemon.wait_until(marker.exists, "the marker")
    assert marker.read_text().startswith("What lies in 'emoji' was refused.")
    why = daemon.cli("why", "emoji")
    assert why.returncode == 0
    assert why.stdout.startswith("emoji#1 ")
    said = " ".join(why.stdout.split())
    assert "What lies in 'emoji' was refused: the pack 'emoji' is already here, in 'dup'" in said


def test_another_name_for_the_folder_is_allowed_and_said(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """The ref counts; the folder's name is only where it lies."""
    daemon.start()
    write_pack(tmp_path / "folder", "other").rename(daemon.packs / "folder")
    receiver.wait_for("pack.registered", "other")
    assert "folder" in daemon.cli("why", "other").stdout


def test_an_older_version_is_allowed_and_said(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """The digest is the identity; the version only a label."""
    daemon.start()
    dropped = write_pack(tmp_path / "pack", "pack", "2.0.0").rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    write_pack(dropped, "pack", "1.9.0")
    receiver.wait_for("pack.updated", "pack")
    assert "older than the active 2.0.0" in daemon.cli("why", "pack").stdout


def test_a_truncated_archive_waits_and_is_then_named(tmp_path: Path, receiver: Receiver) -> None:
    """Half an archive is waited for; after `longest_wait_s` it is a problem with a name."""
    from receiver import SECRET

    watch = {"quiet_ms": 100, "longest_wait_s": 2, "remove_grace_s": 0.5}
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}], watch=watch)
    daemon.start()
    try:
        write_pack(tmp_path / "pack", "pack")
        whole = Path(shutil.make_archive(str(tmp_path / "whole"), "zip", tmp_path / "pack")).read_bytes()
        target = daemon.packs / "pack.zip"
        target.write_bytes(whole[: len(whole) // 2])
        told = receiver.wait_for("pack.validation_failed").event["data"]["problems"][0]
        assert told["code"] == "archive.truncated"
        target.write_bytes(whole)
        receiver.wait_for("pack.registered", "pack")
    finally:
        daemon.kill()


def test_an_archive_starts_when_it_is_closed(tmp_path: Path, receiver: Receiver) -> None:
    """Its end is there for longer than the quiet time, and its writer still has it open: it may go on."""
    from receiver import SECRET

    daemon = Daemon(
        tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}], watch={"quiet_ms": 100}
    )
    daemon.start()
    try:
        write_pack(tmp_path / "pack", "pack")
        whole = Path(shutil.make_archive(str(tmp_path / "whole"), "zip", tmp_path / "pack")).read_bytes()
        with (daemon.packs / "pack.zip").open("wb") as archive:
            archive.write(whole)
            archive.flush()
            write_pack(daemon.packs / "other", "other")  # goes quiet later, and is carried out before
            receiver.wait_for("pack.registered", "other")
            assert receiver.types("pack") == []
            assert "still open in the program that writes it" in daemon.cli("why", "pack.zip").stdout
        receiver.wait_for("pack.registered", "pack")
    finally:
        daemon.kill()


def test_a_pack_that_is_written_to_all_the_time_is_refused_once(tmp_path: Path, receiver: Receiver) -> None:
    """Another file caught changing is no other refusal; what is said of it when asked is the latest."""
    from receiver import SECRET

    watch = {"quiet_ms": 100, "longest_wait_s": 0.3}
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}], watch=watch)
    pack = write_pack(tmp_path / "pack", "pack")
    files = [pack / f"data-{number}" for number in range(300)]
    for file in files:
        file.write_text("at rest")
    daemon.start()
    stop = threading.Event()

    def write() -> None:
        for number in count():
            if stop.is_set():
                return
            (daemon.packs / "pack" / files[number % len(files)].name).write_text(str(number))

    caught: set[str] = set()

    def several_caught() -> bool:
        caught.update(str(problem) for problem in daemon.show("pack")["problems"])
        return len(caught) > 2

    writer = threading.Thread(target=write)
    try:
        pack.rename(daemon.packs / "pack")
        receiver.wait_for("pack.registered", "pack")
        writer.start()
        refused = receiver.wait_for("pack.rolled_back", "pack", reason="validation_failed")
        daemon.wait_until(several_caught, "several files to be caught changing")
        stop.set()
        writer.join()
        receiver.wait_for("pack.updated", "pack", after=refused.event["seq"])
        types = [one.type for one in receiver.received if one.ref == "pack"]
        assert ("pack.rolled_back", "pack.validation_failed") not in pairwise(types)
    finally:
        stop.set()
        daemon.kill()


def test_an_archive_that_escapes_is_refused_by_name(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Nothing is written outside, and the member is named."""
    daemon.start()
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("pack.yaml", "ref: evil\n")
        archive.writestr("../../escaped", "gotcha")
    (tmp_path / "evil.zip").rename(daemon.packs / "evil.zip")
    told = receiver.wait_for("pack.validation_failed").event["data"]["problems"]
    assert any("escaped" in problem["message"] for problem in told)
    assert not list(tmp_path.rglob("escaped"))


def test_a_suite_sees_nothing_of_the_daemon(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """No variable of the daemon, no input, a home of its own, and a copy instead of the folder or the store."""
    daemon.start(env={"PLANTED_SECRET": "do-not-leak"})
    test = (
        'env; test -z "$PLANTED_SECRET" && test -z "$(cat)" && test "$HOME" != "/root" && '
        f"case $PWD in {daemon.packs}*|{daemon.state}/store*) exit 1;; esac; echo changed > pack.yaml"
    )
    pack = write_pack(tmp_path / "pack", "pack", test=test)
    before = (pack / "pack.yaml").read_text()
    pack.rename(daemon.packs / "pack")
    receiver.wait_for("pack.registered", "pack")
    assert (daemon.packs / "pack" / "pack.yaml").read_text() == before
    assert (daemon.state / "active" / "pack" / "pack.yaml").read_text() == before
    assert "do-not-leak" not in daemon.log.read_text()


def test_scripts_keep_their_shebang(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """A suite written in Python with a .sh name is still Python."""
    daemon.start()
    pack = write_pack(tmp_path / "pack", "pack")
    suite = pack / "tests" / "run_tests.sh"
    script(suite, "")
    suite.write_text("#!/usr/bin/env python3\nprint('Total Tests: 7\\nPassed: 7\\nFailed: 0')\n")
    pack.rename(daemon.packs / "pack")
    assert receiver.wait_for("pack.test_passed", "pack").event["data"]["tests"]["total"] == 7
