"""Jobs: work that goes on behind the answer to a request, followed case by case and cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator

from anyio.to_thread import run_sync
from fastapi import APIRouter

from packd.api.answer import Answer
from packd.api.blocking import in_own_thread
from packd.api.context import Context, InContext
from packd.api.following import follow, message
from packd.api.paging import InPage
from packd.api.streaming import EventStream
from packd.api.views import job_view
from packd.flow.jobs import Progress
from packd.registry import queries
from packd.registry.rows import Job

router = APIRouter(prefix="/jobs", tags=["jobs"])


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
async def stream_job(context: InContext, job_id: str) -> EventStream:
    """Server-sent events: what has happened so far, each `case` as it ends, and at the end `end` with the whole job."""
    job = await run_sync(lambda: context.jobs.find(job_id))
    progress = context.jobs.progress(job_id)
    stream = _ended(job) if progress is None else _follow(context, job_id, progress)
    return EventStream(stream)


async def _ended(job: Job) -> AsyncIterator[str]:
    yield message("end", job_view(job))


async def _follow(context: Context, job_id: str, progress: Progress) -> AsyncIterator[str]:
    yield f": {job_id}\n\n"
    async for said in follow(progress.told, context.tail):
        yield said
    if progress.ended is not None:
        yield message("end", job_view(progress.ended))
