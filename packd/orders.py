"""What the daemon and its scout say to each other, see `packd.scout`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from packd.extent import Extent

LONGEST_ORDERS: Final = 64 * 1024  # bytes
MOST_HANDED_ON: Final = 200  # descriptors in one message; SCM_RIGHTS takes 253, unix(7)
SURVEYED: Final = b"surveyed"  # with a file that holds the Survey
WAITING: Final = b"waiting"  # with connections
RELIEVED: Final = b"relieved"


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What the scout learns when the settings have been read, with the socket that it may answer at."""

    extent: Extent  # of the packs directory
    state_dir: Path
    floor_bytes: int  # so much has to be free for something new
    may_vouch: bool  # nothing was asked for that the machine may refuse while the daemon is still loading
