"""One packd at a time on a database of PostgreSQL: two would each take for removed what only the other one sees.

It is a lock of the server's, held by a connection of its own; however packd ends, the server lets go of it. An embedded
database lies in a state directory, which has a lock.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from packd.registry.broken import DatabaseBroken

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_LOCK: Final = int.from_bytes(b"packd.1", "big")  # of the advisory locks, which are numbered per database
_AGAIN_S: Final = 0.1

# As who we are shown to whoever finds the lock taken; and the server notices within a minute that our machine is gone.
_SIGN: Final = text(
    "SELECT set_config('application_name', :name, false), set_config('tcp_keepalives_idle', '20', false), "
    "set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)"
)
_TRY: Final = text(f"SELECT pg_try_advisory_lock({_LOCK})")
_WHO: Final = text(
    "SELECT holder.application_name FROM pg_locks JOIN pg_stat_activity AS holder USING (pid) "  # noqa: S608
    "WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    f"AND classid = {_LOCK >> 32} AND objid = {_LOCK & 0xFFFFFFFF} "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_PING: Final = text("SELECT 1")


class Occupancy:
    """Of one database."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is held yet."""
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._held: Connection | None = None

    def take(self, patience_s: float = 0.0) -> str | None:
        """Returns who has it; None: we have. One that was killed can have it for a moment longer."""
        give_up_at = time.monotonic() + patience_s
        while (holder := self._try()) is not None and time.monotonic() < give_up_at:
            time.sleep(_AGAIN_S)
        return holder

    def keep(self) -> str | None:
        """The same, where our connection was lost, as when the server is started anew."""
        if self._held is not None and _answers(self._held):
            return None
        self.release()
        return self.take()

    def release(self) -> None:
        """Nothing happens when nothing is held."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _try(self) -> str | None:
        connection = self._engine.connect()
        connection.detach()  # closing it is to end it: what is given back to the pool keeps its locks
        try:
            connection.execute(_SIGN, {"name": f"packd (pid {os.getpid()} on {socket.gethostname()})"})
            if connection.execute(_TRY).scalar_one():
                self._held = connection
                return None
            return connection.execute(_WHO).scalar() or "packd"
        finally:
            if self._held is not connection:
                connection.close()


def _answers(connection: Connection) -> bool:
    try:
        connection.execute(_PING)
    except (DatabaseBroken, SQLAlchemyError):
        return False
    return True
