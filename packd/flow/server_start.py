"""A machine that boots starts packd and the server of its database side by side: the one waits for the other."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Final

import structlog

from packd.registry.broken import DatabaseAway
from packd.registry.database import Database

log = structlog.get_logger("packd")

# Less than the unit gives a start. So that packd, started again each time, never gives up by systemd's own limit: five
# starts within five minutes.
MOST_S: Final = 65.0
_EVERY_S: Final = 1.0


def await_server(url: str, *, most_s: float = MOST_S) -> None:
    """Returns when the server answers. Raises DatabaseAway when it did not for so long."""
    give_up_at, said = time.monotonic() + most_s, False
    with closing(Database(url)) as database:
        while True:
            try:
                database.schema()
            except DatabaseAway as away:
                if time.monotonic() >= give_up_at:
                    raise
                if not said:
                    log.warning("database.awaited", detail=f"{away}; it is asked again for {most_s:g} s")
                said = True
                time.sleep(_EVERY_S)
            else:
                return
