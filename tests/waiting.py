"""How tests wait: for what happens, and never for a time. The deadline is for a slow and busy machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Found = TypeVar("Found")


def wait_until(
    condition: Callable[[], Found], what: str | Callable[[], str] = "what is waited for", *, deadline_s: float = 60.0
) -> Found:
    """What `condition` returns, once that is true; fails when it never is, and says `what` it was waiting for then."""
    deadline = time.monotonic() + deadline_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what if isinstance(what, str) else what()}")
        time.sleep(0.01)
    return found


def until_exists(path: Path | str) -> str:
    """What a suite does to go on until a test makes `path`; a sandbox that shows it nothing of the machine is no place for it."""
    return f"until test -e {path}; do sleep 0.01; done"
