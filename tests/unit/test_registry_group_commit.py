"""Durable commits of SQLite wait for the disk together, and nobody is shown what is not on it."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from packd.domain.deliveries import Outcome
from packd.flow.clock import Clock
from packd.flow.dispatch import Dispatcher
from packd.registry import engine, kept, outbox, queries
from packd.registry.broken import NotOnDisk
from packd.registry.rows import Delivery, Endpoint
from tests.unit.registry_ground import Ground, an_endpoint, discovered, made_ground
from tests.waiting import wait_until


class Disk:
    """Counts flushes of the log; holds them up, or fails, when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushes = 0
        self.fails = False
        self.is_quick = threading.Event()
        self.is_quick.set()
        self.asked = threading.Semaphore(0)  # one more for each flush that began
        self._flush = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        self.flushes += 1
        self.asked.release()
        assert self.is_quick.wait(30)
        if self.fails:
            raise OSError(errno.EIO, "the disk is broken")
        self._flush(descriptor)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with made_ground("sqlite", tmp_path) as made:
        yield made


@pytest.fixture
def disk(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def write(ground: Ground, name: str, *, durable: bool = True) -> None:
    with ground.registry.write(durable=durable) as tx:
        tx.set_fact(name, "1")


def test_a_commit_is_flushed_before_it_returns(ground: Ground, disk: Disk) -> None:
    """Once for each, when they come one at a time."""
    for number in range(1, 4):
        write(ground, f"f{number}")
        assert disk.flushes == number


def test_what_may_be_done_once_more_does_not_wait_for_the_disk(ground: Ground, disk: Disk) -> None:
    """Only that one: the next transaction is durable again."""
    write(ground, "soft", durable=False)
    assert disk.flushes == 0
    write(ground, "durable")
    assert disk.flushes == 1


def test_what_comes_to_nothing_is_not_flushed(ground: Ground, disk: Disk) -> None:
    """Nor does anything wait for it."""
    with pytest.raises(ZeroDivisionError), ground.registry.write() as tx:
        tx.set_fact("name", "1")
        raise ZeroDivisionError
    assert disk.flushes == 0
    with ground.registry.read() as connection:
        assert queries.fact(connection, "name") is None
    assert disk.flushes == 0


def test_commits_that_wait_are_flushed_together(ground: Ground, disk: Disk) -> None:
    """While the first is flushed, four more commit; one flush is enough for them."""
    disk.is_quick.clear()
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(write, ground, "first")
        assert disk.asked.acquire(timeout=30)
        others = [threads.submit(write, ground, f"f{number}") for number in range(4)]
        wait_until_written(ground, {f"f{number}" for number in range(4)})
        disk.is_quick.set()
        for one in (first, *others):
            one.result(30)
    assert disk.flushes == 2


def test_a_commit_is_not_told_before_it_is_on_the_disk(ground: Ground, disk: Disk) -> None:
    """Neither to those that listen nor to a reader, who could see it already."""
    disk.is_quick.clear()
    shown = []

    def read() -> None:
        with ground.registry.read(durable=True) as connection:
            found = queries.fact(connection, "name")
        shown.append(found)

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(write, ground, "name")
        assert disk.asked.acquire(timeout=30)
        wait_until_written(ground, {"name"})
        reading = threads.submit(read)
        with pytest.raises(TimeoutError):
            reading.result(0.05)
        assert not writing.done()
        disk.is_quick.set()
        writing.result(30)
        reading.result(30)
    assert shown == ["1"]


def test_while_a_disk_hangs_packd_still_answers(ground: Ground, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who only wants to see how things stand waits a moment, and is shown what nothing but a power cut would undo."""
    monkeypatch.setattr(kept, "_A_MOMENT_S", 0.01)
    disk.is_quick.clear()
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write, ground, "name")
        assert disk.asked.acquire(timeout=30)
        with ground.registry.read() as connection:
            assert queries.fact(connection, "name") == "1"
        assert not writing.done()
        disk.is_quick.set()
        writing.result(30)


def test_no_webhook_leaves_before_its_event_is_on_the_disk(
    ground: Ground, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver would know of something that never happened."""
    monkeypatch.setattr(kept, "_A_MOMENT_S", 0.01)
    courier = Noting()
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint())
    dispatcher = Dispatcher(registry=ground.registry, courier=courier, clock=Clock())
    dispatcher.turn()
    disk.asked = threading.Semaphore(0)
    disk.is_quick.clear()
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(say, ground)
        assert disk.asked.acquire(timeout=30)
        sending = threads.submit(dispatcher.turn)
        with pytest.raises(TimeoutError):
            sending.result(0.1)
        assert courier.left == []
        disk.is_quick.set()
        writing.result(30)
        sending.result(30)
    assert courier.left == [1]


class Noting:
    def __init__(self) -> None:
        self.left: list[int] = []

    def carry(self, _endpoint: Endpoint, delivery: Delivery, _done: Callable[[Delivery, Outcome], None]) -> None:
        self.left.append(delivery.endpoint_seq)


def say(ground: Ground) -> None:
    with ground.registry.write() as tx:
        tx.emit(discovered("core"), correlation_id="chg_1")


def test_nobody_waits_for_a_commit_that_failed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number is no one's."""
    leave = kept.Transaction.__exit__

    def refuse(transaction: kept.Transaction, kind: type[BaseException] | None, *failure: object) -> None:
        leave(transaction, ZeroDivisionError, *failure)
        if kind is None:
            raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(kept.Transaction, "__exit__", refuse)
        with pytest.raises(ZeroDivisionError):
            write(ground, "name")
    with ground.registry.read(durable=True) as connection:
        assert queries.fact(connection, "name") is None
    write(ground, "name")


def test_who_waits_for_the_disk_is_waited_for_at_the_end(ground: Ground, disk: Disk) -> None:
    """Closing takes the log away with it."""
    disk.is_quick.clear()
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(write, ground, "name")
        assert disk.asked.acquire(timeout=30)
        closing_it = threads.submit(ground.database.close)
        with pytest.raises(TimeoutError):
            closing_it.result(0.05)
        disk.is_quick.set()
        writing.result(30)
        closing_it.result(30)


def test_a_disk_that_fails_fails_every_commit_that_waited(ground: Ground, disk: Disk) -> None:
    """A second flush would say that all is well, and keep nothing of what the first one lost (fsync(2), EIO)."""
    disk.is_quick.clear()
    disk.fails = True
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(write, ground, "first")
        assert disk.asked.acquire(timeout=30)
        others = [threads.submit(write, ground, name) for name in ("second", "third")]
        wait_until_written(ground, {"second", "third"})
        disk.is_quick.set()
        for one in (first, *others):
            with pytest.raises(NotOnDisk, match=r"it is done, but .*packd\.db did not keep it \(the disk is broken\)"):
                one.result(30)
    assert disk.flushes == 2
    disk.fails = False
    write(ground, "fourth")
    with ground.registry.read() as connection:
        assert queries.fact(connection, "fourth") == "1"


def test_what_the_disk_did_not_keep_is_told_as_it_can_be_seen(ground: Ground, disk: Disk) -> None:
    """The transaction stands: who was not told of it would wait for the next one, be it a link, a marker or a webhook."""
    told: list[str] = []
    ground.registry.on_commit(lambda events: told.extend(event.type for event in events))
    disk.fails = True
    with pytest.raises(NotOnDisk):
        say(ground)
    assert told == ["pack.discovered"]
    with ground.registry.read() as connection:
        assert queries.last_seq(connection) == 1


def test_what_was_not_made_is_not_told_though_the_disk_fails_as_well(
    ground: Ground, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can see it, and its own failure is what is said."""
    told: list[str] = []
    ground.registry.on_commit(lambda events: told.extend(event.type for event in events))
    leave = kept.Transaction.__exit__

    def refuse(transaction: kept.Transaction, kind: type[BaseException] | None, *failure: object) -> None:
        leave(transaction, ZeroDivisionError, *failure)
        raise ZeroDivisionError

    disk.fails = True
    with monkeypatch.context() as patched:
        patched.setattr(kept.Transaction, "__exit__", refuse)
        with pytest.raises(ZeroDivisionError):
            say(ground)
    assert told == []
    disk.fails = False
    say(ground)
    assert told == ["pack.discovered"]


def test_without_a_log_each_commit_flushes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems can't have one."""
    monkeypatch.setattr(engine, "_write_ahead", lambda _: None)
    with made_ground("sqlite", tmp_path) as ground, ground.database.write() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["delete", 2]


def wait_until_written(ground: Ground, names: set[str]) -> None:
    """Looks with a connection of its own, which waits for nobody."""
    with closing(sqlite3.connect(str(ground.database._engine.url.database))) as connection:
        wait_until(lambda: names <= {name for (name,) in connection.execute("SELECT name FROM facts")})
