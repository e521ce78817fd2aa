"""Whose a folder is that packd puts back, and who may do what with it: as with what it takes the place of."""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Final

from packd.snapshot.copying import READ
from packd.snapshot.tree import opened_folder

if TYPE_CHECKING:
    from pathlib import Path

_READ_WRITE: Final = 0o666
_READ: Final = 0o444
_TO_EXECUTE: Final = 2  # from the bit that lets somebody read to the one that lets him execute


def permit_alike(before: Path, after: Path) -> None:
    """Give `after`, a copy that packd made, the owner, group and permissions that `before` has.

    What is only in the copy gets those of the folder that it is in; what may be executed is part of the content, and
    stays. Where packd is not root the owner can't be given, and the group only if packd is in it. No link is followed
    in either. Raises OSError.
    """
    with opened_folder(before) as model, opened_folder(after) as copy:
        _folder(copy, model, os.fstat(model))


def _folder(copy: int, model: int | None, like: os.stat_result) -> None:
    with os.scandir(copy) as listing:
        found = [(item.name, item.stat(follow_symlinks=False)) for item in listing]
    for name, seen in found:
        its = _model(name, model, seen) or like
        if stat.S_ISDIR(seen.st_mode):
            _below(name, copy, model if its is not like else None, its)
        elif stat.S_ISLNK(seen.st_mode):
            _give(name, its, copy)
        else:
            _file(name, copy, seen, its)
    _permit(copy, like, stat.S_IMODE(like.st_mode) | stat.S_IRWXU)  # packd can remove it, should it come to that


def _below(name: str, copy: int, model: int | None, like: os.stat_result) -> None:
    there = nullcontext(None) if model is None else opened_folder(name, model)
    with opened_folder(name, copy) as inside, there as its:
        _folder(inside, its, like)


def _file(name: str, copy: int, seen: os.stat_result, like: os.stat_result) -> None:
    mode = like.st_mode & _READ_WRITE | stat.S_IRUSR
    if seen.st_mode & stat.S_IXUSR:
        mode |= (mode & _READ) >> _TO_EXECUTE
    opened = os.open(name, READ, dir_fd=copy)
    try:
        _permit(opened, like, mode)
    finally:
        os.close(opened)


def _model(name: str, model: int | None, seen: os.stat_result) -> os.stat_result | None:
    """What has this name there, if it is of the same kind."""
    with suppress(FileNotFoundError):
        found = None if model is None else os.stat(name, dir_fd=model, follow_symlinks=False)
        if found is not None and stat.S_IFMT(found.st_mode) == stat.S_IFMT(seen.st_mode):
            return found
    return None


def _permit(opened: int, like: os.stat_result, mode: int) -> None:
    """Only what packd has made: who may write to the packs directory may have put something else in its place."""
    seen = os.fstat(opened)
    if seen.st_uid != os.geteuid() or (stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1):
        return
    _give(opened, like)
    os.fchmod(opened, mode)


def _give(what: int | str, like: os.stat_result, within: int | None = None) -> None:
    """Owner and group, or the group alone, or neither."""
    for owner in (like.st_uid, -1):
        with suppress(PermissionError):
            if isinstance(what, int):
                os.fchown(what, owner, like.st_gid)
            else:
                os.chown(what, owner, like.st_gid, dir_fd=within, follow_symlinks=False)
            return
