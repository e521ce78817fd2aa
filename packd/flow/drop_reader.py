"""Reading a drop: has it changed since it was read, and what lies there now?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.problems import Problem
from packd.snapshot.store import Refused, Snapshot, StoreFull, StoreUnwritable, Unsettled

if TYPE_CHECKING:
    from packd.flow.clock import Clock
    from packd.flow.packs_folder import PacksFolder
    from packd.registry.rows import Drop
    from packd.snapshot.store import Store

NO_ROOM: Final = frozenset({"store.full"})  # codes of what depends on the disk of the store alone

log = structlog.get_logger(__name__)


class DropReader:
    """Looks at the disk and into the store; writes nothing down."""

    def __init__(self, *, folder: PacksFolder, store: Store, clock: Clock) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock

    def is_unchanged(self, kind: str, known: Drop) -> bool:
        """A stat for every file, not a read; what was too fresh to be trusted when it was read is read again."""
        if known.fingerprint is None or known.kind != kind:
            return False
        return self._folder.look(known.name).fingerprint(int(self._clock.now() * 1e9)) == known.fingerprint

    def read(self, name: str) -> Snapshot | Unsettled | Refused:
        """What lies there, fixed in the store."""
        try:
            return self._store.take(self._folder.path / name, self._folder.ignore)
        except (StoreFull, StoreUnwritable) as failure:
            log.error("store.failed", drop=name, error=str(failure))
            code = "store.full" if isinstance(failure, StoreFull) else "store.unwritable"
            problem = Problem(code=code, message=f"{failure}; it is read again at the next scan")
            return Refused(problems=(problem,), fingerprint=None)
