"""`<state>/active/<ref>`: a link to the tree in use, switched by rename. A projection of the registry, never the truth."""

from __future__ import annotations

import itertools
import secrets
import threading
from typing import TYPE_CHECKING

import structlog

from packd.flow.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = structlog.get_logger(__name__)


class Links:
    """Readers that follow a link see one tree or the other, never a mixture and never nothing.

    What can't be put right is logged and left to the next time; the others do not wait for it.

    Several threads ask the registry and then point, and what one of them was told can be out of date by the time that it
    points. So each takes a number before it asks: where a later one has pointed already, it knew better.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._targets = Targets(folder)
        self._numbers = itertools.count(1)
        self._pointed: dict[str, int] = {}  # ref → the number of who pointed it last
        self._one_at_a_time = threading.Lock()  # for a few system calls, which wait for each other in one folder anyway
        folder.mkdir(parents=True, exist_ok=True)

    def number(self) -> int:
        """Of whoever is about to ask the registry where links are to lead; higher than all that were given out."""
        return next(self._numbers)

    def point(self, ref: str, tree: Path | None, *, number: int | None = None) -> bool:
        """Make `ref` lead to `tree`, in one step; None takes the link away.

        `number`: taken before that was asked; None: it is true now. False when somebody knew better.
        """
        number = number or self.number()
        with self._one_at_a_time:
            if self._pointed.get(ref, 0) > number:
                return False
            self._pointed[ref] = number
            self._point(ref, tree)
        return True

    def _point(self, ref: str, tree: Path | None) -> None:
        try:
            if tree is None:
                self._take_away(ref)
            elif not self._targets.leads_to(ref, tree):
                self._make(ref, self._targets.of(tree))
        except OSError as failure:
            log.error("link.not_made", pack=ref, folder=str(self._folder), error=str(failure))

    def rebuild(self, trees: Mapping[str, Path], *, number: int | None = None) -> int:
        """Make the folder say exactly this; returns how many links were wrong. `number`: see `point`."""
        number = number or self.number()
        others = self._targets.names() - trees.keys()
        wrong = [ref for ref, tree in trees.items() if not self._targets.leads_to(ref, tree)]
        # Among the others may be one that is just being made; it has its name by the time that it is its turn.
        return sum(self.point(name, trees.get(name), number=number) for name in (*others, *wrong))

    def _make(self, ref: str, target: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f".{ref}.{secrets.token_hex(4)}"
        fresh.symlink_to(target)
        try:
            fresh.replace(self._folder / ref)
        except IsADirectoryError:
            self._take_away(ref)
            fresh.replace(self._folder / ref)

    def _take_away(self, name: str) -> None:
        """A folder, which packd never makes here, is somebody's: it is moved and not removed."""
        path = self._folder / name
        try:
            path.unlink(missing_ok=True)
        except IsADirectoryError:
            aside = self._folder.with_name("misplaced") / f"{name}.{secrets.token_hex(4)}"
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
            log.warning("link.misplaced", found=str(path), moved_to=str(aside))
