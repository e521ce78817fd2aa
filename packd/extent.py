"""Which folder the packs directory is, what counts in it, and how large a pack may be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packd.domain.sizes import MIB, MOST_DEPTH, MOST_FILES, MOST_MB

if TYPE_CHECKING:
    from packd.config import Settings
    from packd.flow.packs_folder import PacksFolder


class Extent(NamedTuple):
    """The packs directory in plain values, which are equal when nothing that lies there looks different."""

    path: Path
    ignore: tuple[str, ...] = ()  # more names that are no part of any pack
    files: int = MOST_FILES
    bytes_mb: int = MOST_MB
    depth: int = MOST_DEPTH

    def folder(self) -> PacksFolder:
        """To look at it."""
        from packd.domain.ignore import Ignore
        from packd.flow.packs_folder import PacksFolder
        from packd.snapshot.limits import Limits

        return PacksFolder(
            path=self.path,
            ignore=Ignore(self.ignore),
            limits=Limits(files=self.files, bytes=self.bytes_mb * MIB, depth=self.depth),
        )


def extent_of(settings: Settings) -> Extent:
    """As the settings have it."""
    most = settings.limits
    return Extent(settings.packs_dir, settings.watch.ignore, most.files, most.bytes_mb, most.depth)


def usual_extent(path: Path) -> Extent:
    """As the settings will have it where they say nothing of this but the path."""
    return Extent(Path(os.path.abspath(path)))  # noqa: PTH100  resolve() would follow the links
