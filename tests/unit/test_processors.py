"""The threads of the daemon stay on one processor, what they start does not, and nobody has to make room for them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from packd.processors import Processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ALL = frozenset(os.sched_getaffinity(0))

pytestmark = pytest.mark.skipif(
    len(_ALL) < 2, reason="this machine gives one processor, and there is nothing to choose"
)


@pytest.fixture(autouse=True)
def _back_again() -> Iterator[None]:
    yield
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # of another test, and just ended
            os.sched_setaffinity(int(thread), _ALL)


def own() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0))


def of_a_program() -> frozenset[int]:
    asked = "import os; print(*os.sched_getaffinity(0))"
    return frozenset(map(int, subprocess.check_output([sys.executable, "-c", asked], text=True).split()))


def in_a_thread(call: Callable[[], frozenset[int]]) -> frozenset[int]:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def test_every_thread_settles_and_so_do_those_that_come() -> None:
    """On one processor, the same for all."""
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(lambda: go_on.wait(20) and own())
        here = Processors()
        here.settle()
        go_on.set()
        assert here.home in _ALL
        assert own() == before.result() == in_a_thread(own) == {here.home}


def test_what_is_started_is_as_free_as_the_daemon_was() -> None:
    """And the other threads stay where they are meanwhile."""
    here = Processors()
    here.settle()
    with here.all():
        assert (own(), of_a_program()) == (_ALL, _ALL)
    assert own() == {here.home}
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(own)
        with here.all():
            assert pool.submit(own).result() == other.result() == {here.home}


def test_before_it_settles_nothing_is_changed() -> None:
    """All processors are its own, and there is nothing to look after."""
    here = Processors()
    with here.all():
        assert own() == _ALL
    assert (own(), here.home, here.look()) == (_ALL, None, False)
    assert here.described() == {"own": sorted(_ALL), "all": sorted(_ALL)}


def test_those_beside_it_keep_off_and_what_they_start_need_not() -> None:
    """Their threads leave the home to the daemon; programs that they start may use every processor."""
    here, (home, *others) = Processors(), sorted(_ALL)
    here.keep_off(home)
    assert own() == in_a_thread(own) == set(others)
    with here.all():
        assert of_a_program() == _ALL
    assert here.described() == {"own": others, "all": sorted(_ALL)}
    here.keep_off(None)
    assert own() == _ALL


def test_where_it_is_not_allowed_they_stay_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hardened service may not say where its threads are."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    here = Processors()
    here.settle()
    assert (here.home, here.look(), own()) == (None, False, _ALL)
    here.keep_off(min(_ALL))
    with here.all():
        assert of_a_program() == _ALL


class Machine:
    """Says how busy its processors were; every look is ten seconds after the one before."""

    def __init__(self) -> None:
        self.at_s = self.own_s = 0.0
        self.busy_s = dict.fromkeys(_ALL, 0.0)
        self.looked_at = 0

    def used(self) -> tuple[float, float]:
        return self.at_s, self.own_s

    def busy(self) -> dict[int, float]:
        self.looked_at += 1
        return dict(self.busy_s)

    def ten_seconds(self, here: Processors, *, own_s: float, taken_s: dict[int, float] | None = None) -> bool:
        """Of which packd used these at home, and others those; did it move?"""
        assert here.home is not None
        self.at_s += 10
        self.own_s += own_s
        self.busy_s[here.home] += own_s
        for processor, seconds in (taken_s or {}).items():
            self.busy_s[processor] += seconds
        return here.look()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def here(machine: Machine) -> Processors:
    """At work for a while."""
    made = Processors(used=machine.used, busy=machine.busy)
    made.settle()
    assert not machine.ten_seconds(made, own_s=5)
    return made


def home_of(here: Processors) -> int:
    assert here.home is not None
    return here.home


def test_it_moves_to_where_others_leave_more(here: Processors, machine: Machine) -> None:
    """A home that others keep busy is left, by all threads."""
    home = home_of(here)
    assert machine.ten_seconds(here, own_s=5, taken_s={home: 4.0})
    assert here.home != home
    assert own() == in_a_thread(own) == {here.home}


def test_its_own_work_is_no_reason(here: Processors, machine: Machine) -> None:
    """However busy it keeps its home itself, it stays."""
    assert not machine.ten_seconds(here, own_s=10)


def test_it_stays_where_it_is_no_worse_than_elsewhere(here: Processors, machine: Machine) -> None:
    """Suites that use every processor are no reason to go from one to another."""
    assert not machine.ten_seconds(here, own_s=2, taken_s={**dict.fromkeys(_ALL, 7.0), home_of(here): 8.0})


def test_what_was_long_ago_counts_no_more(here: Processors, machine: Machine) -> None:
    """It goes by the time since it last looked."""
    assert not machine.ten_seconds(here, own_s=1, taken_s=dict.fromkeys(_ALL, 9.0))
    assert machine.ten_seconds(here, own_s=1, taken_s={home_of(here): 9.0})


def test_while_nothing_is_done_nobody_is_looked_at(here: Processors, machine: Machine) -> None:
    """Nor does what others did meanwhile count when there is something to do again."""
    looked_at = machine.looked_at
    for _ in range(3):
        assert not machine.ten_seconds(here, own_s=0.1, taken_s={home_of(here): 9.0})
    assert machine.looked_at == looked_at
    assert not machine.ten_seconds(here, own_s=5)
    assert not machine.ten_seconds(here, own_s=5)
    assert machine.ten_seconds(here, own_s=5, taken_s={home_of(here): 4.0})


def test_a_processor_that_is_gone_is_left(here: Processors, machine: Machine) -> None:
    """As when a machine takes one offline."""
    home = home_of(here)
    machine.own_s, machine.at_s = machine.own_s + 5, machine.at_s + 10
    del machine.busy_s[home]
    assert here.look()
    assert here.home != home


def test_it_finds_out_by_itself_how_busy_they_are() -> None:
    """The kernel's own counters can be read, and it always has a home."""
    here = Processors()
    here.settle()
    for _ in range(3):
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
        here.look()
        assert here.home in _ALL
