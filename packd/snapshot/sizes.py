"""How large folders are that never change once they have their name: each is measured once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BLOCK: Final = 4096  # the least that a file takes, on the file systems in use


@dataclass(frozen=True, kw_only=True)
class Total:
    """All of them together."""

    folders: int
    bytes: int  # on the disk, every file rounded up to whole blocks


class Sizes:
    """Remembers what it has measured. For one thread."""

    def __init__(self) -> None:
        self._known: dict[Path, int] = {}

    def total(self, folders: Iterable[Path]) -> Total:
        """Of these; those that are new cost a walk, and those that are gone are forgotten."""
        self._known = {folder: self._known.get(folder) or on_disk(folder) for folder in folders}
        return Total(folders=len(self._known), bytes=sum(self._known.values()))


def on_disk(folder: Path) -> int:
    """Bytes that a tree takes; what vanishes meanwhile counts nothing."""
    total, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    total += _whole_blocks(entry.stat(follow_symlinks=False).st_size)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue
    return total


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
