"""What the daemon has open in its state directory: noticed when it is not there any more, said once, held again."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from packd.flow import exclusive
from packd.flow.exclusive import AlreadyRunning, Lock, exclusively, holder
from packd.flow.foothold import Foothold
from packd.registry.database import Database, sqlite_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path))
    database.prepare()
    yield database
    database.close()


def test_another_daemon_on_the_same_server_is_said_once() -> None:
    """As long as it is so, packd is not ready."""
    said = iter((None, "two of us", "two of us", None))
    server = SimpleNamespace(displaced=lambda: None, keep_occupied=lambda: next(said))
    foothold = Foothold(database=cast("Database", server), lock=None)
    with capture_logs() as logged:
        ailments = [[ailment.sentence for ailment in foothold.ailments()] for _ in range(4) if not foothold.check()]
    assert ailments == [[], ["two of us"], ["two of us"], []]
    assert [(line["event"], line["detail"]) for line in logged] == [("database.shared", "two of us")]


def test_a_database_that_is_gone_is_said_once(database: Database, tmp_path: Path) -> None:
    """Until it is back; what is asked of health says it as long as it is so."""
    foothold = Foothold(database=database, lock=None)
    foothold.check()
    assert list(foothold.ailments()) == []
    (tmp_path / "packd.db").rename(tmp_path / "away")
    with capture_logs() as logged:
        foothold.check()
        foothold.check()
    (ailment,) = foothold.ailments()
    assert (ailment.part, ailment.grade) == ("database", "unready")
    assert [(line["event"], line["log_level"], line["detail"]) for line in logged] == [
        ("database.displaced", "error", ailment.sentence)
    ]
    (tmp_path / "away").rename(tmp_path / "packd.db")
    with capture_logs() as logged:
        foothold.check()
        foothold.check()
    assert [line["event"] for line in logged] == ["database.back"]
    assert list(foothold.ailments()) == []


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_that_was_removed_is_held_again(database: Database, tmp_path: Path, *, replaced: bool) -> None:
    """It is said once, and a second daemon is refused as before."""
    with exclusively(tmp_path) as lock:
        (tmp_path / "packd.lock").unlink()
        if replaced:
            (tmp_path / "packd.lock").touch()
        assert holder(tmp_path) is None
        foothold = Foothold(database=database, lock=lock)
        with capture_logs() as logged:
            foothold.check()
            foothold.check()
        assert [line["event"] for line in logged] == ["lock.made_again"]
        assert holder(tmp_path) == os.getpid()
        with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"), exclusively(tmp_path):
            pass
    assert holder(tmp_path) is None


def test_a_lock_that_another_has_taken(database: Database, tmp_path: Path) -> None:
    """Two on one state: said by both names, until one of them is gone."""
    with exclusively(tmp_path) as lock:
        (tmp_path / "packd.lock").unlink()
        foothold = Foothold(database=database, lock=lock)
        with exclusively(tmp_path), capture_logs() as logged:
            foothold.check()
            foothold.check()
            (ailment,) = foothold.ailments()
        assert [(line["event"], line["detail"]) for line in logged] == [("lock.lost", ailment.sentence)]
        assert ailment.grade == "unready"
        assert f"pid {os.getpid()}" in ailment.sentence
        foothold.check()
        assert list(foothold.ailments()) == []
        assert holder(tmp_path) == os.getpid()


def test_a_lock_that_is_removed_while_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was locked is not what lies there: nobody who starts next would find it."""
    locked, removed = exclusive._locked, []

    def removing(descriptor: int) -> bool:
        done = locked(descriptor)
        if not removed:
            removed.append((tmp_path / "packd.lock").unlink())
        return done

    monkeypatch.setattr(exclusive, "_locked", removing)
    with exclusively(tmp_path):
        assert holder(tmp_path) == os.getpid()


def test_whether_somebody_had_it_before(tmp_path: Path) -> None:
    """A lock is new where its file was not there."""
    for is_new in (True, False):
        with Lock(tmp_path) as lock:
            assert lock.is_new is is_new
    (tmp_path / "packd.lock").unlink()
    with Lock(tmp_path) as lock:
        assert lock.is_new
