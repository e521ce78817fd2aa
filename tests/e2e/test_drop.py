"""The daemon's main job, seen from outside: drop, break, fix, remove, and what a webhook consumer is told of it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from daemon import Daemon
from packs import script, write_pack
from receiver import Receiver

from tests.waiting import until_exists


def drop(source: Path, daemon: Daemon) -> Path:
    """One rename, as a careful person does it."""
    return source.rename(daemon.packs / source.name)


def test_a_dropped_pack_becomes_active_and_the_consumer_is_told(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """Drop → tested → active → webhook, with the link to the exact content."""
    daemon.start()
    drop(write_pack(tmp_path / "hello", "hello"), daemon)
    told = receiver.wait_for("pack.registered", "hello").event
    assert receiver.types("hello") == ["pack.discovered", "pack.test_passed", "pack.registered"]
    assert told["data"]["components"] == {"actions": 1}
    assert told["data"]["pack"]["revision"] == 1
    link = daemon.state / "active" / "hello"
    assert (link / "pack.yaml").read_text() == (daemon.packs / "hello" / "pack.yaml").read_text()
    assert daemon.show("hello")["status"] == "active"


def test_a_broken_change_is_rolled_back_and_a_fix_goes_through(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """The old revision stays in use, the folder says why, and fixing it is enough."""
    daemon.start()
    dropped = drop(write_pack(tmp_path / "hello", "hello"), daemon)
    receiver.wait_for("pack.registered", "hello")

    script(dropped / "tests" / "run_tests.sh", "echo 'the greeting is missing' >&2; exit 1")
    told = receiver.wait_for("pack.rolled_back", "hello").event["data"]
    assert told["reason"] == "tests_failed"
    assert told["restored"]["revision"] == 1
    failed = receiver.wait_for("pack.test_failed", "hello").event["data"]
    assert "the greeting is missing" in failed["output_tail"]
    marker = daemon.packs / "hello.failed"
    daemon.wait_until(marker.exists, "the marker")
    assert "the greeting is missing" in marker.read_text()
    assert daemon.show("hello")["active"]["number"] == 1
    why = daemon.cli("why", "hello")
    assert why.returncode == 1
    assert "hello#1 (version 1.0.0) stays in use" in why.stdout

    write_pack(dropped, "hello", "1.1.0")
    updated = receiver.wait_for("pack.updated", "hello").event["data"]["pack"]
    assert updated["version"] == "1.1.0"
    assert updated["previous"]["revision"] == 1
    daemon.wait_until(lambda: not marker.exists(), "the marker to go")


def test_a_removed_pack_is_unregistered_and_its_reports_stay(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """Gone from the folder for the time of grace is gone from use, not from history."""
    daemon.start()
    dropped = drop(write_pack(tmp_path / "hello", "hello"), daemon)
    receiver.wait_for("pack.registered", "hello")
    shutil.rmtree(dropped)
    told = receiver.wait_for("pack.unregistered", "hello").event["data"]
    assert told["reason"] == "removed"
    assert told["last"]["revision"] == 1
    assert not (daemon.state / "active" / "hello").exists()
    assert "1 of 1 passed" in daemon.cli("tests", "hello").stdout or daemon.cli("tests", "hello").returncode == 0


def test_an_operator_rolls_back_and_a_rescan_does_not_undo_it(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """What a person withdrew comes back only by changed content or by a retry."""
    daemon.start()
    dropped = drop(write_pack(tmp_path / "hello", "hello"), daemon)
    receiver.wait_for("pack.registered", "hello")
    write_pack(dropped, "hello", "2.0.0")
    receiver.wait_for("pack.updated", "hello")

    answer = daemon.cli("rollback", "hello")
    assert answer.returncode == 0, answer.stderr
    told = receiver.wait_for("pack.rolled_back", "hello").event["data"]
    assert told["reason"] == "operator"
    assert (told["failed"]["revision"], told["restored"]["revision"]) == (2, 1)
    os.utime(dropped / "pack.yaml")  # the same content again
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.show("hello")["active"]["number"] == 1

    assert daemon.cli("retry", "hello").returncode == 0
    daemon.wait_active("hello", "2.0.0")


def test_dependencies_wait_and_go_on_by_themselves(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Whoever is dropped first, the needed pack goes first."""
    daemon.start()
    drop(write_pack(tmp_path / "slack", "slack", needs='"core@>=1.2"'), daemon)
    waiting = receiver.wait_for("pack.waiting", "slack").event["data"]
    assert waiting["missing"] == [{"ref": "core", "version": ">=1.2"}]
    assert "waits for other packs" in daemon.cli("why", "slack").stdout
    drop(write_pack(tmp_path / "core", "core", "1.2.0"), daemon)
    core = receiver.wait_for("pack.registered", "core").event
    receiver.wait_for("pack.registered", "slack", after=core["seq"])

    write_pack(daemon.packs / "core", "core", "1.0.0")
    refused = receiver.wait_for("pack.validation_failed", "core").event["data"]
    assert refused["problems"][0]["code"] == "dependency.breaks_dependent"
    assert "slack" in refused["problems"][0]["message"]
    assert daemon.show("core")["active"]["version"] == "1.2.0"


