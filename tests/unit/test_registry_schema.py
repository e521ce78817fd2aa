"""The schema: one and the same however it came about, upgraded in one piece, never taken for another program's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from packd.domain.lifecycle import Phase
from packd.domain.manifest import Component
from packd.registry import conditions, migrations, outbox, queries
from packd.registry.backup import schema_of, troubles_of
from packd.registry.broken import DatabaseBroken, DatabaseUnusable
from packd.registry.database import Database, sqlite_url
from packd.registry.queries import outgoing
from packd.registry.schema import SchemaMismatch
from tests.unit.registry_ground import (
    KINDS,
    NEXT,
    a_revision,
    add,
    an_endpoint,
    discovered,
    made_ground,
    made_url,
    next_packd,
    postgresql,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.registry_ground import Ground

NOW = conditions.SCHEMA_VERSION


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    with made_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=KINDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """A registry on an empty, prepared database."""
    with made_ground(request.param, tmp_path, fresh=True) as ground:
        yield ground


def opened(url: str, request: pytest.FixtureRequest) -> Database:
    database = Database(url)
    request.addfinalizer(database.close)
    return database


def schema(database: Database) -> list[tuple[str, ...]]:
    """Everything that the database says of its own tables, names included; the order of clauses has no meaning."""
    with database.read() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.execute(text("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master"))
            return sorted((*row[:3], *sorted(_clauses(row[3]))) for row in rows)
        return sorted(tuple(map(str, row)) for query in _POSTGRESQL_SCHEMA for row in connection.execute(text(query)))


def _clauses(sql: str) -> list[str]:
    """A column that was added later stands on the line of the one before it."""
    return [clause.strip() for line in sql.splitlines() for clause in line.rstrip(", ").split(", ")]


_POSTGRESQL_SCHEMA = (
    "SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, '') "
    "FROM information_schema.columns WHERE table_schema = current_schema()",
    "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = current_schema()::regnamespace",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
)


def version(database: Database) -> str | None:
    with database.read() as connection:
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found


# --- one schema ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_make_the_same_schema(kind: str, tmp_path: Path) -> None:
    """Whether made at once or by every migration in turn, it is the same to the last name."""
    (tmp_path / "other").mkdir()
    with made_ground(kind, tmp_path, fresh=True) as at_once, made_url(kind, tmp_path / "other") as url:
        in_turn = Database(url)
        with in_turn.write() as connection:
            migrations.upgrade(connection, to=conditions.SCHEMA_VERSION)
        assert schema(in_turn) == schema(at_once.database)
        assert version(in_turn) == version(at_once.database) == conditions.SCHEMA_VERSION
        in_turn.close()


def test_the_comparison_sees_a_difference(ground: Ground) -> None:
    """A schema with one index more is another one, or the test above would hold nothing."""
    before = schema(ground.database)
    with ground.database.write() as connection:
        connection.execute(text("CREATE INDEX more ON packs (path) WHERE drop_name IS NULL"))
    assert schema(ground.database) != before


def test_preparing_again_changes_nothing(ground: Ground) -> None:
    """Every start prepares; what is there stays."""
    ground.add(a_revision("core"))
    before = schema(ground.database)
    ground.database.prepare()
    assert schema(ground.database) == before
    with ground.registry.read() as connection:
        assert queries.pack(connection, "core") is not None


def test_two_that_prepare_at_once_make_one_schema(url: str, request: pytest.FixtureRequest) -> None:
    """Whoever comes second finds it made."""
    databases = [opened(url, request) for _ in range(4)]
    failures: list[BaseException] = []

    def prepare(database: Database) -> None:
        try:
            database.prepare()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=prepare, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert version(databases[0]) == conditions.SCHEMA_VERSION


# --- upgrading -------------------------------------------------------------------------------------------------------


def test_a_newer_schema_is_refused(ground: Ground) -> None:
    """An older packd must not write into what it does not understand; it says by which one and what to do."""
    with ground.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(SchemaMismatch, match=rf"schema 0999.*up to {conditions.SCHEMA_VERSION}.*newer one"):
        ground.database.prepare()
    assert version(ground.database) == "0999"


def test_an_upgrade_belongs_to_the_callers_transaction(url: str, request: pytest.FixtureRequest) -> None:
    """Nothing commits behind our back: what the caller rolls back was never made."""
    database = opened(url, request)

    class Interrupted(Exception):
        pass

    with pytest.raises(Interrupted), database.write() as connection:
        migrations.upgrade(connection, to=NOW)
        assert inspect(connection).has_table("revisions")
        raise Interrupted
    assert schema(database) == []


def with_history(ground: Ground) -> None:
    """A revision and what hangs on it."""
    part = Component(kind="action", ref="core.echo", label="Echo", path="actions/echo.yaml")
    with ground.registry.write() as tx:
        active = tx.activate(add(tx, a_revision("core", phase=Phase.TESTED)), None, reason="registered", actor="watch")
        tx.set_components(active, (part,))


@pytest.mark.parametrize("recreate", ["auto", "always"])
def test_an_older_schema_is_upgraded_with_its_rows(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recreate: str
) -> None:
    """Making a table anew must not take along what hangs on its rows by CASCADE."""
    with_history(ground)
    next_packd(tmp_path, monkeypatch, recreate=recreate if ground.url.startswith("sqlite") else "auto")
    ground.database.prepare()
    assert version(ground.database) == NEXT
    with ground.registry.read() as connection:
        assert connection.execute(text("SELECT colour FROM revisions")).scalars().all() == ["red"]
        assert queries.component_counts(connection, "core", 1) == {"action": 1}
        assert len(queries.activation_history(connection, "core")) == 1


def test_after_an_upgrade_belonging_is_enforced_again(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreign keys are off for the upgrade only."""
    next_packd(tmp_path, monkeypatch)
    ground.database.prepare()
    with pytest.raises(IntegrityError), ground.database.write() as connection:
        connection.execute(text("INSERT INTO activations VALUES (1, 'nobody', 1, 'd', NULL, 'updated', 'a', 'now')"))


