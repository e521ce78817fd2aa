"""What was most likely meant as a pack and is left alone: told without being asked, once for as long as it lies there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from packd.watch.ignored import is_alike

if TYPE_CHECKING:
    from packd.flow.packs_folder import PacksFolder

log = structlog.get_logger(__name__)


class LeftAlone:
    """Archives of other sorts, and a pack.yaml outside of every folder. From any thread."""

    def __init__(self, folder: PacksFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._told: dict[str, str] = {}  # name → why

    def look(self) -> None:
        """At all of the packs directory; when that can't be listed, the next time."""
        try:
            there = self._folder.alikes()
        except OSError:
            return
        for name in sorted(there | self._told.keys()):
            self.look_at(name)

    def look_at(self, name: str) -> None:
        """At what lies there under this name, if anything."""
        why = self._folder.why_ignored(name) if is_alike(name) else None
        with self._lock:
            if why is None:
                self._told.pop(name, None)
                return
            is_new = name not in self._told
            self._told[name] = why
        if is_new:
            log.warning("drop.left_alone", drop=name, why=why)

    def view(self) -> list[dict[str, str]]:
        """By name."""
        with self._lock:
            return [{"name": name, "why": why} for name, why in sorted(self._told.items())]
