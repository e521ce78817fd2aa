"""An embedded database whose files are removed or replaced while it is in use: noticed, said, nothing lost."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from packd.registry import queries
from packd.registry.backup import back_up
from packd.registry.database import Database, sqlite_url
from packd.registry.place import Displaced
from packd.registry.registry import Registry
from packd.registry.rows import Drop
from tests.unit.registry_ground import Ground, made_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """A registry in use: `before` is in it, and what reads and what writes is open."""
    with made_ground("sqlite", tmp_path) as made:
        save(made.registry, "before")
        yield made


def save(registry: Registry, name: str) -> None:
    with registry.write() as tx:
        tx.save_drop(Drop(name=name, kind="folder"))


def saved(registry: Registry) -> list[str]:
    with registry.read() as connection:
        return [drop.name for drop in queries.all_drops(connection)]


def found(folder: Path, file: str = "packd.db") -> list[str]:
    """What is in the file, for whoever opens it next."""
    with closing(sqlite3.connect(folder / file)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM drops ORDER BY name")]


def remove(folder: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        (folder / f"packd.db{suffix}").unlink()


@pytest.mark.parametrize("suffixes", [("", "-wal", "-shm"), ("",)])
def test_one_that_was_removed_is_written_again_at_the_end(
    ground: Ground, tmp_path: Path, suffixes: tuple[str, ...]
) -> None:
    """Said with the way out; what had a connection goes on; the next start finds all of it, before and since."""
    assert ground.database.displaced() is None
    remove(tmp_path, *suffixes)
    said = ground.database.displaced()
    assert said is not None
    assert "packd.db was removed while packd uses it" in said
    assert "; restart packd" in said
    save(ground.registry, "since")
    assert saved(ground.registry) == ["before", "since"]
    assert ground.database.close() == tmp_path / "packd.db"
    assert found(tmp_path) == ["before", "since"]


def test_none_is_made_in_its_place(ground: Ground, tmp_path: Path) -> None:
    """Neither by one reader more, nor by what is done now and then: that would be an empty one."""
    remove(tmp_path, "", "-wal", "-shm")
    with ground.registry.read(), pytest.raises(Displaced, match="was removed"), ground.registry.read():
        pass
    ground.database.optimise()
    assert not (tmp_path / "packd.db").exists()


def test_one_that_was_replaced_is_kept_beside(ground: Ground, tmp_path: Path) -> None:
    """The file that lies there is left as it is, and gets none of what was in the log of the other."""
    back_up(tmp_path / "packd.db", tmp_path / "copy.db")
    save(ground.registry, "since")
    (tmp_path / "copy.db").rename(tmp_path / "packd.db")
    said = ground.database.displaced()
    assert said is not None
    assert "is another file than the one that packd opened" in said
    kept = ground.database.close()
    assert kept is not None
    assert kept.name.startswith("packd.db.rescued-")
    assert found(tmp_path) == ["before"]
    assert found(tmp_path, kept.name) == ["before", "since"]


def test_a_log_that_was_removed_is_written_into_the_database(ground: Ground, tmp_path: Path) -> None:
    """Also while somebody else looks at it, who keeps SQLite from doing it by itself as it closes."""
    remove(tmp_path, "-wal")
    save(ground.registry, "since")
    said = ground.database.displaced()
    assert said is not None
    assert "packd.db-wal was removed" in said
    with closing(sqlite3.connect(tmp_path / "packd.db")) as other:
        other.execute("SELECT 1").fetchone()
        assert ground.database.close() is None
    assert found(tmp_path) == ["before", "since"]


def test_one_that_was_moved_and_is_back(ground: Ground, tmp_path: Path) -> None:
    """Nothing is wrong any more, and nothing is written at the end."""
    (tmp_path / "packd.db").rename(tmp_path / "away")
    assert ground.database.displaced() is not None
    (tmp_path / "away").rename(tmp_path / "packd.db")
    assert ground.database.displaced() is None
    assert ground.database.close() is None
    assert found(tmp_path) == ["before"]


def test_a_state_directory_that_is_gone(ground: Ground, tmp_path: Path) -> None:
    """It can't be written again: said, and closed even so."""
    folder = tmp_path / "state"
    folder.mkdir()
    database = Database(sqlite_url(folder))
    database.prepare()
    shutil.rmtree(folder)
    with pytest.raises(OSError, match="state"):
        database.close()
    assert not folder.exists()
