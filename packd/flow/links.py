"""`<state>/active/<ref>`: a link to the tree in use, switched by rename. A projection of the registry, never the truth."""

from __future__ import annotations

import os
import secrets
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Links:
    """Readers that follow a link see one tree or the other, never a mixture and never nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._way_to = cache(lambda store: os.path.relpath(store, folder))  # all trees lie in one
        folder.mkdir(parents=True, exist_ok=True)

    def point(self, ref: str, tree: Path | None) -> None:
        """Make `ref` lead to `tree`, in one step; None takes the link away."""
        link = self._folder / ref
        if tree is None:
            link.unlink(missing_ok=True)
            return
        target = self._relative(tree)
        if self._target(ref) == target:
            return
        fresh = self._folder / f".{ref}.{secrets.token_hex(4)}"
        fresh.symlink_to(target)
        fresh.replace(link)

    def rebuild(self, trees: Mapping[str, Path]) -> int:
        """Make the folder say exactly this; returns how many links were wrong."""
        wrong = 0
        for name in sorted(os.listdir(self._folder)):
            if name not in trees:
                (self._folder / name).unlink()
                wrong += 1
        for ref, tree in trees.items():
            if self._target(ref) != self._relative(tree):
                self.point(ref, tree)
                wrong += 1
        return wrong

    def are_right(self, trees: Mapping[str, Path]) -> bool:
        """Does the folder say exactly this?"""
        return trees.keys() == set(os.listdir(self._folder)) and all(
            self._target(ref) == self._relative(tree) for ref, tree in trees.items()
        )

    def _relative(self, tree: Path) -> str:
        """So that the state directory can be moved as a whole."""
        return f"{self._way_to(tree.parent)}/{tree.name}"

    def _target(self, ref: str) -> str | None:
        try:
            return os.readlink(f"{self._folder}/{ref}")
        except OSError:
            return None
