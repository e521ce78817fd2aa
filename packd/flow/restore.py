"""`rollback.folder: restore`: the last good content goes back into the dropped folder, the refused content is kept.

Both in one exchange, so that whoever looks sees one or the other, and a kill loses neither. Content that is newer than
what was refused is never exchanged away: it comes to its own verdict. Archives are left alone: what was dropped was one
file, and the folder inside it can't be put back into it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.event_data import PackRolledBack
from packd.domain.failures import Failure
from packd.domain.lifecycle import REFUSED, UNFINISHED, Phase
from packd.flow.carry_over import carry_over
from packd.flow.intake import lane
from packd.flow.kept import FRESH, KEPT_FOLDER, KeptFolder
from packd.flow.mounts import mounted_in
from packd.flow.permissions import permit_alike
from packd.registry import queries
from packd.snapshot.discarding import discard, discard_quietly
from packd.snapshot.limits import NAME_BYTES
from packd.snapshot.store import Snapshot, StoreFull, StoreUnwritable
from packd.snapshot.tree import opened_folder, walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packd.flow.packs_folder import PacksFolder
    from packd.flow.projections import Projections
    from packd.flow.settling import Settling
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.registry.rows import Drop, Revision, StoredEvent
    from packd.snapshot.store import Store
    from packd.snapshot.tree import Tree

log = structlog.get_logger(__name__)

_RENAME_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
_libc = ctypes.CDLL(None, use_errno=True)


def kept_name(drop: str, number: int) -> str:
    """Where the refused content of a revision is put, from the packs directory on."""
    return f"{KEPT_FOLDER}/{drop}-{number}"


class Restorer:
    """Listens for roll-backs; does nothing unless the policy says `restore`."""

    def __init__(
        self,
        *,
        enabled: bool,
        folder: PacksFolder,
        kept_hours: float,
        registry: Registry,
        store: Store,
        projections: Projections,
        settling: Settling,
        lanes: Lanes,
    ) -> None:
        self._enabled = enabled
        self._folder = folder
        self._kept = KeptFolder(folder.path, folder.ignore)
        self._kept_s = kept_hours * 3600
        self._registry = registry
        self._store = store
        self._projections = projections
        self._settling = settling
        self._lanes = lanes

    def follow(self, *, enabled: bool, kept_hours: float) -> None:
        """Go by this from now on."""
        self._enabled = enabled
        self._kept_s = kept_hours * 3600

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events."""
        for event in events:
            if event.type == PackRolledBack.type:
                self.restore_soon(event.subject.removeprefix("packs/"))

    def restore_soon(self, ref: str | None) -> None:
        """Put the last good content back, in the lane of the drop, if what lies there then is what was refused."""
        if self._enabled and ref is not None:
            self._in_lane(ref, self._restore)

    def resume(self) -> None:
        """At a start: put back what a kill has kept from being put back, and finish what it has interrupted."""
        if not self._enabled and not self._kept.path.is_dir():
            return
        with self._registry.read() as connection:
            refused = [one for phase in sorted(REFUSED) for one in queries.latest_revisions(connection, phase)]
        for revision in refused:
            self._in_lane(revision.ref, self._finish)
            self.restore_soon(revision.ref)

    def sweep(self) -> None:
        """Remove kept content that is older than `retention.failed_hours`, and what a kill left half copied."""
        self._kept.sweep(self._kept_s)

    def _in_lane(self, ref: str, work: Callable[[str], None]) -> None:
        with self._registry.read() as connection:
            pack = queries.pack(connection, ref)
        if pack is not None and pack.drop_name is not None:
            self._lanes.submit(lane(pack.drop_name), work, ref)

    def _known(self, ref: str) -> tuple[Drop | None, Revision | None, Revision | None]:
        """The drop of a pack, what is in use, and its newest revision."""
        with self._registry.read() as connection:
            pack = queries.pack(connection, ref)
            drop = queries.drop(connection, pack.drop_name) if pack and pack.drop_name else None
            return drop, queries.active_revision(connection, ref), queries.latest_revision(connection, ref)

    def _finish(self, ref: str) -> None:
        """A kill behind the exchange has left in what was taken out what is to stay in the folder."""
        drop, active, latest = self._known(ref)
        if drop is None or active is None or latest is None or drop.digest != active.digest:
            return
        with suppress(OSError), self._kept.in_use, self._kept.opened() as folder:
            if not self._folder.has(drop.name):
                self._put_in_place(folder, drop, active, latest)
            self._carry_over(drop, latest)

    def _put_in_place(self, folder: int, drop: Drop, active: Revision, refused: Revision) -> None:
        """Where the file system can't exchange in one step, a kill can have left nothing there."""
        kept = kept_name(drop.name, refused.number).rpartition("/")[2]
        for name in sorted(os.listdir(folder)):
            if (name == kept or name.startswith(f"{kept}.")) and self._holds(self._kept.path / name, active):
                os.rename(name, self._folder.path / drop.name, src_dir_fd=folder)
                return

    def _carry_over(self, drop: Drop, refused: Revision) -> None:
        kept = self._folder.path / kept_name(drop.name, refused.number)
        carry_over(kept, self._folder.path / drop.name, self._folder.ignore)

    def _restore(self, ref: str) -> None:
        drop, active, latest = self._known(ref)
        if drop is None or active is None or latest is None or drop.kind != "folder" or drop.digest == active.digest:
            return
        if latest.phase in UNFINISHED or self._settling.awaits(drop.name):
            return  # newer content; should it turn out to be the same when it has settled, this is asked again
        if drop.digest == latest.digest and latest.phase not in REFUSED:
            return  # a roll-back took it along before its verdict: `packd retry` reads what lies there
        lying = latest if drop.digest == latest.digest else self._put_there_before(drop, latest)
        if lying is not None:
            self._put_back(drop, active, lying)

    def _put_there_before(self, drop: Drop, latest: Revision) -> Revision | None:
        """What lies there in place of the newest content; by now it may have been rolled back as well.

        None: it is none of the pack's revisions, or the newest one is in use, and a retry leaves the folder as it is.
        """
        if latest.phase == Phase.ACTIVE:
            return None
        with self._registry.read() as connection:
            history = queries.revision_history(connection, latest.ref)
        known = [one for one in history if one.digest == drop.digest]
        return max(known, key=lambda one: one.number, default=None)

    def _put_back(self, drop: Drop, active: Revision, refused: Revision) -> None:
        kept = self._folder.path / kept_name(drop.name, refused.number)
        fresh = self._folder.path / f"{FRESH}{secrets.token_hex(8)}"
        try:
            if len(os.fsencode(kept.name)) > NAME_BYTES:
                raise OSError(f"{kept} would be too long a name: give the drop a shorter one")
            mounted = mounted_in(self._folder.path / drop.name)
            if mounted is not None:
                raise OSError(f"something is mounted at {mounted} and would move along: mount it outside of the pack")
            self._store.copy_out(active.digest, fresh, durable=True)
            permit_alike(self._folder.path / drop.name, fresh)
            if not self._exchanged(fresh, drop, active, refused):
                return
        except (StoreFull, StoreUnwritable, OSError) as failure:
            log.error("drop.not_restored", drop=drop.name, pack=active.ref, error=str(failure))
            if getattr(failure, "errno", 0) is not None:  # else it is about the drop, and stays so
                self._ask_again(drop.name)
            return
        finally:
            discard_quietly(fresh)
        self._projections.show(active.ref)  # the marker says where it is
        log.info("drop.restored", drop=drop.name, pack=active.ref, revision=active.number, kept=str(kept))

    def _exchanged(self, fresh: Path, drop: Drop, active: Revision, refused: Revision) -> bool:
        """Swap what was refused with `fresh`. False: something newer lies there, and still does."""
        place, kept = self._folder.path / drop.name, kept_name(drop.name, refused.number)
        before = self._folder.look(drop.name)
        if not self._holds(place, refused) or self._settling.awaits(drop.name):
            return False
        with self._kept.in_use, self._kept.opened(make=True) as folder:
            name = kept.rpartition("/")[2]
            self._make_room(folder, name, refused, active)
            # Under the name of what it is exchanged for, which so is kept by the same step that takes it out.
            os.rename(fresh, name, dst_dir_fd=folder)
            ours = self._all_of(folder, name)
            # Written down before the exchange: content that packd itself put there is not a change.
            self._save(replace(drop, digest=active.digest, fingerprint=None, problems=()))
            try:
                exchange(folder, name, place)
            except OSError:
                self._save(replace(drop, fingerprint=None))
                discard_quietly(name, folder)
                raise
            if self._folder.look(kept).same_as(before):
                with suppress(OSError):  # somebody took it away again
                    self._carry_over(drop, refused)
                return True
            exchange(folder, name, place)  # somebody wrote to it in the last moment
            if self._all_of(folder, name).same_as(ours):
                discard_quietly(name, folder)
            else:  # and to what lay there for that moment
                aside = _put_aside(folder, name)
                log.warning(
                    "drop.written_meanwhile", drop=drop.name, pack=active.ref, kept=str(self._kept.path / aside)
                )
            with suppress(OSError):
                self._kept.path.rmdir()  # unless there is more in it
        self._save(replace(drop, fingerprint=None))
        self._settling.touched(drop.name)
        return False

    def _make_room(self, folder: int, name: str, *known: Revision) -> None:
        """The same content is kept once, and a copy that a kill left there not at all. Anything else under that name stays
        under another."""
        former = self._kept.path / name
        if not os.path.lexists(former):
            return
        if any(self._holds(former, one) for one in known) and self._kept.left(folder, name) is None:
            discard(name, folder)
        else:
            _put_aside(folder, name)

    def _all_of(self, folder: int, name: str) -> Tree:
        """What the pack leaves aside as well: it would be somebody's."""
        with opened_folder(name, folder) as inside:
            return walk(inside, None, self._folder.limits)

    def _holds(self, place: Path, revision: Revision) -> bool:
        """Is this what lies there now? Read whole: young files can't be told by their timestamps."""
        taken = self._store.take(place, self._folder.ignore)
        return isinstance(taken, Snapshot) and taken.digest == revision.digest

    def _ask_again(self, name: str) -> None:
        """The next look at everything reads the drop once more, and comes back to it."""
        with suppress(Failure), self._registry.write() as tx:  # the same disk may be in the way
            drop = queries.drop(tx.reader, name)  # what it is by now may have been written down before it failed
            if drop is not None:
                tx.save_drop(replace(drop, fingerprint=None))

    def _save(self, drop: Drop) -> None:
        with self._registry.write() as tx:
            tx.save_drop(drop)


def _put_aside(folder: int, name: str) -> str:
    """Give it another name in an open folder, where nobody else makes use of it; returns that."""
    aside = f"{name}.{secrets.token_hex(4)}"
    os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    return aside


def exchange(folder: int, name: str, place: Path) -> None:
    """Swap `name` in an open folder with a path, in one step (renameat2(2), RENAME_EXCHANGE).

    With three renames where the file system can't.
    """
    done = _libc.renameat2(folder, os.fsencode(name), _AT_FDCWD, os.fsencode(place), _RENAME_EXCHANGE)
    if done == 0:
        return
    failure = ctypes.get_errno()
    if failure not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(failure, os.strerror(failure), str(place))
    aside = _put_aside(folder, name)
    try:
        os.rename(place, name, dst_dir_fd=folder)
        _rename_or_back(aside, name, folder, place)
    except OSError:
        os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        raise


def _rename_or_back(fresh: str, former: str, folder: int, place: Path) -> None:
    """One or the other lies there: nobody is left with nothing."""
    try:
        os.rename(fresh, place, src_dir_fd=folder)
    except OSError:
        os.rename(former, place, src_dir_fd=folder)
        raise
