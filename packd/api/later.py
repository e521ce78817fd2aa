"""Work that takes its time: the caller waits for it, or is given a job to look after it (RFC 7240, `Prefer`)."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import structlog
from fastapi import Depends, Header, Request

from packd.api.answer import Answer
from packd.api.blocking import in_own_thread
from packd.api.details import details, refused
from packd.api.views import job_view
from packd.domain.failures import HTTP_STATUS, Code, Failure, for_log, shortage
from packd.flow.jobs import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.api.context import Context
    from packd.registry.rows import Job

    Work = Callable[[Progress], tuple[int, dict[str, Any]]]

log = structlog.get_logger(__name__)

_WAIT: Final = re.compile(r"\bwait\s*=\s*\"?(\d{1,5})")
_LONGEST_WAIT_S: Final = 3600


class Preference:
    """What `Prefer` says, as far as it is understood here; the rest is ignored, as the RFC asks."""

    def __init__(self, header: str) -> None:
        words = {word.partition("=")[0].strip().lower() for word in re.split(r"[,;]", header)}
        self.is_async = "respond-async" in words
        wait = _WAIT.search(header.lower())
        self.wait_s = min(int(wait[1]), _LONGEST_WAIT_S) if wait else 0  # before it becomes a job


async def _preference(
    prefer: Annotated[
        str, Header(description="`respond-async`: 202 and a job at once; with `, wait=N` after N seconds.")
    ] = "",
) -> Preference:
    return Preference(prefer)


Prefer = Annotated[Preference, Depends(_preference)]


async def carry_out(
    context: Context, request: Request, prefer: Preference, *, kind: str, subject: str, actor: str, work: Work
) -> Answer:
    """The answer of `work`, or 202 with the job that will have it. Raises what `work` raises if it is waited for."""
    request_id = request.state.request_id
    if not prefer.is_async:
        progress = Progress()
        try:
            status, body = await in_own_thread(lambda: _named(work, progress))
        finally:
            request.state.packs = progress.packs
        return Answer(body, status_code=status)
    told = _as_answer(context, work, request.url.path, request_id)
    job = await in_own_thread(lambda: context.jobs.start(kind, subject, actor, told))
    ended = await _wait(context, job, prefer.wait_s) if prefer.wait_s else None
    if ended is not None and ended.status is not None:
        return Answer(ended.answer, status_code=ended.status, media_type=_media_type(ended.status))
    where = f"/api/v1/jobs/{job.id}"
    headers = {"Location": where, "Preference-Applied": "respond-async"}
    said = f"{job.id} is under way; GET {where} says how it is, GET {where}/stream follows it"
    return Answer({"data": job_view(job), "message": said}, status_code=202, headers=headers)


def _named(work: Work, progress: Progress) -> tuple[int, dict[str, Any]]:
    """What a refusal is about is known as well, where it names a pack."""
    try:
        return work(progress)
    except Failure as failure:
        if ref := failure.members.get("ref"):
            progress.about(ref)
        raise


def _note_packs(context: Context, progress: Progress, request_id: str) -> None:
    """The request was answered, and noted, before anybody knew."""
    if context.trail is None or not progress.packs:
        return
    try:
        context.trail.about(request_id, progress.packs)
    except Exception:
        log.exception("audit.failed", request_id=request_id)


def _as_answer(context: Context, work: Work, instance: str, request_id: str) -> Work:
    """Nobody is there to catch anything any more: a failure becomes the answer that it would have been."""

    def call(progress: Progress) -> tuple[int, dict[str, Any]]:
        try:
            return _named(work, progress)
        except Failure as failure:
            return HTTP_STATUS[failure.code], refused(failure, instance=instance, request_id=request_id)
        except Exception as surprise:
            log.error("api.handler_broke", path=instance, request_id=request_id, **for_log(surprise))
            if (short := shortage(surprise)) is not None:
                return HTTP_STATUS[short.code], refused(short, instance=instance, request_id=request_id)
            said = f"packd broke while working on it; its log has the details under {request_id}"
            status = HTTP_STATUS[Code.INTERNAL]
            return status, details(status, said, instance=instance, request_id=request_id)
        finally:
            _note_packs(context, progress, request_id)

    return call


async def _wait(context: Context, job: Job, seconds: float) -> Job | None:
    """The job when it has ended in time."""
    progress = context.jobs.progress(job.id)
    if progress is None:
        return None
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    progress.told.listen(wake)
    try:
        async with asyncio.timeout(seconds):
            while progress.ended is None:
                await changed.wait()
                changed.clear()
    except TimeoutError:
        pass
    finally:
        progress.told.unlisten(wake)
    return progress.ended


def _media_type(status: int) -> str:
    return "application/problem+json" if status >= 400 else "application/json"
