"""The folders and the socket: are they there, on a disk that fits, and may they be used?"""

from __future__ import annotations

import os
import pwd
import socket as sockets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.domain.printing import quoted
from packd.flow.diagnosis.answers import Answer, ok, warning, wrong
from packd.watch.scan import drops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.ignore import Ignore

_MIB: Final = 1024 * 1024
_FREE_WRONG: Final = 100 * _MIB  # too little for one snapshot of a common pack
_FREE_WARNING: Final = 1024 * _MIB
_INODES_WARNING: Final = 10_000
_UNREADABLE_SHOWN: Final = 3
# The kernel tells of changes made here only; what other machines write is found by scanning (inotify(7), "Limitations").
_SHARED: Final = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "afs",
)


def packs_folder(
    folder: Path, ignore: Ignore, *, markers: bool, every_s: float, watched: bool = False
) -> Iterator[Answer]:
    """The packs directory; `watched`: a daemon runs and has seen it."""
    about = "packs directory"
    if not is_folder(folder):
        there = "is no folder" if os.path.lexists(folder) else "is not there"
        if watched:
            yield wrong(about, f"{folder} {there}, and a daemon watches it", "put it back, or mount it again")
        elif os.path.lexists(folder) or not os.access(_nearest(folder), os.W_OK):
            yield wrong(about, f"{folder} {there}", f"mkdir -p {folder}, or name another with packs_dir")
        else:
            yield ok(about, f"{folder} is not there yet; the daemon makes it")
        return
    try:
        found = drops(folder, ignore)
    except OSError as failure:
        yield wrong(
            about,
            f"{folder} can't be read: {failure.strerror}",
            f"let {_me()} read it: chmod o+rx {quoted(str(folder))}",
        )
        return
    yield ok(about, f"{folder}: {len(found)} {'drop' if len(found) == 1 else 'drops'}")
    yield from _unreadable(folder)
    if markers and not os.access(folder, os.W_OK):
        yield warning(
            about,
            f"{folder} can't be written by {_me()}: there will be no .failed files beside the drops",
            f"let {_me()} write it, or set `markers: none`",
        )
    if folder.stat().st_mode & stat.S_IWOTH and not folder.stat().st_mode & stat.S_ISVTX:
        yield warning(
            about,
            f"everybody may write {folder}, and what is dropped there is run",
            f"chmod o-w {quoted(str(folder))}, and let a group write it",
        )
    kind = _file_system(folder)
    if kind in _SHARED:
        yield warning(
            about,
            f"{folder} is on {kind}: what other machines write there is only found by scanning, every {every_s:g} s",
            "set watch.reconcile_every_s to what you can wait for, or keep the folder on a disk of this machine",
        )


def _unreadable(folder: Path) -> Iterator[Answer]:
    refused: list[Path] = []
    for inside, folders, _ in os.walk(folder):
        below = (Path(inside, name) for name in folders)
        refused += [path for path in below if not os.access(path, os.R_OK | os.X_OK)]
        if len(refused) > _UNREADABLE_SHOWN:
            break
    if refused:
        shown = ", ".join(map(str, refused[:_UNREADABLE_SHOWN])) + (
            " and more" if len(refused) > _UNREADABLE_SHOWN else ""
        )
        yield wrong(
            "permissions", f"{_me()} may not read {shown}", f"chmod -R u+rX,go+rX {quoted(str(folder))}, or setfacl"
        )


def state_folder(folder: Path, packs_dir: Path) -> Iterator[Answer]:
    """The daemon's own."""
    about = "state directory"
    if not is_folder(folder):
        if os.path.lexists(folder) or not os.access(_nearest(folder), os.W_OK):
            why = "is no folder" if os.path.lexists(folder) else f"can't be made by {_me()}"
            yield wrong(about, f"{folder} {why}", "name another with --state-dir, or let packd make it")
        else:
            yield ok(about, f"{folder} is not there yet; the daemon makes it")
        return
    found = folder.stat()
    if found.st_uid != os.geteuid():
        owner = _name_of(found.st_uid)
        yield warning(
            about,
            f"{folder} belongs to {owner}: what {_me()} may do says nothing about the daemon",
            f"ask as its user: sudo -u {_as_for_sudo(found.st_uid)} packd doctor",
        )
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield wrong(about, f"{folder} can't be written by {_me()}", f"chmod u+rwx {quoted(str(folder))}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        yield warning(
            about,
            f"{folder} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}), and secrets are in it",
            f"chmod 700 {quoted(str(folder))}; the daemon does it when it starts",
        )
    if folder.is_relative_to(packs_dir):
        yield wrong(about, f"{folder} lies in the packs directory {packs_dir}", "keep the two apart")
    kind = _file_system(folder)
    if kind in _SHARED:
        yield wrong(
            about,
            f"{folder} is on {kind}, where SQLite's locks can't be trusted (sqlite.org/wal.html)",
            "keep it on a disk of this machine, or use database_url with a PostgreSQL server",
        )
    yield ok(about, f"{folder} on {kind or 'an unknown file system'}")