@pytest.mark.parametrize("last", ["raise ValueError", 'op.execute("DELETE FROM packs")'])
def test_an_upgrade_that_fails_changes_nothing(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """All of it or nothing, also when it leaves rows without what they belong to."""
    with_history(ground)
    before = schema(ground.database)
    next_packd(tmp_path, monkeypatch, last=last)
    with pytest.raises((ValueError, RuntimeError, IntegrityError)):
        ground.database.prepare()
    assert schema(ground.database) == before
    assert version(ground.database) == NOW
    ground.add(a_revision("core", 2))  # and the database works on


@pytest.mark.parametrize("last", ["pass", "raise ValueError"])
def test_a_copy_of_the_older_schema_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """Beside the database, whole, with the old schema and its rows, whether the upgrade ends well or not."""
    with made_ground("sqlite", tmp_path, fresh=True) as ground:
        with_history(ground)
        next_packd(tmp_path, monkeypatch, last=last)
        copy = Path(f"{ground.url.removeprefix('sqlite:///')}.schema-{NOW}")
        if last == "pass":
            assert ground.database.prepare() == copy
            assert ground.database.prepare() is None
        else:
            with pytest.raises(ValueError):
                ground.database.prepare()
        assert schema_of(copy) == NOW
        assert troubles_of(copy) == []
        before = Database(f"sqlite:///{copy}")
        with before.read() as connection:
            assert queries.component_counts(connection, "core", 1) == {"action": 1}
        before.close()


def test_without_a_copy_nothing_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, for one, stops the upgrade before it begins."""
    with made_ground("sqlite", tmp_path, fresh=True) as ground:
        next_packd(tmp_path, monkeypatch)
        Path(f"{ground.url.removeprefix('sqlite:///')}.schema-{NOW}").mkdir()
        with pytest.raises(DatabaseUnusable, match=rf"older schema {NOW}, and no copy.*nothing was changed"):
            ground.database.prepare()
        assert version(ground.database) == NOW


def test_a_newer_schema_is_not_copied(tmp_path: Path) -> None:
    """It is refused, and left alone."""
    with made_ground("sqlite", tmp_path, fresh=True) as ground:
        with ground.database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
        with pytest.raises(SchemaMismatch):
            ground.database.prepare()
    assert list(tmp_path.rglob("*.schema-*")) == []


# --- what is not ours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["events", "alembic_version"])
def test_a_database_of_another_program_is_refused(url: str, request: pytest.FixtureRequest, table: str) -> None:
    """Tables of the same name are not taken for our own."""
    database = opened(url, request)
    with database.write() as connection:
        connection.execute(text(f"CREATE TABLE {table} (version_num VARCHAR(32), other INTEGER)"))
    with pytest.raises(DatabaseUnusable, match=f"{table}.*database of its own"):
        database.prepare()


def test_a_file_that_is_no_database_is_named(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The message says which file and what to do."""
    (tmp_path / "packd.db").write_text("once upon a time " * 200)
    with pytest.raises(DatabaseUnusable, match=r"packd\.db is not a database.*backup"):
        opened(sqlite_url(tmp_path), request).prepare()


def test_a_missing_folder_is_named(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The message says which file can't be opened."""
    with pytest.raises(DatabaseUnusable, match=r"packd\.db can't be used.*unable to open"):
        opened(sqlite_url(tmp_path / "nowhere"), request).prepare()


def test_a_server_that_does_not_let_us_says_what_is_missing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Without any SQL: no right to make tables, as newer servers give only to the owner of a database; tables of somebody
    else, as a restored copy has them; and such that may only be read."""
    server = postgresql()
    server.execute("DROP ROLE IF EXISTS guest")
    server.execute("CREATE ROLE guest LOGIN")
    with made_url("postgresql", tmp_path) as url:
        own, guests = (opened(one, request) for one in (url, url.replace("//postgres@", "//guest@")))

        def said() -> str:
            with pytest.raises((DatabaseUnusable, DatabaseBroken), match="ALTER DATABASE") as refused:
                guests.prepare()
                with guests.write() as connection:
                    connection.execute(text("DELETE FROM facts"))
            assert "SELECT" not in str(refused.value)
            return str(refused.value).partition("permission denied for ")[2].split(";")[0].rstrip(")")

        assert said() == "schema public"
        own.prepare()
        assert said() == "table alembic_version"
        with own.write() as connection:
            connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest"))
        assert said() == "table facts"
        guests.close()
        own.close()


def test_a_server_that_does_not_answer_is_named_without_its_password(request: pytest.FixtureRequest) -> None:
    """Who reads the log learns where it tried, and no secret."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    with pytest.raises(DatabaseUnusable, match=r"postgres:\*+@.*can't be used") as failure:
        opened("postgresql+psycopg://postgres:hunter22@localhost:1/packd", request).prepare()
    assert "hunter22" not in str(failure.value)


@pytest.mark.parametrize("bad", ["nonsense", "mysql://here/packd", "postgres://here/packd"])
def test_an_address_that_is_none_says_how_to_write_one(bad: str) -> None:
    """Only these two databases, and how the address of the second is written."""
    with pytest.raises(DatabaseUnusable, match=r"postgresql\+psycopg://USER"):
        Database(bad)


# --- the rules in it -------------------------------------------------------------------------------------------------


def refuse(ground: Ground, statement: str) -> None:
    with pytest.raises(IntegrityError), ground.database.write() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE revisions SET phase = 'testing'",
        "UPDATE revisions SET number = 0",
        "UPDATE activations SET reason = 'why not'",
        "DELETE FROM packs",
        "DELETE FROM revisions",
    ],
)
def test_the_schema_refuses_what_can_never_be(ground: Ground, statement: str) -> None:
    """No code path can forget the rules that are in the schema: words of a closed list, rows that belong to others."""
    with_history(ground)
    refuse(ground, statement)


