"""The daemon's threads share one processor; what its packs' suites may use is not less for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from daemon import Daemon
from packs import script, write_pack
from receiver import SECRET, Receiver

_ALL = frozenset(os.sched_getaffinity(0))

pytestmark = pytest.mark.skipif(
    len(_ALL) < 2, reason="this machine gives one processor, and there is nothing to choose"
)


def of_threads(process: int) -> set[frozenset[int]]:
    """Where its threads may be; those that end meanwhile are nowhere."""
    found = set()
    for thread in os.listdir(f"/proc/{process}/task"):
        try:
            found.add(frozenset(os.sched_getaffinity(int(thread))))
        except ProcessLookupError:
            continue
    return found


@pytest.mark.parametrize("isolation", ["basic", "bwrap"])
def test_suites_may_use_every_processor(isolation: str, receiver: Receiver, tmp_path: Path) -> None:
    """Also those that follow in walls that stand, which are made by a process that keeps off the daemon's processor."""
    if isolation == "bwrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    webhook = {"name": "test", "url": receiver.url, "secret": SECRET}
    daemon = Daemon(tmp_path, webhooks=[webhook], tests={"isolation": isolation})
    daemon.start()
    assert daemon.process is not None
    settled = daemon.process.pid
    try:
        daemon.wait_until(lambda: all(len(where) == 1 for where in of_threads(settled)), "its threads to settle")
        for name in ("one", "two", "three", "four"):
            pack = write_pack(tmp_path / name, name)
            script(pack / "tests" / "run_tests.sh", f'echo "nproc: $(nproc)"; test "$(nproc)" = {len(_ALL)}')
            pack.rename(daemon.packs / name)
            receiver.wait_for("pack.registered", name)
        assert {len(where) for where in of_threads(settled)} == {1}
    finally:
        daemon.kill()
