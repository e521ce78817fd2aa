"""Transactions of SQLite, on connections that are kept for the next one.

A file can't be lost as a server can, and its pages are read already. They are asked for dozens of times for every
revision, which is why they are no generators.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packd.registry.broken import NotOnDisk
from packd.registry.group_commit import GroupCommit
from packd.registry.prepared import Transaction, connect

if TYPE_CHECKING:
    import threading

    from sqlalchemy import Connection, Engine

BEGIN_WRITE: Final = "BEGIN IMMEDIATE"  # takes its lock at once: one that upgrades from reading loses updates silently
_BEGIN_READ: Final = "BEGIN"
_A_MOMENT_S: Final = 0.25  # several times what a disk needs that is well


class Kept:
    """The connections to one database: any number that read, and one that writes."""

    def __init__(self, *, reading: Engine, writing: Engine, one_writer: threading.Lock) -> None:
        self.one_writer = one_writer
        self.group: GroupCommit | None = None  # None: each commit flushes by itself
        self._reading = reading
        self._writing = writing
        self._idle: list[Connection] = []  # ready for the next reader, the one used last in front
        self._writer: Connection | None = None

    def read(self, *, durable: bool) -> Reading:
        """One consistent moment; see `Database.read`."""
        return Reading(self, durable=durable)

    def write(self, *, durable: bool) -> Writing:
        """One transaction; see `Database.write`."""
        return Writing(self, durable=durable)

    def close(self) -> None:
        """With the lock of the writer. Who still waits for the disk is waited for: the log goes with the last connection."""
        if self.group is not None:
            self.group.wait_for_all(None)
        for connection in (*self._idle, *([self._writer] if self._writer else [])):
            connection.close()
        self._idle, self._writer = [], None
        if self.group is not None:
            self.group.close()
            self.group = None

    def driver(self) -> Any:
        """One of the open connections, as the driver has it, with the lock of the writer; None when there is none."""
        kept = self._writer or next(iter(self._idle), None)
        return kept and kept.connection.driver_connection

    def reader(self) -> Connection:
        """Taken, until `give_back`."""
        try:
            return self._idle.pop()
        except IndexError:
            return connect(self._reading)

    def give_back(self, connection: Connection) -> None:
        self._idle.append(connection)

    def writer(self) -> Connection:
        """With the lock of the writer."""
        if self._writer is None:
            self._writer = connect(self._writing)
            self.group = _group_for(self._writer)
        return self._writer


class Reading:
    """What it shows is on the disk by the time that anybody is told; see `Database.read`."""

    def __init__(self, kept: Kept, *, durable: bool) -> None:
        self._kept = kept
        self._durable = durable
        self._connection = kept.reader()
        self._transaction = Transaction(self._connection, _BEGIN_READ)

    def __enter__(self) -> Connection:
        self._transaction.__enter__()
        return self._connection

    def __exit__(self, *failure: Any) -> None:
        try:
            self._transaction.__exit__(*failure)
        finally:
            self._kept.give_back(self._connection)
        if self._kept.group is not None:
            self._kept.group.wait_for_all(None if self._durable else _A_MOMENT_S)


class Writing:
    """The next writer does not wait while this one waits for the disk."""

    def __init__(self, kept: Kept, *, durable: bool) -> None:
        self._kept = kept
        self._durable = durable

    def __enter__(self) -> Connection:
        self._kept.one_writer.acquire()
        try:
            connection = self._kept.writer()
            self._transaction = Transaction(connection, BEGIN_WRITE)
            self._transaction.__enter__()
        except BaseException:
            self._kept.one_writer.release()
            raise
        return connection

    def __exit__(self, kind: type[BaseException] | None, *failure: Any) -> None:
        group = self._kept.group if self._durable and kind is None else None
        number = group.begin() if group is not None else 0
        try:
            self._transaction.__exit__(kind, *failure)
        except BaseException:
            with suppress(NotOnDisk):  # there is nothing of it that could be; others may be waiting for its number
                self._leave(group, number)
            raise
        self._leave(group, number)

    def _leave(self, group: GroupCommit | None, number: int) -> None:
        if group is not None:
            group.end()
        self._kept.one_writer.release()
        if group is not None:
            group.wait(number)


def _group_for(writer: Connection) -> GroupCommit | None:
    """From now on its commits leave the flushing to the group.

    None where there is no write-ahead log, as on some network file systems.
    """
    driver: Any = writer.connection.driver_connection
    _, _, file = driver.execute("PRAGMA database_list").fetchone()
    if not file or driver.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        return None
    driver.execute("PRAGMA synchronous=NORMAL")
    return GroupCommit(Path(file))
