"""`packd`, but killed by SIGKILL at the N-th transaction: `python crashing.py before|after N packd-arguments…`.

"before" dies with the transaction open, "after" right behind its commit, before anybody could act on it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from packd.__main__ import main
from packd.registry.registry import Registry


def die_at(moment: str, number: int) -> None:
    write = Registry.write
    counted = 0

    @contextmanager
    def dying(registry: Registry, **how: Any) -> Iterator[Any]:
        nonlocal counted
        counted += 1
        mine = counted
        listeners = registry._listeners
        if mine == number and moment == "after":
            registry._listeners = [lambda _: _die(), *listeners]
        with write(registry, **how) as tx:
            yield tx
            if mine == number and moment == "before":
                _die()
        if mine == number:
            _die()

    Registry.write = dying  # type: ignore[method-assign]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["packd", *sys.argv[3:]]
    sys.exit(main())
