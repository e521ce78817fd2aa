"""No room for the database, told apart from all else that a driver complains of."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

# The second: the file over which the users of a write-ahead log agree can't be made as large as it has to be.
_SQLITE_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_POSTGRESQL_FULL: Final = "53100"  # SQLSTATE disk_full


class DiskFull(Failure):
    """Nothing was written, for want of room; the sentence names the way out."""

    def __init__(self, database: str) -> None:
        """`database` is its file, or its address without the password."""
        super().__init__(Code.UNAVAILABLE, f"the disk with the database {database} is full: make room on it")


def is_full(failure: DBAPIError) -> bool:
    """Does the driver say that there was no room?"""
    said: Any = failure.orig
    return (
        getattr(said, "sqlite_errorcode", None) in _SQLITE_FULL or getattr(said, "sqlstate", None) == _POSTGRESQL_FULL
    )
