"""What a contained program sees of the machine, as a list of mounts. Pure but for looking at what is there.

The system's programs and a chosen few of /etc, read-only; what the program needs beside them, read-only; its own
folders, of limited size. Nothing else of the machine has a name in there.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from packd.testrun.limits import MIB
from packd.testrun.usage import size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packd.testrun.sandbox import Order

# Those of the sandbox, of limited size.
TMP: Final = Path("/tmp")  # noqa: S108
SHM: Final = Path("/dev/shm")  # noqa: S108
_PROGRAMS: Final = tuple(map(Path, ("/usr", "/nix/store", "/gnu/store")))
_BESIDE_USR: Final = tuple(map(Path, ("/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32")))
_TMP_SIZE: Final = 256 * MIB
_SHM_SIZE: Final = 64 * MIB
_RESOLVER: Final = Path("/etc/resolv.conf")

Kind = Literal["read", "write", "empty", "link", "folder"]


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One thing that is to be seen."""

    kind: Kind
    path: Path  # where it is seen
    source: Path | None = None  # what is seen there; of a link, where it leads
    size: int = 0  # bytes, of an empty one
    mode: int = 0o755  # of an empty one
    is_own: bool = False  # an empty one that the program may write to


@dataclass(frozen=True, kw_only=True)
class LastingView:
    """What several programs, one after another, can have in common. What they write to is not in it."""

    network: bool  # the machine's own
    mounts: tuple[Mount, ...]

    @cached_property
    def _hash(self) -> int:
        return hash((self.network, self.mounts))

    def __hash__(self) -> int:
        """Asked for every program; taking it anew costs as much as starting one."""
        return self._hash


def view(order: Order, etc: Path, hidden: Iterable[Path] = ()) -> list[Mount]:
    """In the order in which they are to be made. `etc` is shown as /etc; `hidden` is never seen, whatever is around it.

    /proc and /dev are the rung's own.
    """
    own = [Mount(kind="write", path=path, source=path) for path in order.writable]
    if order.private is not None:
        own.append(Mount(kind="empty", path=order.private, size=room_of(order), is_own=True))
    return [*_system(etc), *_resolver(order), *_around(order, hidden, own)]


def lasting_view(order: Order, etc: Path, hidden: Iterable[Path] = ()) -> LastingView:
    """The same for all programs that differ in nothing but their own folders, which lie in the same one."""
    room = room_in_common(order)
    own = [Mount(kind="empty", path=order.private.parent, size=room, is_own=True)] if order.private is not None else []
    mounts = (*_system(etc), *_resolver(order), *_around(order, hidden, own))
    return LastingView(network=order.network, mounts=mounts)


def room_in_common(order: Order) -> int:
    """The same in whole mebibytes, so that most packs have the same."""
    return -(-room_of(order) // MIB) * MIB


def room_of(order: Order) -> int:
    """Bytes that its own folder may hold, 0 for no limit: what it holds from the beginning is not counted as written."""
    limit = order.limits.disk_mb * MIB
    held = order.given if order.fill is not None else order.private
    return limit and held is not None and limit + size_of(held)


def _around(order: Order, hidden: Iterable[Path], own: Iterable[Mount]) -> Iterator[Mount]:
    scratch = min(order.limits.disk_mb * MIB or _TMP_SIZE, _TMP_SIZE)
    own = [
        Mount(kind="empty", path=TMP, size=scratch, mode=0o1777, is_own=True),
        Mount(kind="empty", path=SHM, size=min(scratch, _SHM_SIZE), mode=0o1777, is_own=True),
        *own,
    ]
    seen = [Mount(kind="read", path=path, source=path) for path in _needed(order)]
    around = [mount.path for mount in (*seen, *own) if mount.kind != "empty"]
    masks = [
        Mount(kind="empty", path=path, size=4096, mode=0o555)
        for path in hidden
        if any(_lies_in(path, other) for other in around)
    ]
    # The outer before the inner; what is hidden before what is needed of it.
    inside = sorted((*masks, *seen, *own), key=lambda mount: len(mount.path.parts))
    return _with_parents(_once(inside))


def _system(etc: Path) -> Iterator[Mount]:
    for path in _PROGRAMS:
        if path.is_dir():
            yield Mount(kind="read", path=path, source=path)
    for path in _BESIDE_USR:
        if path.is_symlink():
            yield Mount(kind="link", path=path, source=path.readlink())
        elif path.is_dir():
            yield Mount(kind="read", path=path, source=path)
    yield Mount(kind="read", path=Path("/etc"), source=etc)
    for name in ("/run", "/var"):
        yield Mount(kind="folder", path=Path(name))
    yield Mount(kind="link", path=Path("/var/tmp"), source=TMP)  # noqa: S108


def _resolver(order: Order) -> Iterator[Mount]:
    """As it is now: it changes while the machine changes networks."""
    if order.network and _RESOLVER.is_file():
        yield Mount(kind="read", path=_RESOLVER, source=_RESOLVER.resolve())


def _needed(order: Order) -> list[Path]:
    """What the order names, and the program itself where that is none of the system's."""
    needed = [path for path in order.readable if path.exists()]
    program = shutil.which(order.argv[0], path=order.env.get("PATH", os.defpath))
    if program is not None:
        # Each link on the way has to be seen as well as what it leads to.
        needed += [
            path for path in (Path(program), Path(program).resolve()) if not _is_seen(path, (*needed, *order.writable))
        ]
    return [path for path in dict.fromkeys(needed) if not _is_seen(path, ()) and not _is_within_private(path, order)]


def _is_seen(path: Path, others: Iterable[Path]) -> bool:
    return any(_lies_in(path, other) for other in (*_PROGRAMS, *_BESIDE_USR, *others))


def _is_within_private(path: Path, order: Order) -> bool:
    return order.private is not None and _lies_in(path, order.private)


def _lies_in(path: Path, folder: Path) -> bool:
    """As Path.is_relative_to, ten times faster: it is asked dozens of times for each suite."""
    parts = folder.parts
    return path.parts[: len(parts)] == parts


def _once(mounts: Iterable[Mount]) -> Iterator[Mount]:
    """What lies in something that is shown already needs no mount of its own."""
    shown: list[Mount] = []
    for mount in mounts:
        around = [other for other in shown if _lies_in(mount.path, other.path)]
        if around and mount.kind == around[-1].kind == "read":
            continue
        shown.append(mount)
        yield mount


def _with_parents(mounts: Iterable[Mount]) -> Iterator[Mount]:
    """The folders on the way, open to be passed through by whoever the program runs as."""
    made = {Path("/"), Path("/dev")}
    shown: list[Path] = []
    for mount in mounts:
        for parent in reversed(mount.path.parents):
            if parent not in made and not any(_lies_in(parent, path) for path in shown):
                made.add(parent)
                yield Mount(kind="folder", path=parent)
        if mount.kind in ("read", "write"):
            shown.append(mount.path)
        made.add(mount.path)
        yield mount
