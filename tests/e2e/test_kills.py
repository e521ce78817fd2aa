"""kill -9 at two hundred random points under load: what was committed arrives, and nobody can tell that anything happened.

Packs keep changing, receivers now and then refuse or break off, and the daemon is killed at any moment, while it starts
as well. In the end a checker that uses nothing of packd reads what the receivers got and what the registry says.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from daemon import DEADLINE_S, Daemon
from packs import write_pack
from receiver import SECRET, Receiver

NURSERY = Path(__file__).with_name("nursery.py")
KILLS = 100  # in each of two runs, which take the two processors
MOST_TOLD = 6  # events of one life that a receiver hears of before the kill; two changed packs make seven
PATIENCE_S = 20.0  # on a busy machine
REFS = tuple(f"p{number}" for number in range(5))


class Nursery:
    """The process that forks daemons; see nursery.py."""

    def __init__(self, daemon: Daemon) -> None:
        arguments = ["run", str(daemon.packs), "--config", str(daemon._config), "--state-dir", str(daemon.state)]
        self._process = subprocess.Popen(
            [sys.executable, str(NURSERY), str(daemon.log), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._pid = 0

    def start(self) -> int:
        self._pid = self._ask("start")
        return self._pid

    def end(self, number: int) -> int:
        """Send the signal; returns how it ended."""
        os.kill(self._pid, number)
        self._pid, ended = 0, self._ask("wait")
        return ended

    def close(self) -> None:
        if self._pid:
            self.end(signal.SIGKILL)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE_S)
        self._process.stdout.close()

    def _ask(self, word: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def receiving(chance: random.Random) -> Iterator[Receiver]:
    """One that refuses every twelfth event or so, the first time it comes."""
    receiver = Receiver()
    refused: set[str] = set()

    def answer(event: dict[str, Any]) -> int:
        if event["id"] not in refused and chance.random() < 1 / 12:
            refused.add(event["id"])
            return 503
        return 204

    receiver.answer = answer
    try:
        yield receiver
    finally:
        receiver.close()


@pytest.mark.timeout(900)  # a hundred lives of half a second; on a busy machine several seconds each
@pytest.mark.parametrize("seed", [20_26, 4_711])
def test_two_hundred_kills_at_random_points_under_load(tmp_path: Path, seed: int) -> None:
    """Every committed event arrives, duplicates are byte-identical, the order per pack holds, no place is missing."""
    chance = random.Random(seed)
    versions = dict.fromkeys(REFS, 0)
    with receiving(random.Random(seed)) as lanes, receiving(random.Random(-seed)) as strict:
        daemon = Daemon(
            tmp_path,
            webhooks=[
                {"name": "lanes", "url": lanes.url, "secret": SECRET, "types": ["pack.*", "daemon.*"]},
                {"name": "strict", "url": strict.url, "secret": SECRET, "ordering": "strict"},
            ],
            delivery={"schedule_s": [0] + [0.1] * 50},
            log={"level": "warning"},
        )
        nursery = Nursery(daemon)
        try:
            for _ in range(KILLS):
                nursery.start()
                for ref in chance.sample(REFS, 2):
                    versions[ref] += 1
                    write_whole(daemon, ref, versions[ref])
                live(chance, lanes)
                assert nursery.end(signal.SIGKILL) == -signal.SIGKILL, daemon.tail()
            nursery.start()
            for ref, number in versions.items():
                wait_active(daemon, ref, f"1.{number}.0")
            for receiver, name in ((lanes, "lanes"), (strict, "strict")):
                wanted = count(daemon, f"SELECT count(*) FROM deliveries WHERE endpoint = '{name}'")
                receiver.wait_until(lambda got, wanted=wanted: len({one.webhook_id for one in got}) >= wanted)
            daemon.wait_until(
                lambda: count(daemon, "SELECT count(*) FROM deliveries WHERE state = 'pending'") == 0, "rest"
            )
            assert nursery.end(signal.SIGTERM) == 0, daemon.tail()
        finally:
            nursery.close()
        check(daemon, lanes, "lanes", strict=False)
        check(daemon, strict, "strict", strict=True)
        assert count(daemon, "SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0
        assert len(lanes.received) > 2 * KILLS, "that was no load"
        repeated = len(lanes.received) - len({one.webhook_id for one in lanes.received})
        print(f"{len(lanes.received)} deliveries to lanes ({repeated} repeated), {len(strict.received)} to strict")


def live(chance: random.Random, receiver: Receiver) -> None:
    """Until a random point: while it starts, or when it has told of so many events, and a few milliseconds more."""
    if chance.random() < 1 / 5:
        time.sleep(chance.uniform(0, 0.5))  # the moment of the kill, not a wait for a result
        return
    told, wanted = len(receiver.received), chance.randint(1, MOST_TOLD)
    with suppress(AssertionError):  # fewer were to be told: then it is killed while it has nothing to do
        receiver.wait_until(lambda received: len(received) >= told + wanted, PATIENCE_S)
    time.sleep(chance.uniform(0, 0.02))  # as above


def check(daemon: Daemon, receiver: Receiver, name: str, *, strict: bool) -> None:
    """What an independent reader of the registry and of the receiver's log finds."""
    events = rows(daemon, "SELECT seq, id, type, subject, body FROM events ORDER BY seq")
    assert [seq for seq, *_ in events] == list(range(1, len(events) + 1)), "the events have a gap"
    asked_for = [
        (identity, json.loads(body))
        for _, identity, type_, _, body in events
        if (type_.startswith("pack.") and type_ != "pack.test_started") or (type_.startswith("daemon.") and not strict)
    ]
    told = [one for one in receiver.received if one.type != "daemon.stopping"]
    came: dict[str, set[bytes]] = defaultdict(set)
    for one in told:
        came[one.webhook_id].add(one.body)
    committed = {identity for identity, body in asked_for if body["type"] != "daemon.stopping"}
    assert not receiver.unverified
    assert set(came) == committed, "told is not what was committed"
    assert all(len(bodies) == 1 for bodies in came.values()), "a duplicate with other bytes"
    for identity, body in asked_for:
        for told_body in came.get(identity, ()):
            said = json.loads(told_body)
            said.pop("endpoint_seq")
            assert said == body, "told is not what is in the feed"
    places = sorted({one.event["endpoint_seq"] for one in receiver.received})
    assert places == list(range(1, len(places) + 1)), "endpoint_seq has a hole"
    for subject in {one.event["subject"] for one in told}:
        in_order(one.event["seq"] for one in told if strict or one.event["subject"] == subject)


def in_order(seqs: Iterator[int]) -> None:
    """As they came for the first time."""
    firsts = list(dict.fromkeys(seqs))
    assert firsts == sorted(firsts), "told out of order"


def write_whole(daemon: Daemon, ref: str, number: int) -> None:
    """New content by one exchange, as a deployment does it."""
    fresh = write_pack(daemon.packs / f".{ref}-{number}", ref, f"1.{number}.0", test="sleep 0.05")
    old = daemon.packs / ref
    if old.exists():
        old.rename(daemon.packs / f".{ref}-{number}-old")
    fresh.rename(old)


def wait_active(daemon: Daemon, ref: str, version: str) -> None:
    query = f"SELECT count(*) FROM revisions WHERE ref = '{ref}' AND version = '{version}' AND phase = 'active'"
    daemon.wait_until(lambda: count(daemon, query) == 1, f"{ref} {version} to be active")


def rows(daemon: Daemon, query: str) -> list[Any]:
    with closing(sqlite3.connect(daemon.state / "packd.db", timeout=30)) as database:
        return database.execute(query).fetchall()


def count(daemon: Daemon, query: str) -> int:
    return int(rows(daemon, query)[0][0])
