"""Copies of the embedded database: taken while it is in use, put back while it is not."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from packd.registry.flushing import flush

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIDECARS: Final = ("", "-wal", "-shm")  # what belongs to one database (sqlite.org/tempfiles.html)
_WAIT_S: Final = 30.0
_SHOWN: Final = 20  # of what an integrity check finds


class NotPackds(Exception):
    """The file is no database of packd's, or a damaged one; the message says which and what to do."""


class Unused(NotPackds):
    """It has no tables: packd was ended before it had made them, and makes them at its next start."""


def back_up(database: Path, target: Path) -> int:
    """Make `target` a copy of what is true in `database` at one moment, others may go on writing; returns its bytes.

    The copy is one file, checked, durable, readable by its owner only (it holds the secrets of endpoints), and appears
    whole or not at all. Raises NotPackds, OSError.
    """
    schema_of(database)
    with closing(_reading(database)) as source:
        return copy_of(source, database, target)


def copy_of(source: sqlite3.Connection, database: Path, target: Path) -> int:
    """`back_up` of what `source` has open, which was `database` and may not be found there any more."""
    descriptor, fresh = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(descriptor)
    copy = Path(fresh)
    try:
        with closing(_opened(copy)) as destination:
            source.backup(destination)
            destination.execute("PRAGMA journal_mode=DELETE")  # so that it needs no file beside it
        found = troubles_of(copy)
        if found:
            raise NotPackds(f"{database} is damaged ({found[0]}): restore an older backup of it")
        flush(copy)
        copy.replace(target)
        flush(target.parent)
        return target.stat().st_size
    except sqlite3.Error as failure:
        raise OSError(f"{database} can't be copied: {failure}") from failure
    finally:
        for sidecar in _SIDECARS:
            with suppress(FileNotFoundError):
                Path(f"{copy}{sidecar}").unlink()


def restore(backup: Path, database: Path, *, aside: Path) -> bool:
    """Put a copy of `backup` in the place of `database`; what was there is moved to `aside`. Was there anything?

    Nobody may use the database meanwhile. `backup` stays as it is. Raises NotPackds, OSError.
    """
    schema_of(backup)
    found = troubles_of(backup)
    if found:
        raise NotPackds(f"{backup} is damaged ({found[0]}): nothing was changed")
    fresh = database.with_name(f".{database.name}.restored")
    back_up(backup, fresh)
    was_there = database.exists()
    for sidecar in _SIDECARS:
        with suppress(FileNotFoundError):
            Path(f"{database}{sidecar}").rename(f"{aside}{sidecar}")
    fresh.replace(database)
    flush(database.parent)
    return was_there


def schema_of(database: Path) -> str:
    """The version of its schema. Raises NotPackds when it is none of packd's, OSError when it can't be read."""
    if not database.is_file():
        raise FileNotFoundError(2, "there is no such database", str(database))
    if not os.access(database, os.R_OK, effective_ids=True):  # SQLite would not say what keeps it from opening it
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(database))
    try:
        with closing(_reading(database)) as connection:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                raise Unused(
                    f"{database} is empty: packd had not begun to use it, and does when it starts next; "
                    "was it in use before, `packd db restore FILE` from the newest backup"
                )
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("SELECT count(*) FROM revisions").fetchone()
    except sqlite3.DatabaseError as failure:
        raise NotPackds(f"{database} is no database of packd's, or is damaged: {failure}") from failure
    if row is None:
        raise NotPackds(f"{database} does not say which schema it has")
    return str(row[0])


def troubles_of(database: Path) -> list[str]:
    """What SQLite finds wrong with it: damaged pages and indexes, rows without what they belong to."""
    try:
        with closing(_reading(database)) as connection:
            return list(_troubles(connection))[:_SHOWN]
    except sqlite3.DatabaseError as failure:
        return [str(failure)]


def _troubles(connection: sqlite3.Connection) -> Iterator[str]:
    for (said,) in connection.execute(f"PRAGMA integrity_check({_SHOWN})"):
        if said != "ok":
            yield str(said)
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} belongs to something in {parent} that is not there"


def _reading(database: Path) -> sqlite3.Connection:
    """Never makes one where there is none."""
    return sqlite3.connect(f"file:{quote(os.fspath(database))}?mode=ro", uri=True, timeout=_WAIT_S)


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_WAIT_S)
