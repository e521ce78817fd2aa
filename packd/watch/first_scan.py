"""The first scan of a daemon, which names the folders that are to be watched: one walk instead of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.watch.watcher import Tree


class FirstScan:
    """Watches what a scan comes by: each folder before its content is listed, so that no change falls between."""

    def __init__(self, tree: Tree | None) -> None:
        self._tree = tree
        self._partial: list[str] = []
        self._is_over = False

    @property
    def queued(self) -> bool:
        """Has everything that changed since the queue given to the watcher was made been kept in it?"""
        return self._tree is not None and self._tree.queued

    @property
    def enter(self) -> Callable[[str], None] | None:
        """To be called with each folder's path within the packs directory; None when they are watched already."""
        return None if self._tree is None else self._tree.enter

    def partly(self, drop: str) -> None:
        """Not every folder of this drop was entered."""
        self._partial.append(drop)

    def over(self) -> None:
        """Everything in the packs directory was looked at."""
        self._is_over = True

    @property
    def doubtful(self) -> list[str] | None:
        """The drops that have to be walked once more; None: all of them."""
        return self._partial if self._is_over else None
