"""A run that is followed: its cases as server-sent events while they end, then what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi.responses import StreamingResponse

from packd.api.blocking import in_own_thread
from packd.api.views import whole_run_view
from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from packd.domain.reports import Case
    from packd.flow.runs import OnCase
    from packd.registry.rows import Run

log = structlog.get_logger(__name__)

_HEARTBEAT_S: Final = 15.0
_MOST_WAITING: Final = 10_000  # cases that a slow reader has not taken; the report has them all

Message = tuple[str, dict[str, Any]]


def answer_of(run: Run) -> dict[str, Any]:
    """The answer about a run that has ended."""
    return {"data": whole_run_view(run), "message": run.verdict}


async def live(work: Callable[[OnCase], Run]) -> StreamingResponse:
    """Starts it. What can't even begin is raised as by any other request, before the first byte."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[Message | None] = asyncio.Queue()  # None: it has ended

    def take(suite: str, case: Case) -> None:
        if told.qsize() < _MOST_WAITING:
            told.put_nowait(("case", {"suite": suite, **asdict(case)}))

    def on_case(suite: str, case: Case) -> None:
        with contextlib.suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(take, suite, case)

    running = asyncio.ensure_future(in_own_thread(lambda: work(on_case)))
    running.add_done_callback(lambda _: told.put_nowait(None))
    first = []
    with contextlib.suppress(TimeoutError):
        first.append(await asyncio.wait_for(told.get(), _HEARTBEAT_S))
    if running.done() and (failure := running.exception()) is not None:
        raise failure
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(running, first, told), media_type="text/event-stream", headers=headers)


async def _stream(
    running: asyncio.Future[Run], first: list[Message | None], told: asyncio.Queue[Message | None]
) -> AsyncIterator[str]:
    while True:
        try:
            message = first.pop() if first else await asyncio.wait_for(told.get(), _HEARTBEAT_S)
        except TimeoutError:
            yield ": still here\n\n"
            continue
        if message is None:
            yield _end(running)
            return
        yield _event(*message)


def _end(running: asyncio.Future[Run]) -> str:
    """What would have been the answer, or the failure by the members that clients read."""
    try:
        return _event("run", answer_of(running.result()))
    except Exception as failure:
        known = failure if isinstance(failure, Failure) else Failure(Code.INTERNAL, "packd failed; its log says how")
        if known is not failure:
            log.exception("api.failed", exc_info=failure)
        return _event("problem", {**known.members, "detail": known.sentence, "code": known.code})


def _event(name: str, said: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(said)}\n\n"
