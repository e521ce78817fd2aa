"""Has git, Mercurial or a copying tool put everything there? A clone fills `.git` or `.hg` first, which is no part of a
pack, and the files come last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from packd.snapshot.copying import CHUNK, READ
from packd.snapshot.limits import finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.domain.problems import Problem
    from packd.snapshot.entries import Tree

# What a clone fills first, and how the files are put there if that went no further.
_TO_FILL: Final = {".git": "git checkout HEAD -- .", ".hg": "hg update"}


def unfinished(source: Path, tree: Tree) -> Problem | None:
    """What to say of a folder into which files are still brought, or that a clone fills for the first time, or a submodule in
    it; None when nobody does."""
    if tree.is_file:
        return None
    if tree.transferring is not None:
        said = "a file is being transferred under this name: the pack is read when all is there"
        return finding("tree.incomplete", said, tree.transferring)
    if not tree.entries:
        there = (name for name in _TO_FILL if os.path.lexists(source / name))
        return next((_incomplete(f"there is nothing in it but {name}", _TO_FILL[name]) for name in there), None)
    if os.path.lexists(source / ".git" / "index.lock") and not os.path.lexists(source / ".git" / "index"):
        return _incomplete("git has not put all files into it", _TO_FILL[".git"])
    if os.path.lexists(source / ".git" / "modules"):
        return next((_awaited(path) for path in _empty(tree) if _is_unfilled(source / path)), None)
    return None


def _empty(tree: Tree) -> Iterator[str]:
    """The folders in which nothing is part of the pack."""
    filled = {entry.path.rpartition("/")[0] for entry in tree.entries}
    return (entry.path for entry in tree.entries if entry.kind == "folder" and entry.path not in filled)


def _is_unfilled(folder: Path) -> bool:
    """Is it a submodule, and its first checkout still to come? Git transfers all of them before it fills the first."""
    try:
        opened = os.open(folder / ".git", READ)
    except OSError:
        return False
    try:
        key, _, place = os.read(opened, CHUNK).partition(b": ")
    except OSError:
        return False
    finally:
        os.close(opened)
    return key == b"gitdir" and not os.path.lexists(folder / os.fsdecode(place.strip()) / "index")


def _awaited(submodule: str) -> Problem:
    said = (
        "git has put nothing into this submodule: if it is being cloned, the pack is read when that is done; if not, run "
        "`git submodule update --init --recursive` in the pack"
    )
    return finding("tree.incomplete", said, submodule)


def _incomplete(why: str, fill: str) -> Problem:
    said = f"{why}: if it is being cloned, it is read when that is done; if not, run `{fill}` in it"
    return finding("tree.incomplete", said)
