"""A run that is followed: its cases as server-sent events while they end, then what came of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from anyio.to_thread import run_sync

from packd.api.blocking import in_own_thread
from packd.api.following import FAREWELL, first_word, follow, message
from packd.api.streaming import EventStream
from packd.api.views import whole_run_view
from packd.domain.failures import Code, Failure
from packd.flow.told import Told
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from packd.api.context import Context
    from packd.api.tail import Tail
    from packd.flow.told import Say
    from packd.registry.rows import Run

log = structlog.get_logger(__name__)

_LOOK_S: Final = 0.05  # for a run to be written down after its last word, or to begin after its first
_PATIENCE_S: Final = 10.0


def answer_of(run: Run) -> dict[str, Any]:
    """The answer about a run that has ended."""
    return {"data": whole_run_view(run), "message": run.verdict}


async def live(context: Context, work: Callable[[Say], Run]) -> EventStream:
    """Starts it. What can't even begin is raised as by any other request, before the first byte."""
    told = Told()
    running = asyncio.ensure_future(in_own_thread(lambda: work(told.say)))
    running.add_done_callback(lambda _: told.finish())
    await first_word(told, context.tail)
    if running.done() and (failure := running.exception()) is not None:
        raise failure
    stream = _started(running, told, context.tail)
    return EventStream(stream)


def watched(context: Context, run: Run) -> EventStream:
    """A run that somebody else asked for: from its first case on, or only its end when it has ended."""
    return EventStream(_watched(context, run))


async def _started(running: asyncio.Future[Run], told: Told, tail: Tail) -> AsyncIterator[str]:
    async for said in follow(told, tail, to_the_end=True):
        yield said
    yield _end(running)


async def _watched(context: Context, run: Run) -> AsyncIterator[str]:
    yield f": {run.id}\n\n"
    told = context.commands.told_of(run.id)
    if told is not None:
        async for said in follow(told, context.tail):
            yield said
    gives_up_at = time.monotonic() + _PATIENCE_S
    while run.finished_at is None and not context.tail.closing and time.monotonic() < gives_up_at:
        run = await run_sync(_again, context, run)
        await context.tail.closed(_LOOK_S)
    if run.finished_at is not None:
        yield message("run", answer_of(run))
    elif not context.tail.closing:
        yield FAREWELL


def _again(context: Context, run: Run) -> Run:
    with context.registry.read() as connection:
        return queries.run(connection, run.id) or run


def _end(running: asyncio.Future[Run]) -> str:
    """What would have been the answer, or the failure by the members that clients read."""
    try:
        return message("run", answer_of(running.result()))
    except Exception as failure:
        known = failure if isinstance(failure, Failure) else Failure(Code.INTERNAL, "packd failed; its log says how")
        if known is not failure:
            log.exception("api.failed", exc_info=failure)
        return message("problem", {**known.members, "detail": known.sentence, "code": known.code})
