"""A receiver and a daemon for each test, ended with it whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from receiver import SECRET, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()
    assert not receiver.unverified, receiver.unverified


@pytest.fixture
def daemon(tmp_path: Path, receiver: Receiver) -> Iterator[Daemon]:
    """Not started yet; tells the receiver everything about packs."""
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}])
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.kill()