def test_packs_that_need_each_other_become_active_together(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Together or not at all: one that fails holds up the other, and its fix releases both."""
    daemon.start()
    drop(write_pack(tmp_path / "left", "left", needs="right"), daemon)
    right = drop(write_pack(tmp_path / "right", "right", needs="left", test="exit 3"), daemon)
    receiver.wait_for("pack.rolled_back", "right")
    assert "pack.registered" not in receiver.types("left")
    write_pack(right, "right", "1.0.1", needs="left")
    first = receiver.wait_for("pack.registered", "left").event["seq"]
    second = receiver.wait_for("pack.registered", "right").event["seq"]
    assert abs(first - second) == 1

    def carried() -> set[str]:
        return {line["pack"] for line in daemon.logged()
                if line["event"] == "revision.carried" and line["phase"] == "active"}  # fmt: skip

    daemon.wait_until(lambda: carried() == {"left", "right"}, "a line of its own for each of the two")


def test_going_back_must_not_break_another_pack(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Refused with the dependent named; --force does it, and `why` of the dependent says what it lacks."""
    daemon.start()
    core = drop(write_pack(tmp_path / "core", "core", "1.0.0"), daemon)
    receiver.wait_for("pack.registered", "core")
    write_pack(core, "core", "2.0.0")
    receiver.wait_for("pack.updated", "core")
    drop(write_pack(tmp_path / "slack", "slack", needs='"core@>=2"'), daemon)
    receiver.wait_for("pack.registered", "slack")

    refused = daemon.cli("rollback", "core")
    assert refused.returncode == 1
    assert "the active pack 'slack' needs core >=2" in refused.stderr
    assert "--force" in refused.stderr
    assert daemon.show("core")["active"]["version"] == "2.0.0"

    assert daemon.cli("rollback", "core", "--force").returncode == 0
    assert daemon.show("core")["active"]["version"] == "1.0.0"
    assert "slack#1 needs core >=2, but version 1.0.0 is in use" in daemon.cli("why", "slack").stdout


def test_restore_puts_the_last_good_content_back(tmp_path: Path, receiver: Receiver) -> None:
    """`rollback.folder: restore`: the folder has what is in use, what failed is kept beside."""
    from receiver import SECRET

    daemon = Daemon(
        tmp_path,
        webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}],
        rollback={"folder": "restore"},
    )
    daemon.start()
    try:
        dropped = drop(write_pack(tmp_path / "hello", "hello"), daemon)
        receiver.wait_for("pack.registered", "hello")
        script(dropped / "tests" / "run_tests.sh", "exit 1")
        receiver.wait_for("pack.rolled_back", "hello")
        kept = daemon.packs / ".packd-failed" / "hello-2" / "tests" / "run_tests.sh"
        daemon.wait_until(
            lambda: any(line["event"] == "drop.restored" for line in daemon.logged()), "it to be restored"
        )
        assert "exit 1" in kept.read_text()
        assert "exit 0" in (dropped / "tests" / "run_tests.sh").read_text()
        assert daemon.stop() == 0
        daemon.start()
        assert daemon.show("hello")["latest"]["number"] == 2, "the restored content was taken for a change"
        assert daemon.show("hello")["active"]["number"] == 1
    finally:
        daemon.kill()


def test_restore_leaves_what_is_still_being_written(tmp_path: Path, receiver: Receiver) -> None:
    """What failed is not in the folder any more when it fails: the fix that is being written there is, and stays."""
    from receiver import SECRET

    daemon = Daemon(
        tmp_path,
        webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET, "types": ["pack.*", "pack.test_started"]}],
        rollback={"folder": "restore"},
        watch={"quiet_ms": 1500},
        tests={"isolation": "basic"},  # the suite has to see a file out here
    )
    go = tmp_path / "go"
    daemon.start()
    try:
        dropped = drop(write_pack(tmp_path / "hello", "hello"), daemon)
        first = receiver.wait_for("pack.registered", "hello").event["seq"]
        write_pack(dropped, "hello", "2.0.0", test=f"{until_exists(go)}; exit 1")
        receiver.wait_for("pack.test_started", "hello", after=first)
        write_pack(dropped, "hello", "3.0.0")
        go.touch()
        written = 0
        while "pack.rolled_back" not in receiver.types("hello") or written < 30:
            (dropped / f"{written}.txt").touch()
            written += 1
            time.sleep(0.1)  # as fast as somebody copies; slower than the daemon looks
        fixed = receiver.wait_for("pack.updated", "hello").event["data"]["pack"]
        assert fixed["version"] == "3.0.0"
        assert len(list(dropped.glob("*.txt"))) == written
        in_use = daemon.state / "active" / "hello"
        daemon.wait_until(lambda: len(list(in_use.glob("*.txt"))) == written, "all of it to be in use")
        assert not (daemon.packs / ".packd-failed").exists()
    finally:
        daemon.kill()


