"""Where the links of `<state>/active` lead. Looking loads nothing: the scout looks before anything is loaded."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Targets:
    """Of the links in one folder, which need not be there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._way_to = cache(lambda store: os.path.relpath(store, folder))  # all trees lie in one

    def names(self) -> set[str]:
        """Of whatever lies there."""
        try:
            return set(os.listdir(self._folder))
        except FileNotFoundError:
            return set()

    def of(self, tree: Path) -> str:
        """What a link to this tree says: a relative path, so that the state directory can be moved as a whole."""
        return f"{self._way_to(tree.parent)}/{tree.name}"

    def leads_to(self, ref: str, tree: Path) -> bool:
        """Is there a link of this name that says so?"""
        try:
            return os.readlink(f"{self._folder}/{ref}") == self.of(tree)
        except OSError:
            return False

    def are_right(self, trees: Mapping[str, Path]) -> bool:
        """Does the folder say exactly this?"""
        return trees.keys() == self.names() and all(self.leads_to(ref, tree) for ref, tree in trees.items())
