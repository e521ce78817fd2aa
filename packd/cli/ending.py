"""Being asked to end in the middle of something that has to be cleared up, by a terminal that closes or by a CI system."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUESTS: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def orderly_end() -> Iterator[None]:
    """A request to end leaves the block as Ctrl-C does, with the exit status that shells have for it. Once is enough."""

    def end(number: int, _: object) -> None:
        for heard in usual:
            signal.signal(heard, signal.SIG_IGN)
        sys.exit(128 + number)

    # What is ignored stays so, as SIGHUP under nohup.
    usual = {number: was for number in _REQUESTS if (was := signal.getsignal(number)) != signal.SIG_IGN}
    for number in usual:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, was in usual.items():
            signal.signal(number, was)
