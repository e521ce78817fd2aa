"""How large a pack may be where nothing else is said."""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

MOST_FILES: Final = 20_000  # files, folders and links
MOST_MB: Final = 512  # all files together, in MiB
MOST_DEPTH: Final = 32  # folders inside folders
