"""See changes in the packs directory through inotify. The only door to watchdog.

watchdog keeps the folders of a tree watched while they come, go and are renamed. Its classes are extended here where
it is silent or stubborn: it forgets folders that the kernel refused to watch, it rebuilds for ever after a queue
overflow, it goes on watching what was moved away, its descriptor is inherited by children, and its warnings about
folders met twice grow with the tree. Its last two steps are left out: what its emitter reads goes to the ears at once.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from watchdog import events
from watchdog.observers import inotify, inotify_c
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper, PathedInotifyEvent

from packd.domain.failures import SHORT_OF
from packd.watch import advice
from packd.watch.ears import Ears
from packd.watch.first_scan import FirstScan
from packd.watch.hints import Hint, Recovered, Sorter, Trouble, WatchState
from packd.watch.queue import last_error, make_queue
from packd.watch.scan import identity_at, root_identity
from packd.watch.supervisor import Loss, Supervisor
from packd.watch.telling import Teller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from watchdog.observers.api import EventQueue, ObservedWatch
    from watchdog.observers.inotify_move_event_grouper import GroupedInotifyEvent

    from packd.domain.ignore import Ignore

# Opening and reading is left out, so that reading a pack (as a snapshot does) never looks like a change to it.
EVENTS: Final[list[type[events.FileSystemEvent]]] = [
    events.FileCreatedEvent,
    events.DirCreatedEvent,
    events.FileMovedEvent,
    events.DirMovedEvent,
    events.FileDeletedEvent,
    events.DirDeletedEvent,
    events.FileModifiedEvent,
    events.FileClosedEvent,  # closed after writing
    events.FileAttribEvent,
    events.DirAttribEvent,
]
MANY_RENAMED: Final = 20  # drops; from here on one look at the whole tree is cheaper than one look for each
NAMES_CHANGE: Final = inotify_c.InotifyConstants.IN_MOVE | inotify_c.InotifyConstants.IN_CREATE
# A folder that went as quickly as it came; or so deep that no pack has it, nor the kernel a path to it.
NOT_MISSED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class Watcher:
    """Tells where in the packs directory something changed, and whether it can still see.

    Callbacks come from several threads, one at a time from each; they must be quick. Hints are per change and not
    collected; a Hint with `drop=None` (after trouble, and every `poll_every_s` while it lasts) means: scan everything.
    """

    def __init__(
        self,
        root: Path,
        *,
        ignore: Ignore,
        on_hint: Callable[[Hint], None],
        on_trouble: Callable[[Trouble], None],
        on_recovered: Callable[[Recovered], None],
        check_every_s: float = 1.0,
        poll_every_s: float = 2.0,
        queue: int | None = None,
    ) -> None:
        """`check_every_s`: how soon a loss of the root is noticed; `poll_every_s` grows with trees above 2,000 folders.

        `queue`: one into which the kernel puts already what changes in folders of this tree. It is read, by the first
        observation, from the end of the first scan on: what is in it means nothing to whoever does not know the folders.
        """
        self._queue = queue
        self._walk = True  # the next observation looks for the folders itself
        self._unwalked: Tree | None = None  # it waits for the first scan to name them
        teller = Teller(on_hint=on_hint, on_trouble=on_trouble, on_recovered=on_recovered)
        self._supervisor = Supervisor(
            root,
            ignore=ignore,
            teller=teller,
            observe=lambda: self._observe(root, ignore, teller.hint),
            check_every_s=check_every_s,
            poll_every_s=poll_every_s,
        )

    def start(self, *, walk: bool = True) -> None:
        """Begin. Every change made after this returns is seen, or a Trouble was told; scan once for what was before.

        Never raises for what it finds: a missing root or a reached limit is a Trouble. Without `walk` only the
        root is watched, until that scan names the folders in it (see `first_scan`): one walk instead of two.
        """
        _quieten_watchdog()
        self._walk = walk
        self._supervisor.start()
        self._walk = True

    @contextmanager
    def first_scan(self) -> Iterator[FirstScan]:
        """Around the first scan after `start(walk=False)`, which tells it of every folder.

        What it was not told of is found and watched soon after, however the block is left. Does nothing for later scans.
        """
        tree, self._unwalked = self._unwalked, None
        scan = FirstScan(tree)
        try:
            yield scan
        finally:
            if tree is not None:
                tree.listen()
                tree.doubt(scan.doubtful)
                self._supervisor.recount()

    def _observe(self, root: Path, ignore: Ignore, hint: Callable[[Hint], None]) -> Tree:
        queue, self._queue = None if self._walk else self._queue, None
        tree = Tree(root, ignore=ignore, hint=hint, wake=self._supervisor.wake, walk=self._walk, queue=queue)
        self._unwalked = None if self._walk else tree
        return tree

    def stop(self) -> None:
        """End. No callback begins after this was called. A watcher is not started twice."""
        self._supervisor.stop()

    def state(self) -> WatchState:
        """How it is going; cheap."""
        return self._supervisor.state()

    def pulse(self) -> tuple[bool, float]:
        """Does the thread run that notices when it goes blind; and how long ago it last looked, in seconds."""
        state = self._supervisor.state()
        return state.supervised, 0.0 if state.checked_at is None else time.monotonic() - state.checked_at

    def recount(self) -> None:
        """Compare what is watched with what is there, soon and in another thread; meant for the periodic full scan.

        Costs a walk over the tree, and nothing when no folder came, went or was renamed since the last time.
        """
        self._supervisor.recount()

    def doubt(self, drops: list[str]) -> None:
        """These changed and nothing was told of it: compare what is watched there, soon and in another thread.

        A file system that is mounted on a folder, or taken away from it, is such a change.
        """
        self._supervisor.doubt(drops)


class Tree:
    """One watchdog observer on one folder tree; the Observation that the supervisor replaces when it is lost."""

    def __init__(
        self,
        root: Path,
        *,
        ignore: Ignore,
        hint: Callable[[Hint], None],
        wake: Callable[[], None],
        walk: bool = True,
        queue: int | None = None,
    ) -> None:
        """Without `walk` only the root is watched, until `enter` names what is in it.

        With a `queue`, see Watcher, nothing is heard until `listen`. Raises OSError when the root itself can't be watched.
        """
        self._root = root
        identity = root_identity(root)
        if identity is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(root))
        self._identity = identity
        # A link is not followed by the watch itself, and what it points to may change: `lost` compares identities.
        path = os.path.realpath(root)
        sorter = Sorter(path, ignore)
        self._ears = Ears(path, sorter=sorter, hint=hint, wake=wake)
        self.queued = queue is not None
        self._observer = _Observer(sorter=sorter, ears=self._ears, on_overflow=wake, walk=walk, queue=queue)
        self._observer.schedule(events.FileSystemEventHandler(), path, recursive=True, event_filter=EVENTS)
        try:
            self._observer.start()
            self._emitter = self._observer.emitter()
            self._group = self._emitter.group
        except BaseException:
            self.listen()  # only a reader that runs lets go of the queue
            self._observer.stop()
            raise

    @property
    def watches(self) -> int:
        return self._group.watches

    def unwatched(self) -> Mapping[str, int]:
        return self._group.unwatched_folders()

    def lost(self) -> Loss | None:
        if self._group.overflowed:
            return Loss(reason="overflow", detail=advice.overflowed())
        try:
            identity = identity_at(self._root)
        except OSError as failure:
            if failure.errno in SHORT_OF:
                return None
            return Loss(reason="root_missing", detail=advice.not_listed(self._root, failure))
        if identity != self._identity or not self._group.keeps_root():
            return Loss(reason="root_missing", detail=advice.replaced(self._root))
        if not (self._observer.is_alive() and self._observer.reader.is_well() and self._emitter.is_alive()):
            return Loss(reason="overflow", detail="a watching thread died; looking at everything again")
        return None

    def tend(self) -> None:
        if not os.access(self._root, os.R_OK | os.X_OK, effective_ids=True):  # a watch outlives the right to have it
            self._verify([self._group.path])
        names = self._ears.take_renamed()
        if len(names) > MANY_RENAMED:
            self._verify([self._group.path])
        elif names:  # mostly there are none, and to look at all watches takes a millisecond
            self._verify([self._group.path + b"/" + os.fsencode(name) for name in names])

    def recount(self) -> None:
        if self._ears.folders_changed or self._group.unwatched:
            self._ears.folders_changed = False
            self._ears.take_renamed()
            self._verify([self._group.path])
        else:
            self.tend()

    def _verify(self, tops: list[bytes]) -> None:
        self._ears.misheard(os.fsdecode(folder) for folder in self._group.verify(tops))

    def enter(self, inside: str) -> None:
        """Watch one folder, by its path within the root."""
        self._group.enter(self._group.path + b"/" + os.fsencode(inside))

    def doubt(self, drops: list[str] | None) -> None:
        """At the next look: are all folders of these drops watched? None: of all drops."""
        if drops is None:
            self._ears.folders_changed = True
        else:
            self._ears.doubt(drops)

    def listen(self) -> None:
        """Hear what is in the queue, and what comes. Does nothing when it is heard already."""
        self._observer.reader.begin()

    def retry(self) -> None:
        self._group.retry()

    def close(self) -> None:
        self.listen()
        self._observer.stop()
        self._observer.join()


class _Reader(inotify_c.InotifyFD):
    """The inotify instance: not inherited by children, and calm about a folder that is watched already."""

    def __init__(self, queue: int | None = None) -> None:
        """`queue`: one that is there already, and from now on ours."""
        self._given = queue
        self._beginning = threading.Lock()
        try:
            super().__init__()
        except OSError:
            if hasattr(self, "_inotify_fd"):
                os.close(self._inotify_fd)
            raise

    def _create_inotify_fd(self) -> int:  # type: ignore[override]
        return make_queue() if self._given is None else self._given

    def begin(self) -> None:
        """Start reading, if that has not been done."""
        with self._beginning:
            if self.ident is None:
                self.start()

    def is_well(self) -> bool:
        """It reads, or has not been asked to yet."""
        return self.ident is None or self.is_alive()

    def _add_callback(
        self,
        path: bytes,
        mask: inotify_c.Mask,
        callback: inotify_c.WatchCallback,
        id_: inotify_c.CallbackId,
    ) -> inotify_c.WatchDescriptor:
        # Closing frees the number of the descriptor, and something else may have it by now.
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        wd = inotify_c.inotify_add_watch(self._inotify_fd, path, mask)
        if wd == -1:
            raise last_error(path)
        watch = self._watch_for_wd.get(wd)
        if watch is None:
            watch = self._watch_for_wd[wd] = inotify_c.Watch(wd, mask, path)
        watch.callbacks[id_] = callback
        return wd


class _Pairing(InotifyMoveEventGrouper):
    """Holds the first half of a rename until the second is there, and whatever comes after it.

    While nothing is held, what comes passes by: it is for the thread that reads from the kernel, and no other need be
    woken. Both halves lie side by side in the kernel's queue, so that the second is not waited for long; and not at all
    once another name came into the folder of the first, or went: a rename locks its folders until both are told.
    """

    delay = 0.05

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()  # cookies of first halves that are held
        self._first: PathedInotifyEvent | None = None  # the last one before which nothing was held
        self._passing: list[GroupedInotifyEvent] = []
        self._held = 0  # how many were put into the queue; counted by the thread that does so
        self._told = 0  # how many of these were told; counted by the thread that does that

    def put_event(self, event: PathedInotifyEvent) -> None:
        if self._first is not None and _rules_out(event.ev, self._first.ev):
            self._let_pass(self._first)
        is_first = self._held == self._told
        if is_first and not event.ev.is_moved_from:
            self._passing.append(event)
            return
        if event.ev.is_moved_from:
            self._first = event if is_first else None
            self._open.add(event.ev.cookie)
        self._held += 1
        super().put_event(event)

    def _let_pass(self, first: PathedInotifyEvent) -> None:
        """Nothing but this is held; it goes its way, unless it has done so already."""
        if self._held == self._told + 1 and self._queue.remove(lambda held: held is first) is not None:
            self._held -= 1
            self._open.discard(first.ev.cookie)
            self._passing.append(first)
        self._first = None

    def take_passing(self) -> list[GroupedInotifyEvent]:
        passing, self._passing = self._passing, []
        return passing

    def read_event(self) -> GroupedInotifyEvent | None:
        event = super().read_event()
        if isinstance(event, PathedInotifyEvent) and event.ev.is_moved_from:
            self._open.discard(event.ev.cookie)
        return event

    def told(self) -> None:
        """What was read last."""
        self._told += 1

    def get_queued_moved_from_event(self, cookie: int) -> PathedInotifyEvent | None:
        # Nearly always it came from elsewhere; the queue of a thousand renames is not gone through for each of them.
        return super().get_queued_moved_from_event(cookie) if cookie in self._open else None

    def _group_moved_to_event(self, to_event: PathedInotifyEvent) -> GroupedInotifyEvent:
        if to_event.ev.cookie not in self._open:
            return to_event
        self._open.discard(to_event.ev.cookie)
        grouped = super()._group_moved_to_event(to_event)
        if grouped is not to_event:
            self._held -= 1  # the first half goes on as part of the pair
        return grouped


def _rules_out(event: inotify_c.InotifyEvent, first: inotify_c.InotifyEvent) -> bool:
    """Does `event` show that there is no second half to `first`, as it would have come before?"""
    return event.wd == first.wd and event.cookie != first.cookie and event.mask & NAMES_CHANGE > 0


@dataclass(repr=False, eq=False)
class _Group(inotify.InotifyWatchGroup):
    """The watches of one tree: skips ignored folders, and knows which ones it could not watch."""

    sorter: Sorter = field(kw_only=True)
    tell: Callable[[GroupedInotifyEvent], None] = field(kw_only=True)
    on_overflow: Callable[[], None] = field(kw_only=True)
    walk: bool = field(kw_only=True)  # False: what is in the root is entered by somebody else
    unwatched: dict[bytes, int] = field(default_factory=dict, init=False)  # folder → error number
    overflowed: bool = field(default=False, init=False)
    _move_event_grouper: _Pairing = field(default_factory=_Pairing, init=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}>"

    @property
    def watches(self) -> int:
        return len(self._active_callbacks_by_watch)

    def keeps_root(self) -> bool:
        """Is the root watched, or known as a folder that the kernel refused to watch?"""
        return self.path in self._active_callbacks_by_path or self.path in self.unwatched

    def unwatched_folders(self) -> dict[str, int]:
        with self._lock:
            return {os.fsdecode(path): code for path, code in self.unwatched.items()}

    def on_event(self, event: inotify_c.InotifyEvent) -> None:
        super().on_event(event)  # new folders are watched when this returns
        for each in self._move_event_grouper.take_passing():
            self.tell(each)

    def told(self) -> None:
        self._move_event_grouper.told()

    def on_queue_overflow(self) -> None:
        # Rebuilding here can overflow the queue again, without end. All further events go unheard instead; what they
        # said is lost anyway, and this object is about to be replaced.
        self._is_active = False
        self.overflowed = True
        self.on_overflow()

    def verify(self, tops: Sequence[bytes]) -> list[bytes]:
        """Make the watches on `tops` and all below them agree with the folders that are there; returns those in the place
        of others, of which changes may have gone unheard, or been told as if they were another's. A new folder is no such
        thing: what tells of it is on its way."""
        with self._lock:
            before = {
                wd: path
                for wd, path in self._active_callbacks_by_watch.items()
                if any(_is_below(path, top) for top in tops)
            }
        confirmed = {wd: folder for top in tops for wd, folder in self._add_tree(top, self._lock).items()}
        for wd in before.keys() - confirmed.keys():
            with self._lock:
                self._recheck(wd)
        places = set(before.values())
        other = {wd: folder for wd, folder in confirmed.items() if before.get(wd) != folder}
        return [folder for wd, folder in other.items() if wd in before or folder in places]

    def retry(self) -> None:
        for path in sorted(self.unwatched_folders()):
            self._add_tree(os.fsencode(path), self._lock)

    def enter(self, folder: bytes) -> None:
        with self._lock:
            self._watch(folder)

    def _add_all_callbacks(self, path: bytes) -> None:
        """watchdog calls this, with its lock held, for the root and for every folder that appears."""
        if path == self.path and not self.walk:
            self._watch(path)
        else:
            self._add_tree(path, nullcontext())
        if path == self.path and path not in self._active_callbacks_by_path:
            code = self.unwatched.get(path, errno.ENOENT)
            raise OSError(code, os.strerror(code), os.fsdecode(path))

    def _recursive_simulate(self, src_path: bytes) -> list[inotify_c.InotifyEvent]:
        """watchdog makes up events for all that is in a folder that appeared: its own already says where to look.

        Whatever comes into it later is told by the kernel. The walk itself would end at some depth, and so would the thread.
        """
        return []

    def _add_tree(self, top: bytes, lock: AbstractContextManager[Any]) -> dict[inotify_c.WatchDescriptor, bytes]:
        """Watch `top` and all under it, each folder before its content is listed; returns watch descriptor → folder."""
        found: dict[inotify_c.WatchDescriptor, bytes] = {}
        todo = [top] if self._matters(top) else []
        while todo:
            folder = todo.pop()
            with lock:
                wd = self._watch(folder)
            if wd is not None:
                found[wd] = folder
                todo.extend(map(os.fsencode, self.sorter.subfolders(os.fsdecode(folder))))
        return found

    def _watch(self, folder: bytes) -> inotify_c.WatchDescriptor | None:
        """Watch one folder, or note why not. Watching it again is harmless: the kernel knows it by its inode."""
        try:
            wd = self._inotify_fd.add_callback(folder, self.event_mask, self, self._id)
        except OSError as error:
            self.unwatched.pop(folder, None)
            if error.errno not in NOT_MISSED:
                self.unwatched[folder] = error.errno or errno.EIO
            return None
        self.unwatched.pop(folder, None)
        former = self._active_callbacks_by_watch.get(wd)
        if former is not None and former != folder and self._active_callbacks_by_path.get(former) == wd:
            del self._active_callbacks_by_path[former]
        self._active_callbacks_by_path[folder] = wd
        self._active_callbacks_by_watch[wd] = folder
        return wd

    def _matters(self, folder: bytes) -> bool:
        try:
            is_folder = stat.S_ISDIR(os.lstat(folder).st_mode)
        except OSError:
            is_folder = False
        if not is_folder:
            self.unwatched.pop(folder, None)
        return is_folder and self.sorter.covers(os.fsdecode(folder))

    def _recheck(self, wd: inotify_c.WatchDescriptor) -> None:
        """Drop the watch unless its path still leads to the folder that it is on."""
        path = self._active_callbacks_by_watch.get(wd)
        if path is not None and (not self._matters(path) or self._watch(path) != wd):
            self._remove_callbacks([wd])

    def _remove_watch_internally(self, wd: inotify_c.WatchDescriptor) -> None:
        # Two watches can claim one path while a folder is replaced; only the younger one is listed under it.
        path = self._active_callbacks_by_watch.pop(wd, None)
        if path is not None and self._active_callbacks_by_path.get(path) == wd:
            del self._active_callbacks_by_path[path]


class _Emitter(inotify.InotifyFullEmitter):
    """Makes its watches as a _Group, and hands what they see to the ears as plain values.

    watchdog would make events of its own of it, list the content of a renamed folder as if all of that had happened
    there, and pass everything through a queue to one more thread.
    """

    group: _Group

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        sorter: Sorter,
        ears: Ears,
        on_overflow: Callable[[], None],
        walk: bool,
        **more: Any,
    ) -> None:
        super().__init__(event_queue, watch, **more)
        self._walk = walk
        self._sorter = sorter
        self._ears = ears
        self._on_overflow = on_overflow
        self._last: tuple[str, int] | None = None  # path and kind of the change before

    def on_thread_start(self) -> None:
        self._inotify = self.group = _Group(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            event_mask=self.get_event_mask_from_filter(),
            is_recursive=True,
            sorter=self._sorter,
            tell=self._tell,
            on_overflow=self._on_overflow,
            walk=self._walk,
        )

    def build_and_queue_event(self, event: GroupedInotifyEvent, *, full_events: bool = True) -> None:
        """watchdog calls this for what was held, and for both halves of a rename at once."""
        self._tell(event)
        self.group.told()

    def _tell(self, event: GroupedInotifyEvent) -> None:
        if not isinstance(event, PathedInotifyEvent):
            source, target = event
            is_folder = source.ev.is_directory
            self._ears.renamed(os.fsdecode(source.path), os.fsdecode(target.path), is_folder=is_folder)
        elif event.ev.is_moved_to:
            self._ears.renamed("", os.fsdecode(event.path), is_folder=event.ev.is_directory)
        elif event.ev.is_moved_from:
            self._ears.renamed(os.fsdecode(event.path), "", is_folder=event.ev.is_directory)
        else:
            self._tell_change(event.ev, os.fsdecode(event.path))

    def _tell_change(self, seen: inotify_c.InotifyEvent, path: str) -> None:
        before, self._last = self._last, (path, seen.mask)
        if not seen.name and before == self._last:  # of a folder itself, after the one around it told the same
            return
        if seen.is_delete_self:
            if path != self.watch.path:
                return
            self.stop()
        self._ears.changed(
            path,
            is_folder=seen.is_directory,
            came_or_went=seen.is_create or seen.is_delete,
            closed=seen.is_close_write,
            written=seen.is_modify,
        )


class _Observer(inotify.InotifyObserver):
    """One reader and one emitter; the thread that would hand watchdog's own events on has nothing to do."""

    def __init__(
        self, *, sorter: Sorter, ears: Ears, on_overflow: Callable[[], None], walk: bool, queue: int | None
    ) -> None:
        self.reader = self._inotify_fd = _Reader(queue)
        if queue is None:
            self.reader.begin()
        # Past the parent's own constructor, which would make a plain reader.
        super(inotify.InotifyObserver, self).__init__(
            _Emitter, inotify_fd=self.reader, sorter=sorter, ears=ears, on_overflow=on_overflow, walk=walk
        )

    def emitter(self) -> _Emitter:
        (emitter,) = self.emitters
        return cast("_Emitter", emitter)


def _is_below(path: bytes, top: bytes) -> bool:
    return path == top or path.startswith(top + b"/")


def _quieten_watchdog() -> None:
    # What its warnings say is found out here in better ways, and told as a Trouble; one debug line per event is costly.
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
