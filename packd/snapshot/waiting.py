"""Look at a drop at a moment after which no change can hide.

A file changed twice within one tick of the clock has the same ctime both times (at least before Linux 6.13). Were it
read in between, the second change could never be seen. So what has changed in this very tick is not read before the
next: one tick is 1 to 10 ms, and a drop that has settled is older than that.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from packd.snapshot.entries import MARGIN_NS
from packd.snapshot.limits import finding
from packd.snapshot.tree import look

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.ignore import Ignore
    from packd.snapshot.entries import Tree
    from packd.snapshot.limits import Limits

_CLOCK_REALTIME_COARSE: Final = 5  # the clock that Linux stamps files with; not among the names that `time` has
_TICK_NS: Final = round(time.clock_getres(_CLOCK_REALTIME_COARSE) * 1e9)
_ATTEMPTS: Final = 3


def look_when_quiet(path: Path, ignore: Ignore, limits: Limits) -> Tree:
    """As `look`, such that whatever changes after the return will show; unsettled if it does not stop changing."""
    for _ in range(_ATTEMPTS):
        tree = look(path, ignore, limits)
        wait_ns = _until_distinct_ns(tree)
        if wait_ns <= 0 or tree.unsettled or tree.refused:
            return tree
        time.sleep(wait_ns / 1e9)
    return replace(tree, unsettled=finding("tree.changed", "it is still being written"))


def _until_distinct_ns(tree: Tree) -> int:
    """How long until a change must get another timestamp than the latest one there is; 0 when it does already."""
    needed = 1 if tree.margin_ns == MARGIN_NS else tree.margin_ns
    missing = tree.changed_ns + needed - time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
    # Much further ahead than that: the clock was set back since, and the next change gets an earlier timestamp.
    return missing + _TICK_NS if 0 < missing <= tree.margin_ns else 0
