"""Where the embedded database lies: are the files at their paths still those that are open?

SQLite goes on with files that were removed or replaced as if nothing had happened. What is written from then on is in no
file that anybody finds again: it has to be noticed, and what is known has to be brought to safety before the end.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packd.domain.failures import Code, Failure
from packd.registry.backup import copy_of
from packd.registry.flushing import flush

if TYPE_CHECKING:
    from collections.abc import Callable

    Identity = tuple[int, int]  # device and inode

_SIDECARS: Final = ("-wal", "-shm")


class Displaced(Failure):
    """The files are not any more where they were opened; the sentence says what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(Code.UNAVAILABLE, sentence)


class Place:
    """Of one database. Asking costs two system calls."""

    def __init__(self, file: Path) -> None:
        """Nothing is known of it yet, and nothing wrong, before `remember`."""
        self._file = file
        self._wal = Path(f"{file}-wal")  # stays the same file as long as anybody has the database open
        self._known: dict[Path, Identity] = {}

    def remember(self) -> None:
        """The files that lie there are the ones that are open."""
        found = {path: _identity(path) for path in (self._file, self._wal)}
        self._known = {path: identity for path, identity in found.items() if identity is not None}

    def trouble(self) -> str | None:
        """What is wrong, and the way out; None: nothing is."""
        if self._is_where_it_was(self._file):
            return None if self._is_where_it_was(self._wal) else self._lost_log()
        if self._file.exists():
            return (
                f"{self._file} is another file than the one that packd opened: what packd knows and does is not in it; "
                f"restart packd: it goes on with the file that lies there, and leaves what it knows beside it, "
                f"for `packd db restore`"
            )
        return (
            f"{self._file} was removed while packd uses it: what packd knows and does is in no file any more; "
            "restart packd: as it stops, it writes all of that there again (or put the file back, if it was only moved)"
        )

    def check(self) -> None:
        """To be called before it is opened once more: that would make an empty one, or open another. Raises Displaced."""
        trouble = self.trouble()
        if trouble is not None:
            raise Displaced(trouble)

    def leave(self, driver: Any, close: Callable[[], None]) -> Path | None:
        """`close` it, with what is known brought to safety; `driver` is one of its connections, None when there is none.

        Returns the file in which that is now, None where it is in the one that was opened. Raises OSError when it could
        not be written; closed it is even so.
        """
        rescued = None
        try:
            if driver is not None:
                rescued = self._rescued(driver)
        finally:
            close()
        return rescued and self._put_back(rescued)

    def _rescued(self, driver: Any) -> Path | None:
        if self._is_where_it_was(self._file):
            if not self._is_where_it_was(self._wal):
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # while we have it: nobody finds it again
            return None
        rescued = Path(f"{self._file}.rescued-{time.strftime('%Y%m%d-%H%M%S')}")
        copy_of(driver, self._file, rescued)
        return rescued

    def _put_back(self, rescued: Path) -> Path:
        """In the place of the file, if that is free. Our log would be taken for that of whatever lies there."""
        is_free = not os.path.lexists(self._file)
        if is_free or self._is_where_it_was(self._wal):
            for sidecar in _SIDECARS:
                with suppress(FileNotFoundError):
                    Path(f"{self._file}{sidecar}").unlink()
        if not is_free:
            return rescued
        rescued.rename(self._file)
        flush(self._file.parent)
        return self._file

    def _is_where_it_was(self, path: Path) -> bool:
        try:
            return path not in self._known or _identity(path) == self._known[path]
        except OSError:  # it can't be looked at, so nothing can be said against it
            return True

    def _lost_log(self) -> str:
        return (
            f"{self._wal} was removed while packd uses it: what packd did lately is in no file any more; "
            f"restart packd: as it stops, it writes that into {self._file.name}"
        )


def _identity(path: Path) -> Identity | None:
    """Of what lies there; None when nothing does. Raises OSError when that can't be said."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
