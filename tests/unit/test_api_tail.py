"""Those who wait for events are woken by a commit, and nobody else is."""

from __future__ import annotations

import asyncio
import threading

from packd.api.tail import Tail
from packd.flow.feed import Feed
from packd.registry.rows import StoredEvent


def event(seq: int) -> StoredEvent:
    return StoredEvent(
        seq=seq,
        id=f"evt_{seq}",
        type="pack.registered",
        subject="packs/a",
        timestamp="2026-01-31T08:05:09.120Z",
        body="{}",
    )


class CountingLoop(asyncio.SelectorEventLoop):
    """How often another thread wakes it."""

    woken = 0

    def call_soon_threadsafe(self, *arguments: object, **more: object) -> asyncio.Handle:
        self.woken += 1
        return super().call_soon_threadsafe(*arguments, **more)  # type: ignore[arg-type]


def opened(loop: asyncio.AbstractEventLoop, *, newest: int) -> tuple[Feed, Tail]:
    feed = Feed(newest)
    tail = Tail(feed)
    tail.open(loop)
    return feed, tail


def commit(feed: Feed, seq: int) -> None:
    """In a thread of its own, as a lane does."""
    thread = threading.Thread(target=feed.committed, args=((event(seq),),))
    thread.start()
    thread.join()


def test_without_anybody_who_waits_the_loop_is_left_alone() -> None:
    """A commit wakes the event loop only for somebody who waits in it."""
    loop = CountingLoop()
    feed, tail = opened(loop, newest=3)
    commit(feed, 4)
    assert loop.woken == 0
    assert loop.run_until_complete(tail.wait(3, 20.0))
    commit(feed, 5)
    assert loop.woken == 0
    loop.close()


def test_whoever_waits_is_woken_and_told_at_once_of_what_was_missed() -> None:
    """Waiting ends with the next commit, and does not begin where there was one already."""
    loop = CountingLoop()
    feed, tail = opened(loop, newest=3)

    async def follow() -> list[bool]:
        waiting = asyncio.ensure_future(tail.wait(3, 20.0))
        await asyncio.sleep(0)
        before = waiting.done()
        await asyncio.to_thread(commit, feed, 4)
        return [before, await waiting, await tail.wait(3, 20.0), await tail.wait(4, 0.0)]

    assert loop.run_until_complete(follow()) == [False, True, True, False]
    assert loop.woken > 0
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_no_commit_is_missed_between_looking_and_waiting() -> None:
    """Many commits from another thread, each of which is followed: none leaves a follower asleep."""
    loop = asyncio.new_event_loop()
    feed, tail = opened(loop, newest=0)
    last = 2000
    seen: list[int] = []

    async def follow() -> None:
        while feed.newest < last or not seen or seen[-1] < last:
            after = seen[-1] if seen else 0
            assert await tail.wait(after, 20.0)
            seen.append(feed.newest)

    def write() -> None:
        for seq in range(1, last + 1):
            feed.committed((event(seq),))

    writing = threading.Thread(target=write)
    writing.start()
    loop.run_until_complete(follow())
    writing.join()
    loop.close()
    assert seen[-1] == last
