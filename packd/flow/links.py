"""`<state>/active/<ref>`: a link to the tree in use, switched by rename. A projection of the registry, never the truth."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Links:
    """Readers that follow a link see one tree or the other, never a mixture and never nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def point(self, ref: str, tree: Path | None) -> None:
        """Make `ref` lead to `tree`, in one step; None takes the link away."""
        link = self._folder / ref
        if tree is None:
            link.unlink(missing_ok=True)
            return
        target = os.path.relpath(tree, self._folder)  # relative: the state directory can be moved as a whole
        if self._target(ref) == target:
            return
        fresh = self._folder / f".{ref}.{secrets.token_hex(4)}"
        fresh.symlink_to(target)
        fresh.replace(link)

    def rebuild(self, trees: Mapping[str, Path]) -> int:
        """Make the folder say exactly this; returns how many links were wrong."""
        wrong = 0
        for entry in sorted(self._folder.iterdir()):
            if entry.name not in trees:
                entry.unlink()
                wrong += 1
        for ref, tree in trees.items():
            if self._target(ref) != os.path.relpath(tree, self._folder):
                self.point(ref, tree)
                wrong += 1
        return wrong

    def _target(self, ref: str) -> str | None:
        try:
            return os.readlink(self._folder / ref)
        except OSError:
            return None
