"""The markers beside a drop: what became of it, in plain words, where it was dropped."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

Mode = Literal["failed", "all", "none"]
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class Markers:
    """Writes `<drop>.failed` and, when asked to, `<drop>.active`; nothing where the folder is read-only."""

    def __init__(self, packs_dir: Path, mode: Mode) -> None:
        self._packs_dir = packs_dir
        self._mode = mode

    def follow(self, mode: Mode) -> None:
        """Write these from now on; those that are there are put right when their drop is next looked at."""
        self._mode = mode

    @property
    def tells_of_active(self) -> bool:
        """Is there a marker for packs that are in use, too?"""
        return self._mode == "all"

    def show(self, drop: str, *, failed: str | None, active: str | None) -> None:
        """Make the markers of `drop` say this; None takes one away."""
        if self._mode == "none":
            return
        self._set(f"{drop}.failed", failed)
        self._set(f"{drop}.active", active if self.tells_of_active else None)

    def clear(self, drop: str) -> None:
        self.show(drop, failed=None, active=None)

    def _set(self, name: str, text: str | None) -> None:
        path = self._packs_dir / name
        try:
            if text is None:
                path.unlink(missing_ok=True)
            elif not _says(path, text):
                self._write(path, text)
        except OSError as failure:
            if failure.errno not in _READ_ONLY:
                log.warning("marker.not_written", path=str(path), error=str(failure))

    def _write(self, path: Path, text: str) -> None:
        """Whole or not at all: a reader never sees half a sentence. Never through a link that somebody put there."""
        fresh = self._packs_dir / f".{path.name}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        fresh.replace(path)


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8", errors="replace") == text
    except OSError:
        return False