def test_what_is_still_being_written_is_not_denied(tmp_path: Path) -> None:
    """Whoever asks why is told what is waited for, for a new drop and for new content of a pack; of no other name."""
    daemon = Daemon(tmp_path, watch={"quiet_ms": 60_000, "longest_wait_s": 600})
    daemon.start()

    def why(name: str) -> str:
        answer = daemon.cli("why", name)
        return " ".join((answer.stdout + answer.stderr).split())

    try:
        drop(write_pack(tmp_path / "hello", "hello"), daemon)  # one rename: nothing to wait for
        daemon.wait_active("hello", "1.0.0")
        write_pack(daemon.packs / "slow", "slow")
        write_pack(daemon.packs / "hello", "hello", "2.0.0")
        waits = "is still being written to: it is read when nothing was written for 60 s."
        daemon.wait_until(lambda: why("slow") == f"'slow' lies in the packs directory and {waits}", "the new drop")
        daemon.wait_until(lambda: f"What lies there {waits}" in why("hello"), "the new content")
        assert "hello#1 (version 1.0.0) is active" in why("hello")
        assert daemon.cli("why", "slow").returncode == 1
        assert "slow' lies in the packs directory" in daemon.cli("show", "slow").stderr
        (daemon.packs / "notes.txt").touch()
        assert "'notes.txt' lies in the packs directory and is a file, and no archive" in why("notes.txt")
        for name in ("nobody", "..", "slow.failed", "x" * 300):
            assert "no pack is called" in why(name)
    finally:
        daemon.stop()


def test_once_reconciles_and_says_whether_all_is_in_use(daemon: Daemon, receiver: Receiver) -> None:
    """Exit 0 when everything dropped is active, 1 when something is not; the webhooks are told all the same."""
    write_pack(daemon.packs / "good", "good")
    assert daemon.once() == 0
    receiver.wait_for("pack.registered", "good")
    write_pack(daemon.packs / "bad", "bad", test="exit 1")
    assert daemon.once() == 1
    receiver.wait_for("pack.rolled_back", "bad")


def test_once_names_what_is_not_in_use_and_says_why_each_time(daemon: Daemon) -> None:
    """Also when nothing has changed since it was found out."""
    write_pack(daemon.packs / "good", "good")
    write_pack(daemon.packs / "bad", "bad", test="exit 1")
    assert [daemon.once(), daemon.once()] == [1, 1]
    said = [line for line in daemon.logged() if line["event"] == "drop.not_in_use"]
    assert [line["drop"] for line in said] == ["bad", "bad"]
    assert said[0] == {**said[1], "timestamp": said[0]["timestamp"]}
    assert "did not pass its own tests" in said[1]["why"]
    assert any("exit status 1" in line for line in said[1]["details"]), said[1]["details"]


def test_every_delivery_is_in_order_and_without_a_gap(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """`endpoint_seq` counts what this endpoint was sent; per pack the order is the order of events."""
    daemon.start()
    for number in range(6):
        drop(write_pack(tmp_path / f"p{number}", f"p{number}"), daemon)
    for number in range(6):
        receiver.wait_for("pack.registered", f"p{number}")
    numbers = sorted(one.event["endpoint_seq"] for one in receiver.received)
    assert numbers == list(range(1, len(numbers) + 1))
    for number in range(6):
        seqs = [one.event["seq"] for one in receiver.received if one.ref == f"p{number}"]
        assert seqs == sorted(seqs)


def test_a_receiver_that_was_away_gets_everything_when_it_is_back(
    daemon: Daemon, receiver: Receiver, tmp_path: Path
) -> None:
    """A failed attempt is tried again with the same bytes; what follows it for the same pack waits."""
    answers = iter([500])
    receiver.answer = lambda _: next(answers, 204)
    daemon.start()
    drop(write_pack(tmp_path / "hello", "hello"), daemon)
    receiver.wait_for("pack.registered", "hello")
    assert receiver.types("hello") == ["pack.discovered", "pack.test_passed", "pack.registered"]
