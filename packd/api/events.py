"""The feed: pages behind a cursor, waiting for more if asked to, or a stream of server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query

from packd.api.answer import Answer
from packd.api.context import Context, InContext
from packd.api.feed import Batch, Choice, behind, choice, start
from packd.api.streaming import PATIENCE_S, EventStream
from packd.domain.numbers import MOST
from packd.registry.rows import StoredEvent

router = APIRouter(prefix="/events", tags=["events"])

HEARTBEAT_S: Final = 15.0
_LARGEST_LIMIT: Final = 500
_LONGEST_WAIT_S: Final = 60.0
_STREAM_BATCH: Final = 200

After = Annotated[int | None, Query(ge=0, description="Only events with a greater `seq`.")]
Types = Annotated[list[str], Query(default_factory=list, description="Globs of types, repeated or with commas.")]
Packs = Annotated[list[str], Query(default_factory=list, description="Globs of refs, repeated or with commas.")]


@router.get("")
async def list_events(
    context: InContext,
    types: Types,
    pack: Packs,
    after: After = None,
    limit: int = 100,
    wait: Annotated[float, Query(description="Seconds to wait when there is nothing yet, at most 60.")] = 0.0,
) -> Answer:
    """Events in order; `cursor.next` is the `after` of the next question."""
    wanted = choice(types, pack)
    cursor = await run_sync(lambda: start(context.registry, after, at_end=False))
    batch = await _read(context, cursor, wanted, min(max(limit, 1), _LARGEST_LIMIT))
    deadline = time.monotonic() + min(max(wait, 0.0), _LONGEST_WAIT_S)
    while not batch.events and not context.tail.closing and (left := deadline - time.monotonic()) > 0:
        if batch.has_more or await context.tail.wait(batch.next, left):
            batch = await _read(context, batch.next, wanted, min(max(limit, 1), _LARGEST_LIMIT))
    place = {"next": batch.next, "oldest": batch.oldest, "newest": batch.newest, "has_more": batch.has_more}
    return Answer({"items": [json.loads(event.body) for event in batch.events], "cursor": place})


@router.get("/stream", response_model=None)
async def stream_events(
    context: InContext,
    types: Types,
    pack: Packs,
    after: After = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStream:
    """Server-sent events, each with its `seq` as `id`. Begins behind `Last-Event-ID`, else `after`, else now."""
    wanted = choice(types, pack)
    resumed = _seq(last_event_id)
    cursor = await run_sync(lambda: start(context.registry, after if resumed is None else resumed, at_end=True))
    return EventStream(_stream(context, cursor, wanted), patience_s=PATIENCE_S)


def _seq(last_event_id: str | None) -> int | None:
    """None for what is no `seq`, and was not said by us."""
    said = last_event_id or ""
    return int(said) if said.isascii() and said.isdigit() and len(said) <= len(str(MOST)) else None


async def _stream(context: Context, cursor: int, wanted: Choice) -> AsyncIterator[str]:
    """What is there, then what comes. A slow reader holds up nobody: it is only asked for more when it has taken all."""
    yield ": packd\n\n"  # the reader knows now that it is connected
    said_at = time.monotonic()
    while not context.tail.closing:
        batch = await _read(context, cursor, wanted, _STREAM_BATCH)
        if batch.oldest is not None and batch.oldest > cursor + 1:
            yield _farewell("expired")
            return
        messages = _messages(batch, silent_s=time.monotonic() - said_at)
        for message in messages:
            yield message
        cursor, said_at = batch.next, time.monotonic() if messages else said_at
        if not batch.has_more:
            await context.tail.wait(cursor, max(0.0, said_at + HEARTBEAT_S - time.monotonic()))
    yield _farewell("stopping")


async def _read(context: Context, cursor: int, wanted: Choice, limit: int) -> Batch:
    return await run_sync(lambda: behind(context.registry, cursor, wanted, limit=limit))


def _messages(batch: Batch, *, silent_s: float) -> list[str]:
    """Every event, or after long silence that we are still here: with an id, so that nobody resumes far behind."""
    if not batch.events and silent_s >= HEARTBEAT_S:
        return [f"id: {batch.next}\n: still here\n\n"]
    return [_message(event) for event in batch.events]


def _message(event: StoredEvent) -> str:
    """The body is JSON on one line, as the format asks for (WHATWG HTML, section 9.2)."""
    return f"id: {event.seq}\nevent: {event.type}\ndata: {event.body}\n\n"


def _farewell(reason: str) -> str:
    """The last thing on a stream that packd ends; without an id, so that a reader resumes where it was."""
    return f"event: farewell\ndata: {json.dumps({'reason': reason})}\n\n"