def test_partial_indexes_serve_the_questions_of_every_revision(tmp_path: Path) -> None:
    """A condition asked in other words than the index has would be a look at every row."""
    with made_ground("sqlite", tmp_path) as ground, ground.registry.read() as connection:
        plans = {name: plan(connection, name, sql) for name, sql in _ASKED.items()}
    assert plans == dict.fromkeys(_ASKED, True), plans


def plan(connection: Connection, index: str, condition: str) -> Any:
    steps = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT * FROM {condition}")).all()
    return any(index in step[3] for step in steps) or steps


_ASKED = {
    "one_active_revision": f"revisions WHERE ref = 'a' AND {conditions.IS_ACTIVE}",
    "one_candidate": f"revisions WHERE {conditions.IS_CANDIDATE}",
    "ix_revisions_needy": f"revisions INDEXED BY ix_revisions_needy WHERE {conditions.IS_ACTIVE_WITH_NEEDS}",
    "ix_revisions_waiting": f"revisions WHERE {conditions.IS_WAITING}",
    "ix_drops_ref": "drops WHERE ref = 'a' ORDER BY name",
    "ix_packs_path": "packs WHERE path = 'a' AND ref <> 'b'",
    "ix_deliveries_pending": f"deliveries WHERE endpoint = 'a' AND lane = 'b' AND {conditions.IS_PENDING}",
}


