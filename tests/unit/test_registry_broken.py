"""A database that can't be used now, or never again, and one that was never used: each is called what it is."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url, text

from packd import daemon, logs
from packd.cli.run import _run
from packd.config import Source, load
from packd.domain.failures import Code, Failure
from packd.domain.health import is_ready
from packd.flow.clock_sync import ClockWatch
from packd.flow.health import Health
from packd.registry import engine, queries
from packd.registry.backup import NotPackds, Unused, schema_of
from packd.registry.broken import DatabaseAway, DatabaseBroken, DatabaseUnusable, NotOnDisk
from packd.registry.database import Database
from packd.registry.rows import Drop
from tests.unit.registry_ground import Ground, made_ground

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096


def test_damage_is_a_sentence(tmp_path: Path) -> None:
    """For whoever asks, by either way, and in what is said of health: what it is and the way out, no SQL."""
    with made_ground("sqlite", tmp_path) as ground, ground.registry.write() as tx:
        for number in range(400):
            tx.save_drop(Drop(name=f"pack{number}" + 100 * "x", kind="folder"))
    database = Database(ground.url)
    database.prepare()
    damaged(tmp_path / "packd.db")
    registry = ground.another(database)
    with pytest.raises(DatabaseBroken) as prepared, registry.read() as connection:
        queries.all_drops(connection)
    with pytest.raises(DatabaseBroken) as plain, registry.read() as connection:
        connection.execute(text("SELECT count(*) FROM endpoints"))
    health = Health(registry=registry, clock_watch=ClockWatch())
    health.working()
    ailments = health.ailments()
    assert not is_ready(ailments)
    for said in (prepared.value.sentence, plain.value.sentence, ailments[0].sentence):
        assert "is damaged" in said
        assert "; stop packd, see what `packd db check` says, and `packd db restore FILE`" in said
        assert "SELECT" not in said
    database.close()
    with pytest.raises(DatabaseUnusable, match="is not a database, or is damaged"):
        Database(ground.url).prepare()


def damaged(file: Path) -> None:
    """All pages but the first, in which SQLite says of what kind the file is."""
    with file.open("r+b") as written:
        written.seek(PAGE)
        written.write(os.urandom(file.stat().st_size - PAGE))


def test_another_program_that_keeps_it_locked_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out, and it is used again when that has ended."""
    monkeypatch.setattr(engine, "_BUSY_TIMEOUT_S", 0.05)
    with made_ground("sqlite", tmp_path) as ground:
        with closing(sqlite3.connect(tmp_path / "packd.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseBroken, match=r"packd\.db is kept locked by another program \(") as locked:
                save(ground)
            assert "SQL" not in locked.value.sentence
        save(ground)


def save(ground: Ground) -> None:
    with ground.registry.write() as tx:
        tx.set_fact("name", "value")


def test_a_server_that_goes_away_is_a_sentence(tmp_path: Path) -> None:
    """Whoever was in the middle of something hears it, and the next one is served when it is back."""
    with made_ground("postgresql", tmp_path) as ground:
        with pytest.raises(DatabaseBroken, match=r"does not answer \(.*\); see that its server runs") as away:
            interrupted(ground)
        assert "SELECT" not in away.value.sentence
        save(ground)


def interrupted(ground: Ground) -> None:
    with ground.registry.read() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_a_server_that_was_never_there_is_a_sentence(tmp_path: Path) -> None:
    """Without the password."""
    database = Database(f"postgresql+psycopg://ada:hunter2@/packd?host={tmp_path}")
    with pytest.raises(DatabaseBroken, match="does not answer") as away, database.read():
        pass
    assert "hunter2" not in away.value.sentence
    database.close()


def test_a_server_that_may_come_is_told_from_one_that_refuses_for_good(tmp_path: Path) -> None:
    """A start waits for the first; the second is for somebody to put right, and at once."""
    away = Database(f"postgresql+psycopg://ada:hunter2@/packd?host={tmp_path}")
    with pytest.raises(DatabaseAway, match="can't be used"):
        away.occupy()
    with made_ground("postgresql", tmp_path) as ground:
        elsewhere = Database(str(make_url(ground.url).set(database="nowhere")))
        with pytest.raises(DatabaseUnusable, match='"nowhere" does not exist') as refused:
            elsewhere.occupy()
    assert not isinstance(refused.value, DatabaseAway)
    for database in (away, elsewhere):
        database.close()


@pytest.mark.parametrize(
    ("met", "said"),
    [
        (DatabaseAway("the database can't be used: connection refused"), "the database can't be used"),
        (NotOnDisk("packd.db", OSError(errno.EIO, "Input/output error")), "it is done, but the disk with the database"),
        (OSError(errno.ENFILE, "Too many open files in system"), "this machine has not enough for it at the moment"),
        (RuntimeError("can't start new thread"), "this machine has not enough for it at the moment"),
    ],
)
def test_what_may_pass_is_no_mistake_of_who_starts_packd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, met: Exception, said: str
) -> None:
    """By the exit status: with that of bad input a supervisor would not try again (RestartPreventExitStatus)."""

    def run(*_: object, **__: object) -> int:
        raise met

    monkeypatch.setattr(daemon, "run", run)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    settings = load(None, {}, {"packs_dir": tmp_path / "packs", "state_dir": tmp_path / "state"})
    with pytest.raises(Failure, match=f"can't start: {said}") as refused:
        _run(settings, once=False, source=Source(load=lambda: settings, file=None), scout=None)
    assert refused.value.code == Code.UNAVAILABLE


def test_a_failure_that_names_no_kind_of_damage_is_left_as_it_is(tmp_path: Path) -> None:
    """A mistake in a statement is packd's own, and needs to be found."""
    with (
        made_ground("sqlite", tmp_path) as ground,
        pytest.raises(Exception, match="syntax") as raised,
        ground.registry.read() as connection,
    ):
        connection.exec_driver_sql("SELEKT 1")
    assert not isinstance(raised.value, Failure)


def test_one_without_tables_has_not_been_used(tmp_path: Path) -> None:
    """As a first start leaves it that was killed at once; one with other tables is somebody else's."""
    (tmp_path / "packd.db").touch()
    with pytest.raises(Unused, match="is empty: packd had not begun to use it"):
        schema_of(tmp_path / "packd.db")
    with closing(sqlite3.connect(tmp_path / "packd.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        with pytest.raises(Unused):
            schema_of(tmp_path / "packd.db")
        connection.execute("CREATE TABLE theirs (a)")
    with pytest.raises(NotPackds, match="no database of packd's") as refused:
        schema_of(tmp_path / "packd.db")
    assert not isinstance(refused.value, Unused)
