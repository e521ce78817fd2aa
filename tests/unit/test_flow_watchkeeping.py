"""Troubles of watching are told in the order in which they came about, though several threads find them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from packd.flow.clock import Clock
from packd.flow.watchkeeping import Watchkeeper
from packd.registry.full_disk import DiskFull
from packd.registry.registry import Registry, Writer
from packd.watch.hints import Hint
from tests.unit.registry_ground import made_ground
from tests.waiting import wait_until

SLOW_MACHINE_S = 20.0


class Behind:
    """The registry, behind what `first` does before each transaction."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.first: Callable[[], None] = lambda: None

    @contextmanager
    def write(self) -> Iterator[Writer]:
        self.first()
        with self._registry.write() as tx:
            yield tx


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[tuple[Behind, list[str]]]:
    """And the types of the events that were told."""
    told: list[str] = []
    with made_ground("sqlite", tmp_path) as ground:
        ground.now_s = time.time()
        ground.registry.on_commit(lambda events: told.extend(event.type for event in events))
        yield Behind(ground.registry), told


def keeper(behind: Behind, settling: Any = None) -> Watchkeeper:
    registry: Any = behind
    return Watchkeeper(packs_dir=Path("/srv/packs"), registry=registry, settling=settling, clock=Clock())


def test_an_end_is_told_behind_its_beginning(behind: tuple[Behind, list[str]]) -> None:
    """Also when another thread finds the end while the beginning still waits for the disk; hints wait for neither."""
    registry, told = behind
    settling = Mock()
    made = keeper(registry, settling)
    waits = threading.Event()

    def until_it_is_over() -> None:
        registry.first = lambda: None
        waits.set()
        wait_until(lambda: not made.troubles())

    registry.first = until_it_is_over
    beginning = threading.Thread(target=made.lost_root, args=("it was replaced",))
    beginning.start()
    assert waits.wait(SLOW_MACHINE_S)
    made.on_hint(Hint(drop="nmap", at=0.0))
    assert settling.touched.called
    made.found_root()
    beginning.join(SLOW_MACHINE_S)
    assert told == ["watch.degraded", "watch.recovered"]


def test_what_there_was_no_room_to_tell_is_told_later(behind: tuple[Behind, list[str]]) -> None:
    """An end without its beginning would leave everybody guessing what was wrong."""
    registry, told = behind
    made = keeper(registry)

    def is_full() -> None:
        raise DiskFull("/srv/state/packd.db")

    registry.first = is_full
    made.low_space(Path("/srv/packs"), "only 3 MiB are free")
    assert (made.troubles(), told) == (["disk"], [])
    registry.first = lambda: None
    made.enough_space(Path("/srv/packs"))
    made.enough_space(Path("/srv/packs"))
    assert told == ["watch.degraded", "watch.recovered"]
