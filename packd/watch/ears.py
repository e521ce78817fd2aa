"""Turn file events into hints. Runs for every event of a copy, so it does very little."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from packd.watch.hints import Hint, Place, Sorter, hints_of, hints_of_move

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Ears:
    """Listens to the events of one folder tree."""

    def __init__(self, root: str, *, sorter: Sorter, hint: Callable[[Hint], None], wake: Callable[[], None]) -> None:
        """`wake` is called when something happened to the root itself."""
        self._root = root
        self._sorter = sorter
        self._hint = hint
        self._wake = wake
        self.folders_changed = False  # any folder came, went or was renamed
        self._renamed: deque[str] = deque()

    def changed(
        self, path: str, *, is_folder: bool, came_or_went: bool, closed: bool = False, written: bool = False
    ) -> None:
        """`written`: to a file, which is open in the program that did; `closed`: that program has closed it."""
        if path == self._root:
            self._wake()
            return
        place = self._place(path, is_folder)
        for hint in hints_of(place, whole=closed, written=written, at=time.monotonic()):
            self._hint(hint)
        if is_folder and came_or_went:
            self.folders_changed = True
        elif came_or_went and place.drop is None:
            self._gone_from_top(path)

    def renamed(self, path: str, target: str, *, is_folder: bool) -> None:
        """`path` or `target` is empty when that end lies outside of the watched folders."""
        source, goal = self._place(path, is_folder), self._place(target, is_folder)
        for hint in hints_of_move(source, goal, at=time.monotonic()):
            self._hint(hint)
        if is_folder:
            self.folders_changed = True
            if path:
                self._renamed.extend(place.drop for place in (source, goal) if place.drop is not None)
        elif source.drop is None:
            self._gone_from_top(path)

    def doubt(self, drops: list[str]) -> None:
        """What is watched in these drops is doubtful, too."""
        self._renamed.extend(drops)

    def take_renamed(self) -> set[str]:
        """Drops in which, since the last call, a folder was renamed: what is watched there, and as what, is doubtful."""
        names: set[str] = set()
        while self._renamed:
            names.add(self._renamed.popleft())
        return names

    def misheard(self, folders: Iterable[str]) -> None:
        """What changed in them until now was perhaps not told, or of another drop."""
        for drop in {self._sorter.place(folder, plain=False).drop for folder in folders} - {None}:
            self._hint(Hint(drop=drop, at=time.monotonic()))

    def _gone_from_top(self, path: str) -> None:
        """What is not there any more may have been a link, which is a drop, and can't be told from a plain file now."""
        if self._sorter.is_top(path) and not os.path.lexists(path):
            for hint in hints_of(self._sorter.place(path, plain=False), at=time.monotonic()):
                self._hint(hint)

    def _place(self, path: str, is_folder: bool) -> Place:
        place = self._sorter.place(path, plain=not is_folder)
        if place.drop is None and not is_folder and self._sorter.is_top(path):
            return self._sorter.place(path, plain=not Path(path).is_symlink())
        return place
