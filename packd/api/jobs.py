"""Jobs: work that goes on behind the answer to a request, followed case by case and cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from packd.api.answer import Answer
from packd.api.blocking import in_own_thread
from packd.api.context import Context, InContext
from packd.api.paging import InPage
from packd.api.views import job_view
from packd.flow.jobs import Progress
from packd.registry import queries
from packd.registry.rows import Job

router = APIRouter(prefix="/jobs", tags=["jobs"])

_HEARTBEAT_S: Final = 15.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get("")
def list_jobs(context: InContext, page: InPage) -> Answer:
    """Newest first; those that have ended are kept for a week."""
    with context.registry.read() as connection:
        total = queries.job_count(connection)
        rows = queries.job_page(connection, first=page.first, size=page.size)
    return Answer(page.answer([job_view(job) for job in rows], total))


@router.get("/{job_id}")
def show_job(context: InContext, job_id: str) -> Answer:
    """One job; once it has ended `result` is what waiting for it would have been answered, with `status`."""
    return Answer({"data": job_view(context.jobs.find(job_id))})


@router.delete("/{job_id}")
async def cancel_job(context: InContext, job_id: str) -> Answer:
    """Stop it soon: what it was about to make active does not become active."""
    job = await in_own_thread(lambda: context.jobs.cancel(job_id))
    return Answer({"data": job_view(job), "message": f"{job_id} is being cancelled"}, status_code=202)


@router.get("/{job_id}/stream")
async def stream_job(context: InContext, job_id: str) -> StreamingResponse:
    """Server-sent events: what has happened so far, each `case` as it ends, and at the end `end` with the whole job."""
    job = await run_sync(lambda: context.jobs.find(job_id))
    progress = context.jobs.progress(job_id)
    stream = _ended(job) if progress is None else _follow(context, job_id, progress)
    return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)


async def _ended(job: Job) -> AsyncIterator[str]:
    yield _event("end", job_view(job))


async def _follow(context: Context, job_id: str, progress: Progress) -> AsyncIterator[str]:
    loop, changed, told = asyncio.get_running_loop(), asyncio.Event(), 0

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(changed.set)

    leave = context.tail.on_close(changed.set)
    progress.listen(wake)
    try:
        yield f": {job_id}\n\n"
        while True:
            ended = progress.ended  # looked at first, so that nothing said before the end is left out
            while told < len(progress.messages):
                yield _event(*progress.messages[told])
                told += 1
            if ended is not None:
                yield _event("end", job_view(ended))
                return
            if context.tail.closing:
                yield _event("farewell", {"reason": "stopping"})
                return
            try:
                await asyncio.wait_for(changed.wait(), _HEARTBEAT_S)
            except TimeoutError:
                yield ": still here\n\n"
            changed.clear()
    finally:
        leave()
        progress.unlisten(wake)


def _event(name: str, said: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(said)}\n\n"
