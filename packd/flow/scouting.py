"""A look at the packs directory ahead of everything else, with nothing but what that needs.

What is found of each drop stands for the reconciler's own glance at it, as long as the queue that was watched into keeps
what has changed since. And if all is as it was when packd last ended, and nothing has to go on, there is nothing that
readiness would have to wait for.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.flow.packs_folder import PacksFolder
    from packd.registry.glimpse import Glimpse
    from packd.watch.scan import DropSeen


class Found(NamedTuple):
    """One drop. A tuple, as there may be very many."""

    kind: str
    fingerprint: str | None  # None: look at it
    folders: tuple[str, ...]  # of it, by their paths within the packs directory; each was watched before it was listed


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a look at everything found."""

    identity: str | None = None  # of the packs directory
    drops: dict[str, Found] = field(default_factory=dict)  # by their names
    whole: bool = False  # everything could be listed and watched
    at_rest: bool = False  # and is as it was: nothing has to be done

    def glance(self, name: str, entering: Callable[[str], None] | None = None) -> str | None:
        """As `PacksFolder.glance`."""
        found = self.drops.get(name)
        if found is None:
            return None
        if entering is not None:
            for folder in found.folders:
                entering(folder)
        return found.fingerprint

    def is_as(self, before: Glimpse) -> bool:
        """Is all as it was known, and is there nothing that has to go on?"""
        now = {(name, one.kind): one.fingerprint for name, one in self.drops.items()}
        same = now == before.fingerprints and None not in now.values()
        return same and self.whole and self.identity == before.root_identity and before.is_at_rest


class Surveyor:
    """Looks once."""

    def __init__(self, folder: PacksFolder, watch: Callable[[bytes], None]) -> None:
        """`watch` is called for each folder before it is listed; it raises OSError where that is refused."""
        self._folder = folder
        self._watch = watch
        self._root = os.path.realpath(folder.path)
        self._entered: list[str] = []
        self._whole = True

    def survey(self) -> Survey:
        """What can't be looked at is left to those who come later."""
        self._enter(self._root)
        identity = self._folder.identity()
        try:
            found = {one.name: self._look(one) for one in self._folder.drops()}
        except OSError:
            return Survey()
        return Survey(identity=identity, drops=found, whole=self._whole and identity is not None)

    def _look(self, one: DropSeen) -> Found:
        self._entered = []
        fingerprint = self._folder.glance(one.name, self._enter_drop) if one.kind == "folder" else None
        if fingerprint is None:
            fingerprint = self._look_properly(one)
        return Found(one.kind, fingerprint, tuple(self._entered))

    def _look_properly(self, one: DropSeen) -> str | None:
        self._entered = []
        tree = self._folder.look(one.name, self._enter_drop)
        return tree.fingerprint(time.time_ns()) if tree.whole or one.kind != "folder" else None

    def _enter_drop(self, inside: str) -> None:
        self._entered.append(inside)
        self._enter(f"{self._root}/{inside}")

    def _enter(self, folder: str) -> None:
        try:
            self._watch(folder.encode("utf-8", "surrogateescape"))
        except OSError:
            self._whole = False
