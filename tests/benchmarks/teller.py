"""The part of the daemon that tells, in a process of its own: the real registry on disk, dispatcher, courier and sender.

`python teller.py FOLDER` reads one JSON object a line and answers each with one:
{"endpoints": [url, …]}                   make these endpoints anew, and nothing waits
{"burst": n}                              commit n events while nothing leaves, then let all leave; when that was
{"paced": n, "every_s": s}                commit n events, one after the other; {event id: when it was committed}
{"bodies": true}                          what was sent to the first endpoint, for the bare peer
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import structlog

from packd.domain.event_data import PackUpdated
from packd.domain.event_parts import PackInfo
from packd.flow.clock import Clock
from packd.flow.courier import NetworkCourier
from packd.flow.dispatch import Dispatcher
from packd.flow.metrics import Metrics
from packd.notify.envelope import webhook_body
from packd.notify.sender import Sender
from packd.notify.signature import encode_secret
from packd.processors import HERE
from packd.registry import outbox, queries
from packd.registry.database import Database, sqlite_url
from packd.registry.outbox import Outbox
from packd.registry.registry import Registry
from packd.registry.rows import Endpoint, StoredEvent

_PACKS = 200  # as many lanes


class Teller:
    """What the daemon builds for this, and nothing else of it."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        database = Database(sqlite_url(folder))
        database.prepare()
        made = Outbox(source="packd://bench", new_id=lambda: self.clock.new_id("evt"), webhook_body=webhook_body)
        self.registry = Registry(database, outbox_of=made, now=self.clock.now)
        self.metrics = Metrics(clock=self.clock)
        self.courier = NetworkCourier(lambda: Sender(user_agent="packd/bench"))
        self.courier.start()
        self.dispatcher = self.a_dispatcher()
        self.registry.on_commit(self._committed)
        self.said = 0

    def _committed(self, events: tuple[StoredEvent, ...]) -> None:
        self.dispatcher.committed(events)

    def a_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            registry=self.registry, courier=self.courier, clock=self.clock, on_attempt=self.metrics.attempted
        )

    def endpoints(self, urls: list[str]) -> None:
        self.dispatcher.stop(30)
        with self.registry.write() as tx:
            known = [one.name for one in queries.all_endpoints(tx.connection)]
            outbox.set_endpoint_state(tx.connection, known, state="removed", reason=None)
            for number, url in enumerate(urls):
                outbox.save_endpoint(tx.connection, an_endpoint(f"e{self.said}x{number}", url))
        self.dispatcher = self.a_dispatcher()
        self.dispatcher.start()

    def burst(self, count: int) -> float:
        self.dispatcher.stop(30)
        for _ in range(count):
            self.say()
        self.dispatcher = self.a_dispatcher()
        began = time.monotonic()
        self.dispatcher.start()
        return began

    def paced(self, count: int, every_s: float) -> dict[str, float]:
        at: dict[str, float] = {}
        following = time.monotonic()
        for _ in range(count):
            identity = self.say()
            at[identity] = self.committed_at
            following += every_s
            time.sleep(max(0.0, following - time.monotonic()))
        return at

    def say(self) -> str:
        """One event; `committed_at` is when its transaction had ended."""
        self.said += 1
        pack = PackInfo(
            ref=f"pack{self.said % _PACKS}",
            version="1.0.0",
            revision=1,
            path="/srv/packs/x",
            digest="sha256:" + "a" * 64,
        )
        data = PackUpdated(pack=pack, duration_ms=12.0, components={"actions": 3}, tests_skipped=False, forced=False)
        self.committed_at = 0.0
        with self.registry.write() as tx:
            identity = tx.emit(data, correlation_id=f"chg_{self.said}").id
        self.committed_at = time.monotonic()
        return identity


def an_endpoint(name: str, url: str) -> Endpoint:
    return Endpoint(
        name=name,
        url=url,
        secret=encode_secret(bytes(range(32))),
        types=(),
        packs=(),
        ordering="pack",
        state="enabled",
        state_reason=None,
        origin="config",
        allow_private=True,
        timeout_s=15.0,
        headers=(),
    )


def main(folder: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    teller = Teller(Path(folder))
    HERE.settle()  # as the daemon does
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        answer: Any = None
        if "endpoints" in asked:
            teller.endpoints(asked["endpoints"])
        elif "burst" in asked:
            answer = teller.burst(asked["burst"])
        elif "paced" in asked:
            answer = teller.paced(asked["paced"], asked["every_s"])
        elif "bodies" in asked:
            with teller.registry.read() as connection:
                first = queries.all_endpoints(connection)[0].name
                answer = [one.body.decode() for one in queries.deliveries_to(connection, first, limit=asked["bodies"])]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
