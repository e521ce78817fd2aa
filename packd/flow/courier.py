"""The edge where packd waits for other people's servers: a thread with an event loop, and attempts in it."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from packd.domain.deliveries import Outcome
from packd.domain.health import Pulse
from packd.notify.attempt import Attempt
from packd.notify.signature import decode
from packd.notify.tls import Tls, context

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from packd.notify.sender import Sender
    from packd.registry.rows import Delivery, Endpoint

    _Handed = tuple[Endpoint, Delivery, Callable[[Delivery, Outcome], None]]


class NetworkCourier:
    """Carries deliveries over HTTP; see `packd.flow.dispatch.Courier`."""

    def __init__(self, make_sender: Callable[[], Sender]) -> None:
        """`make_sender` is called for the first attempt: what it imports is a tenth of a start, and many have no endpoint."""
        self._make_sender = make_sender
        self._sender: Sender | None = None
        self._loop: asyncio.AbstractEventLoop  # from `start` on: it holds sockets
        self._handing_over = threading.Lock()
        self._handed: list[_Handed] = []
        self._following: list[_Handed] = []  # in the loop's thread
        self._attempts: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._carry_on, name="courier", daemon=True)
        self._asked_at: float | None = None  # monotonic; when its loop was asked for a sign and has not answered yet

    def start(self) -> None:
        self._loop = _new_loop()
        self._thread.start()

    def _carry_on(self) -> None:
        self._loop.run_forever()

    def warm_up(self) -> None:
        """There is somebody to tell: what that takes is made ready now, not when it is urgent."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop)

    def stop(self) -> None:
        """Give up what is still under way."""
        if not self._thread.is_alive():
            return
        self._wait_for(self._give_up())
        if self._sender is not None:
            self._wait_for(self._sender.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Callable[[Delivery, Outcome], None]) -> None:
        """Make one attempt; `done` gets its outcome, whatever happens."""
        if threading.get_ident() == self._thread.ident:  # what follows an answer: see _carry_one
            self._following.append((endpoint, delivery, done))
            return
        with self._handing_over:
            self._handed.append((endpoint, delivery, done))
            first = len(self._handed) == 1
        if first:  # waking the loop costs more than all the rest, and once is enough for several
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        with self._handing_over:
            handed, self._handed = self._handed, []
        self._begin_all(handed)

    def _begin_all(self, handed: list[_Handed]) -> None:
        for one in handed:
            attempt = self._loop.create_task(self._carry_one(one))
            self._attempts.add(attempt)  # the loop itself keeps no hold of its tasks
            attempt.add_done_callback(self._attempts.discard)

    async def _carry_one(self, handed: _Handed) -> None:
        """And what follows it: whoever is told that it is done may hand over more, which this same task goes on with."""
        while True:
            endpoint, delivery, done = handed
            outcome = await self._attempt(endpoint, delivery)
            done(delivery, outcome)
            following, self._following = self._following, []
            if not following:
                return
            handed = following.pop(0)
            self._begin_all(following)

    async def _give_up(self) -> None:
        under_way = list(self._attempts)
        for attempt in under_way:
            attempt.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def pulse(self) -> Pulse:
        """Its loop answers each time before it is asked again."""
        now = time.monotonic()
        if self._asked_at is None and self._thread.is_alive():
            self._asked_at = now
            self._loop.call_soon_threadsafe(self._answer)
        waiting_s = now - self._asked_at if self._asked_at is not None else 0.0
        return Pulse(part="courier", alive=self._thread.is_alive(), waiting_s=waiting_s)

    def _answer(self) -> None:
        self._asked_at = None

    async def _attempt(self, endpoint: Endpoint, delivery: Delivery) -> Outcome:
        try:
            sender = self._sender or await self._open()
            return await sender.send(
                Attempt(
                    url=endpoint.url,
                    event_id=delivery.event_id,
                    body=delivery.body,
                    secrets=tuple(_decoded(text) for text in endpoint.secrets(time.time())),
                    allow_private=endpoint.allow_private,
                    total_timeout_s=endpoint.timeout_s,
                    headers=endpoint.headers,
                    tls=context(Tls(**endpoint.tls)) if endpoint.tls else None,
                )
            )
        except Exception as surprise:  # whatever it was, the delivery must come back to be tried again
            return Outcome(error=f"packd could not send it: {surprise!r}")

    async def _open(self) -> Sender:
        if self._sender is None:
            sender = self._make_sender()
            await sender.start()
            self._sender = sender
        return self._sender

    def _wait_for(self, step: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(timeout=10)


def _new_loop() -> asyncio.AbstractEventLoop:
    """A delivery passes the loop a dozen times: uvloop's takes a sixth less for all of it. Not every machine has it."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_decoded = lru_cache(maxsize=256)(decode)