def disk(folder: Path, about: str) -> Answer:
    """Room where `folder` is, or is going to be."""
    space = os.statvfs(_nearest(folder))
    free, share = space.f_bavail * space.f_frsize, space.f_bavail / (space.f_blocks or 1)
    said = f"{_size(free)} free ({share:.0%}) where {folder} is"
    fix = "make room there: `packd sweep`, and whatever else is not needed"
    if free < _FREE_WRONG:
        return wrong(about, f"only {said}", fix)
    if space.f_files and space.f_favail < _INODES_WARNING:
        return warning(about, f"only {space.f_favail} inodes are left where {folder} is", fix)
    return warning(about, f"only {said}", fix) if free < _FREE_WARNING else ok(about, said)


def socket(path: Path, *, answers: bool, pid: int | None) -> Answer:
    """`answers`: a daemon does; `pid`: of the process that holds the state directory, None when nobody does."""
    about = "socket"
    if answers:
        return ok(about, f"a daemon answers at {path}")
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):  # noqa: PTH110  as in is_folder
        group = path.stat().st_gid
        return wrong(about, f"{_me()} may not talk to {path}", f"join its group ({group}), or ask as the daemon's user")
    if pid is not None:
        return wrong(about, *_unheard(path, pid))
    if os.path.lexists(path) and not path.is_socket():
        return wrong(
            about, f"{path} is there and is no socket", f"remove it, or choose another with api.socket: {path}"
        )
    if not os.access(_nearest(path.parent), os.W_OK):
        return wrong(about, f"{_me()} can't make a socket at {path}", "choose another place with --socket")
    return Answer(about=about, outcome="ok", said=f"nobody answers at {path}: no daemon runs here", fix="packd run")


def _unheard(path: Path, pid: int) -> tuple[str, str]:
    """What is said of a daemon that does not answer there, and the way out."""
    if _is_listened_at(path):
        return (
            f"a daemon runs (pid {pid}), and does not answer at {path}",
            "see its log, and start it again if that goes on",
        )
    return (
        f"a daemon runs (pid {pid}), and nobody answers at {path}",
        "say where its socket is with --socket or $PACKD_SOCKET; `packd config show` says what the file says",
    )


def _is_listened_at(path: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX) as calling:
        calling.setblocking(False)
        try:
            calling.connect(os.fspath(path))
        except BlockingIOError:  # as many as may are waiting to be taken in
            return True
        except OSError:
            return False
        return True


def is_folder(path: Path) -> bool:
    """Is one there, as far as this user may look?"""
    return os.path.isdir(path)  # noqa: PTH112  Path.is_dir() raises where nobody may look


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    while not is_folder(path) and path != path.parent:
        path = path.parent
    return path


def _file_system(folder: Path) -> str | None:
    """The type of the mount that it is on (proc_pid_mountinfo(5)); None when the kernel does not say."""
    place, best, kind = folder.resolve(), -1, None
    try:
        lines = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        _, at, found, *_ = line.split(" ")
        mount = at.encode().decode("unicode_escape")
        if place.is_relative_to(mount) and len(mount) >= best:
            best, kind = len(mount), found
    return kind


def _size(count: float) -> str:
    return f"{count / 1024 / _MIB:.1f} GiB" if count >= 1024 * _MIB else f"{count / _MIB:.0f} MiB"


def _me() -> str:
    return _name_of(os.geteuid())


def _as_for_sudo(uid: int) -> str:
    """A user without a name goes by the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"'#{uid}'"


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
