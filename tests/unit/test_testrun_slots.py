"""Slots: a semaphore that forked processes share, and that a killed one does not keep."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from packd.testrun.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots(2)
    yield made
    made.close()


def test_no_more_than_there_are(slots: Slots) -> None:
    """The third waits in vain until one is given back."""
    assert slots.acquire(0.0)
    assert slots.acquire(0.0)
    assert not slots.acquire(0.02)
    slots.release()
    assert slots.acquire(0.0)


def test_a_waiting_thread_gets_what_is_given_back(slots: Slots) -> None:
    """A slot that becomes free goes to whoever waits for one."""
    assert slots.acquire(0.0)
    assert slots.acquire(0.0)
    got: list[bool] = []
    waiting = threading.Thread(target=lambda: got.append(slots.acquire(20.0)))
    waiting.start()
    slots.release()
    waiting.join(20.0)
    assert got == [True]


def test_a_forked_process_counts_and_its_end_frees(slots: Slots) -> None:
    """Also an end that it had no say in."""
    assert slots.acquire(0.0)
    said, saying = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(saying, b"y" if slots.acquire(0.0) and not slots.acquire(0.0) else b"n")
        signal.pause()
    assert os.read(said, 1) == b"y"
    assert not slots.acquire(0.0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert slots.acquire(0.0)
    os.close(said)
    os.close(saying)