@pytest.mark.parametrize("made_last", ["ix_revisions_needy", "one_active_revision"])
def test_who_needs_others_is_found_without_reading_all_that_is_in_use(tmp_path: Path, made_last: str) -> None:
    """Whichever index was made last: they are made in any order, and SQLite would take the newer one."""
    asked: list[str] = []
    with made_ground("sqlite", tmp_path, fresh=True) as ground, ground.database.write() as connection:
        (made,) = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": made_last}
        ).one()
        connection.execute(text(f"DROP INDEX {made_last}"))
        connection.execute(text(made))
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(asked.append)
        queries.active_with_needs(connection)
        driver.set_trace_callback(None)
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}").all()
    assert [step[3] for step in steps] == ["SCAN revisions USING INDEX ix_revisions_needy"]


@pytest.mark.parametrize("analysed", [False, True])
def test_what_holds_up_a_lane_is_found_without_reading_the_lane(tmp_path: Path, analysed: bool) -> None:
    """Reading ahead a long lane would else take longer for each delivery than for the one before it."""
    asked = {
        outgoing._WAITING: ("ix_deliveries_waiting", "ix_deliveries_later"),
        outgoing._SOONEST: ("ix_deliveries_soonest",),
    }
    with made_ground("sqlite", tmp_path) as ground:
        with ground.registry.write() as tx:
            outbox.save_endpoint(tx.connection, an_endpoint())
            for _ in range(300):
                tx.emit(discovered("a"), correlation_id="chg_1")
            tx.connection.execute(text("UPDATE deliveries SET next_attempt_at_s = 9 WHERE endpoint_seq % 100 = 7"))
            if analysed:
                tx.connection.execute(text("ANALYZE"))
        with ground.registry.read() as connection:
            for question, indexes in asked.items():
                compiled = question._statement.compile(connection)
                given = compiled.params | {"name": "ops", "after": 0, "now": 1.0, "most": 5}
                values = tuple(given[name] for name in compiled.positiontup)
                steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values).all()
                searches = [step[3] for step in steps if "SEARCH" in step[3]]
                assert [index for index, step in zip(indexes, searches, strict=True) if index not in step] == [], steps


def test_opening_with_another_engine_shows_plain_text(tmp_path: Path) -> None:
    """What is in the file can be read by anything that reads SQLite."""
    with made_ground("sqlite", tmp_path) as ground:
        ground.add(a_revision("core"))
    engine = create_engine(sqlite_url(tmp_path))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT ref, phase FROM revisions")).all() == [("core", "snapshotted")]
    engine.dispose()
