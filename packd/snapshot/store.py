"""The store: immutable trees, each under the digest of its content, written once and whole.

    <root>/<64 hexadecimal digits>/   a snapshot: exactly the pack's tree, read-only
    <root>/tmp-<random>/              one that is being written or removed; after a crash nothing but rubbish

A snapshot gets its name by one rename, when it is complete and on the disk. Until then it has none.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from packd.processors import HERE
from packd.snapshot.archive import unpack
from packd.snapshot.checkout import unfinished
from packd.snapshot.cloning import clone_tree
from packd.snapshot.copying import (
    READ,
    READ_ONLY_EXECUTABLE,
    ChangedError,
    UnreadableError,
    changed,
    copy_tree,
    is_still,
    read_tree,
)
from packd.snapshot.digest import digest as digest_of
from packd.snapshot.digest import hex_of
from packd.snapshot.discarding import discard_quietly
from packd.snapshot.durable import Unflushed, flush_folder, flush_tree
from packd.snapshot.limits import MOST_DEPTH, Limits
from packd.snapshot.space import StoreFull, StoreUnwritable, naming_trouble
from packd.snapshot.taken import Refused, Snapshot, Taken, Unsettled
from packd.snapshot.tree import is_shortage, look, open_folder, opened_folder, trouble, walk
from packd.snapshot.waiting import look_when_quiet

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.ignore import Ignore
    from packd.snapshot.digest import Content
    from packd.snapshot.entries import Tree

__all__ = ["Refused", "Snapshot", "Store", "StoreFull", "StoreUnwritable", "Taken", "Unsettled"]

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_TEMPORARY: Final = "tmp-"
_LARGE: Final = 1024 * 1024  # bytes: reading them takes longer than sending a thread elsewhere and back
_PATHS_REMEMBERED: Final = 256  # a revision on its way is asked for several times
_THERE_ALREADY: Final = (errno.EEXIST, errno.ENOTEMPTY)
_NO_LIMITS: Final = Limits(files=sys.maxsize, bytes=sys.maxsize, depth=MOST_DEPTH, path_length=sys.maxsize)


class Store:
    """Takes snapshots and keeps them. Safe for several threads; for one process at a time."""

    def __init__(self, root: Path, limits: Limits) -> None:
        """Makes the folder `root` if it is missing. Raises StoreUnwritable, OSError."""
        self._root = root
        self._limits = limits
        self._path_of = lru_cache(_PATHS_REMEMBERED)(lambda digest: root / hex_of(digest))
        with naming_trouble(root):
            root.mkdir(parents=True, exist_ok=True)

    # --- what is in it -----------------------------------------------------------------------------------------------

    def path(self, digest: str) -> Path:
        """Where the tree of `digest` is, if it is there. Raises ValueError when it is not a digest."""
        return self._path_of(digest)

    def has(self, digest: str) -> bool:
        """Is it stored? Raises ValueError when it is not a digest."""
        return self.path(digest).is_dir()

    def digests(self) -> list[str]:
        """Everything that is stored, sorted."""
        return sorted(f"sha256:{name}" for name in os.listdir(self._root) if _HEX.fullmatch(name))

    def age_s(self, digest: str) -> float:
        """Seconds since its content was last taken, by the file system's clock; never negative, 0 when it is gone."""
        try:
            return max(0.0, time.time() - self.path(digest).stat().st_ctime)
        except OSError:
            return 0.0

    def verify(self, digest: str) -> bool:
        """Is it stored, and still what its digest says? Reads all of it.

        Raises ValueError when it is not a digest, OSError when the daemon itself is out of something.
        """
        path = self.path(digest)
        try:
            with opened_folder(path) as folder:
                tree = walk(folder, None, _NO_LIMITS)
                if tree.refused or tree.unsettled:
                    return False
                with _anywhere_if_large(tree):
                    return digest_of(read_tree(tree, folder)) == digest
        except (ChangedError, UnreadableError):
            return False
        except OSError as failure:
            if is_shortage(failure):
                raise
            return False

    # --- into it -----------------------------------------------------------------------------------------------------

    def take(self, source: Path, ignore: Ignore) -> Taken:
        """Fix the content of a drop, a folder or an archive, and keep it under its digest.

        What is returned as a Snapshot is complete, durable, and what the drop was at one moment. Raises StoreFull,
        StoreUnwritable, and OSError when a disk fails.
        """
        tree = look_when_quiet(source, ignore, self._limits)
        if tree.refused and tree.unsettled is None:
            return Refused(problems=tree.problems, fingerprint=tree.fingerprint(tree.began_ns))
        if (problem := tree.unsettled or unfinished(source, tree)) is not None:
            return Unsettled(problem=problem)
        try:
            with (
                self._temporary() as fresh,
                naming_trouble(self._root),
                Unflushed(fresh) as copy,
                _anywhere_if_large(tree),
            ):
                if tree.is_file:
                    return self._take_archive(source, ignore, tree, fresh, copy)
                contents = _copy(source, tree, copy)
                self._check_unchanged(source, ignore, tree)
                return self._keep(tree, fresh, copy, contents, content=tree)
        except ChangedError as change:
            return Unsettled(problem=change.problem)
        except UnreadableError as failure:
            return Refused(problems=(*failure.problems, *tree.problems), fingerprint=None)

    def _take_archive(self, source: Path, ignore: Ignore, tree: Tree, fresh: Path, copy: Unflushed) -> Taken:
        fingerprint = tree.fingerprint(tree.began_ns)
        with self._temporary() as room:
            with _reading(source, tree) as opened:
                unpacked = unpack(opened, source.name, room, ignore, self._limits)
            self._check_unchanged(source, ignore, tree)
            if unpacked.truncated is not None:
                return Unsettled(problem=unpacked.truncated, fingerprint=fingerprint)
            if unpacked.top is None:
                return Refused(problems=unpacked.problems, fingerprint=fingerprint)
            content = look(unpacked.top, ignore, self._limits)
            if content.refused:
                return Refused(problems=content.problems, fingerprint=fingerprint)
            contents = _copy(unpacked.top, content, copy)
        return self._keep(tree, fresh, copy, contents, content=content)

    def _check_unchanged(self, source: Path, ignore: Ignore, tree: Tree) -> None:
        """Whatever was read, good or bad, means nothing if it was changed meanwhile. Raises ChangedError."""
        again = look(source, ignore, self._limits)
        if (problem := again.unsettled or unfinished(source, again)) is not None:
            raise ChangedError(problem)
        if not tree.same_as(again):
            raise ChangedError(changed(""))

    def _keep(self, tree: Tree, fresh: Path, copy: Unflushed, contents: list[Content], *, content: Tree) -> Snapshot:
        """Give the finished copy its name; `tree` is the drop, `content` the pack in it."""
        digest = digest_of(contents)
        path = self.path(digest)
        is_there = os.path.lexists(path)  # whatever it is by now
        if not (is_there and self.verify(digest) and _asked_for_again(path)):
            os.fchmod(copy.folder, READ_ONLY_EXECUTABLE)
            copy.flush(files=content.files)
            damaged = self.set_aside(digest) if is_there else None
            _rename_unless_there(fresh, path)
            if damaged is not None:
                discard_quietly(damaged)
        flush_folder(self._root)  # also when it was there: the rename may be as young as a crash a moment ago
        return Snapshot(
            digest=digest,
            path=path,
            files=content.files,
            bytes=content.bytes,
            fingerprint=tree.fingerprint(tree.began_ns),
            newest_ns=tree.newest_ns,
            warnings=content.problems,
        )

    # --- out of it ---------------------------------------------------------------------------------------------------

    def copy_out(self, digest: str, destination: Path, *, writable: bool = True, durable: bool = False) -> None:
        """Make the new folder `destination` a copy of a snapshot, for a test run or to put a pack back.

        Raises ValueError when it is not a digest, LookupError when it is not stored, FileExistsError when the
        destination is there already, StoreFull and StoreUnwritable for the disk of the destination.
        """
        path = self.path(digest)
        if not path.is_dir():
            raise LookupError(f"there is no {digest} in {self._root}: was it swept, or the store replaced?")
        with naming_trouble(destination.parent):
            destination.mkdir()
        try:
            with (
                naming_trouble(destination.parent),
                opened_folder(path) as source,
                opened_folder(destination) as folder,
            ):
                files = clone_tree(source, folder, writable=writable)
                if not writable:
                    os.fchmod(folder, READ_ONLY_EXECUTABLE)
                if durable:
                    flush_tree(folder, files=files)
                    flush_folder(destination.parent)
        except BaseException:
            discard_quietly(destination)
            raise

    def copy_tree(self, tree: Path, destination: Path) -> None:
        """`copy_out`, for those who know a snapshot by its tree."""
        self.copy_out(f"sha256:{tree.name}", destination)

    def remove(self, digest: str) -> bool:
        """Take a snapshot out of the store, in one step for whoever looks. False when it was not there.

        Raises ValueError when it is not a digest, StoreUnwritable.
        """
        doomed = self.set_aside(digest)
        if doomed is None:
            return False
        discard_quietly(doomed)
        return True

    def set_aside(self, digest: str) -> Path | None:
        """The first half of `remove`, which is quick: where the tree is now, to be discarded. None when it was not there.

        Raises ValueError when it is not a digest, StoreUnwritable.
        """
        doomed = self._temporary_path()
        with naming_trouble(self._root):
            try:
                return self.path(digest).rename(doomed)
            except FileNotFoundError:
                return None

    def clear_temporaries(self) -> int:
        """Remove what a crash left behind; returns how much that was. For the start, when nobody is writing."""
        leftovers = [name for name in os.listdir(self._root) if name.startswith(_TEMPORARY)]
        for name in leftovers:
            discard_quietly(self._root / name)
        return len(leftovers)

    def _temporary_path(self) -> Path:
        return self._root / f"{_TEMPORARY}{secrets.token_hex(8)}"

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A new private folder beside the snapshots, so that a rename suffices; what is left of it is removed."""
        path = self._temporary_path()
        with naming_trouble(self._root):
            try:
                path.mkdir(mode=0o700)
            except FileNotFoundError:  # somebody removed the store; what was in it is missed by the integrity check
                self._root.mkdir(parents=True, exist_ok=True)
                path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            discard_quietly(path)


def _copy(source: Path, tree: Tree, copy: Unflushed) -> list[Content]:
    with _reading(source, tree) as opened:
        return copy_tree(tree, opened, copy.folder, wrote=copy.wrote, filled=copy.filled)


def _anywhere_if_large(tree: Tree) -> AbstractContextManager[None]:
    """Around reading all of it. How much is in an archive is not known yet."""
    return HERE.all() if tree.is_file or tree.bytes > _LARGE else nullcontext()


@contextmanager
def _reading(path: Path, tree: Tree) -> Iterator[int]:
    """What was looked at, open. Raises ChangedError, UnreadableError."""
    try:
        opened = os.open(path, READ) if tree.is_file else open_folder(path)
    except OSError as failure:
        problem = trouble("", failure)
        raise ChangedError(problem) if problem.code == "tree.vanished" else UnreadableError([problem]) from None
    try:
        if tree.is_file and not is_still(tree.entries[0], os.fstat(opened)):
            raise ChangedError(changed(""))
        yield opened
    finally:
        os.close(opened)


def _asked_for_again(path: Path) -> bool:
    """See `age_s`. False when it was removed in the meantime."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _rename_unless_there(fresh: Path, path: Path) -> None:
    try:
        fresh.rename(path)
    except OSError as failure:
        if failure.errno not in _THERE_ALREADY:
            raise
