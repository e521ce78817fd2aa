"""Has git put everything there? While it clones it fills `.git`, which is no part of a pack, and the files come last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from packd.snapshot.limits import finding

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.problems import Problem
    from packd.snapshot.entries import Tree


def unfinished(source: Path, tree: Tree) -> Problem | None:
    """What to say of a folder that git is still filling for the first time; None when it is not."""
    if tree.is_file:
        return None
    if not tree.entries and os.path.lexists(source / ".git"):
        return _incomplete("there is nothing in it but .git")
    if os.path.lexists(source / ".git" / "index.lock") and not os.path.lexists(source / ".git" / "index"):
        return _incomplete("git has not put all files into it")
    return None


def _incomplete(why: str) -> Problem:
    said = f"{why}: if it is being cloned, it is read when that is done; if not, run `git checkout HEAD -- .` in it"
    return finding("tree.incomplete", said)
