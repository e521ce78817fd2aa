"""`rollback.folder: restore`: the last good content goes back into the dropped folder, the refused content is kept.

Both in one exchange, so that whoever looks sees one or the other. Archives are left alone: what was dropped was one
file, and the folder inside it can't be put back into it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.event_data import PackRolledBack
from packd.flow.intake import lane
from packd.registry import queries

if TYPE_CHECKING:
    from pathlib import Path

    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.registry.rows import Drop, Revision, StoredEvent
    from packd.snapshot.store import Store

log = structlog.get_logger(__name__)

KEPT_FOLDER: Final = ".packd-failed"  # in the packs directory, so that moving into it is one rename
_RENAME_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
_libc = ctypes.CDLL(None, use_errno=True)


def kept_path(packs_dir: Path, drop: str, number: int) -> Path:
    """Where the refused content of a revision was put."""
    return packs_dir / KEPT_FOLDER / f"{drop}-{number}"


class Restorer:
    """Listens for roll-backs; does nothing unless the policy says `restore`."""

    def __init__(
        self, *, enabled: bool, packs_dir: Path, kept_hours: float, registry: Registry, store: Store, lanes: Lanes
    ) -> None:
        self._enabled = enabled
        self._packs_dir = packs_dir
        self._kept_s = kept_hours * 3600
        self._registry = registry
        self._store = store
        self._lanes = lanes

    def follow(self, *, enabled: bool, kept_hours: float) -> None:
        """Go by this from now on."""
        self._enabled = enabled
        self._kept_s = kept_hours * 3600

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events."""
        for event in events:
            if self._enabled and event.type == PackRolledBack.type:
                self._restore_later(event.subject.removeprefix("packs/"))

    def sweep(self) -> None:
        """Remove kept content that is older than `retention.failed_hours`."""
        folder = self._packs_dir / KEPT_FOLDER
        for kept in folder.iterdir() if folder.is_dir() else ():
            if time.time() - kept.stat().st_ctime > self._kept_s:
                shutil.rmtree(kept, ignore_errors=True)

    def _restore_later(self, ref: str) -> None:
        with self._registry.read() as connection:
            pack = queries.pack(connection, ref)
        if pack is not None and pack.drop_name is not None:
            self._lanes.submit(lane(pack.drop_name), self._restore, ref)

    def _restore(self, ref: str) -> None:
        """In the lane of the drop: nobody reads the folder meanwhile."""
        with self._registry.read() as connection:
            pack = queries.pack(connection, ref)
            drop = queries.drop(connection, pack.drop_name) if pack and pack.drop_name else None
            active = queries.active_revision(connection, ref)
            latest = queries.latest_revision(connection, ref)
        if drop is None or active is None or latest is None or drop.kind != "folder" or drop.digest == active.digest:
            return
        if drop.digest != latest.digest:
            return  # changed again since: that content comes to its own verdict
        self._exchange(drop, active, kept_path(self._packs_dir, drop.name, latest.number))

    def _exchange(self, drop: Drop, active: Revision, kept: Path) -> None:
        fresh = self._packs_dir / f".packd-restore-{drop.name}"
        shutil.rmtree(fresh, ignore_errors=True)
        self._store.copy_out(active.digest, fresh, durable=True)
        # Written down before the exchange: content that packd itself put there is not a change.
        with self._registry.write() as tx:
            tx.save_drop(replace(drop, digest=active.digest, fingerprint=None, problems=()))
        exchange(fresh, self._packs_dir / drop.name)
        kept.parent.mkdir(exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)
        log.info("drop.restored", drop=drop.name, pack=active.ref, revision=active.number, kept=str(kept))


def exchange(one: Path, other: Path) -> None:
    """Swap two paths in one step (renameat2(2), RENAME_EXCHANGE); with two renames where the file system can't."""
    done = _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done == 0:
        return
    failure = ctypes.get_errno()
    if failure not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(failure, os.strerror(failure), str(other))
    aside = one.with_name(f"{one.name}.aside")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
