"""A database that can't be read or written, told apart from all else that its driver complains of."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from packd.domain.failures import Code, Failure

_RESTORE: Final = "stop packd, see what `packd db check` says, and `packd db restore FILE` from the newest backup"
_LOOK: Final = "see what the log of the system says of its disk, and what `packd db check` says, then restart packd"
_ALLOW: Final = (
    "let packd's user write it and the folder it is in (on a disk that is not mounted read-only), and restart packd"
)
_LET_GO: Final = "see which one has it open (`fuser` on that file says), and end that: packd goes on by itself"
_REACH: Final = "see that its server runs and can be reached from here: packd goes on by itself"
_AWAY: Final = ("does not answer", _REACH)
OWN: Final = (
    "let packd's user own it, and what others made in it: `ALTER DATABASE … OWNER TO …`, and ALTER TABLE for tables that "
    "were restored"
)
_NOT_OURS: Final = ("may not be used", OWN)
_WAYS: Final = {  # primary result code (sqlite.org/rescode.html) → what it means for the database, and the way out
    sqlite3.SQLITE_CORRUPT: ("is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("is damaged", _RESTORE),
    sqlite3.SQLITE_IOERR: ("can't be read or written", _LOOK),
    sqlite3.SQLITE_CANTOPEN: ("can't be opened", _LOOK),
    sqlite3.SQLITE_READONLY: ("can't be written", _ALLOW),
    sqlite3.SQLITE_BUSY: ("is kept locked by another program", _LET_GO),
}
_PRIMARY: Final = 0xFF
_REFUSED_FOR_GOOD: Final = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "pg_hba.conf",
    "permission denied",
    "is not permitted to log in",
)
# SQLSTATEs of PostgreSQL (its manual, appendix A) that say that packd's user may not do what it has to.
_FORBIDDEN: Final = ("42501", "3F000")  # insufficient_privilege, invalid_schema_name: none to make tables in


class DatabaseBroken(Failure):
    """What was asked of it was not done; the sentence says what is wrong and the way out, without any SQL."""

    def __init__(self, database: str, said: object) -> None:
        """`database` is its file, or its address without the password; `said` is what the driver raised."""
        what, way_out = _WAYS.get(_code(said), _NOT_OURS if is_forbidden(said) else _AWAY)
        reason = str(said).partition("\n")[0]
        super().__init__(Code.UNAVAILABLE, f"the database {database} {what} ({reason}); {way_out}")
        self.said = said


class NotOnDisk(Failure):
    """What was asked of it is done and everybody sees it, but the disk did not take it: a power cut may undo it."""

    def __init__(self, database: str, said: OSError) -> None:
        """`database` is its file; `said` is what the disk answered."""
        why = said.strerror or said
        sentence = (
            f"it is done, but the disk with the database {database} did not keep it ({why}): a power cut may undo it"
        )
        super().__init__(Code.UNAVAILABLE, f"{sentence}; {_LOOK}")


class DatabaseUnusable(OSError):
    """The database can't be opened, or is not packd's; the message says why and what to do."""


class DatabaseAway(DatabaseUnusable):
    """Its server can't be reached, or does not let anybody in yet: that may pass by itself."""


def is_for_somebody_to_put_right(said: object) -> bool:
    """Does a server refuse what it will refuse again? It says so in words only, which may be those of another language:
    then it is taken for one that is away."""
    return any(words in str(said) for words in _REFUSED_FOR_GOOD)


def is_broken(said: object) -> bool:
    """Is it the database itself, or its disk, that the driver complains of?"""
    return _code(said) in _WAYS and getattr(said, "sqlite_errorcode", None) != sqlite3.SQLITE_IOERR_SHMSIZE


def is_damage(said: object) -> bool:
    """Does the file hold something else than a database that is whole?"""
    return _code(said) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_forbidden(said: object) -> bool:
    """Does a server say that packd's user lacks a right?"""
    return getattr(said, "sqlstate", None) in _FORBIDDEN


def _code(said: object) -> int:
    code: Any = getattr(said, "sqlite_errorcode", None)
    if code is None:
        return -1
    # A table that is gone: the file was overwritten, and makes sense again.
    return sqlite3.SQLITE_CORRUPT if "no such table" in str(said) else code & _PRIMARY
