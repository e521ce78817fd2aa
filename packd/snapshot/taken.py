"""What became of taking a drop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A drop's content, fixed."""

    digest: str  # "sha256:" and 64 hexadecimal digits, see packd.snapshot.digest
    path: Path  # its tree in the store
    files: int  # regular files
    bytes: int  # their content
    fingerprint: str | None  # of the drop when it was read, see Tree.fingerprint; None: look again next time
    newest_ns: int  # Unix time of the latest change in the drop
    warnings: tuple[Problem, ...]  # what is odd about the drop, and accepted


# The codes of what has not come to rest. Which of them it is, and of which file, hangs on when one looks.
UNSETTLED: Final = frozenset({"tree.changed", "tree.incomplete", "tree.vanished", "archive.truncated"})


@dataclass(frozen=True, kw_only=True)
class Unsettled:
    """The drop was changed while it was read, vanished, or has not all arrived: nothing was kept, try again later."""

    problem: Problem  # what to say if it stays like this; its code is one of UNSETTLED
    fingerprint: str | None = None  # as in Refused, of an archive without its end: only other content can have one


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The drop can't become a snapshot as it is."""

    problems: tuple[Problem, ...]  # at least one error
    fingerprint: str | None  # of the drop, as in Snapshot: while it stays, so do the problems


Taken = Snapshot | Unsettled | Refused
