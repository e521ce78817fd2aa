"""Runs of packs' own tests: the history, the reports, and running them now."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from packd.api.answer import Answer
from packd.api.comparing import FlakyCases
from packd.api.context import Actor, InContext, Source
from packd.api.later import Prefer, carry_out
from packd.api.live import answer_of, live, watched
from packd.api.reading import Reading
from packd.api.views import whole_run_view
from packd.domain.failures import Code, Failure
from packd.flow.jobs import Progress
from packd.flow.told import Say
from packd.registry import queries
from packd.registry.rows import Run

router = APIRouter(prefix="/packs/{ref}", tags=["tests"])


class RunRequest(BaseModel):
    """What to run."""

    model_config = ConfigDict(extra="forbid")

    runner: str | None = Field(default=None, description="The name of one suite; null: all of them.")
    rebuild: bool = Field(default=False, description="Install the packages that the pack asks for anew.")


@router.post("/test", response_model=None)
async def run_now(
    context: InContext,
    actor: Actor,
    source: Source,
    ref: str,
    prefer: Prefer,
    request: Request,
    wish: RunRequest | None = None,
    accept: Annotated[str, Header()] = "",
) -> Answer | StreamingResponse:
    """Run the suites of what is in use (else of the newest revision) and wait; nothing is activated or rolled back.

    Tests that fail are an answer, not an error: see `accepted`. With `Accept: text/event-stream` every case is an event
    `case` as soon as it ends, `progress` says what else takes its time, and the answer is the last event: `run`, or
    `problem`.
    """
    wanted = wish or RunRequest()

    def run(say: Say | None) -> Run:
        return context.commands.run_tests(
            ref, runner=wanted.runner, rebuild=wanted.rebuild, say=say, actor=actor, source=source
        )

    if "text/event-stream" in accept:
        return await live(context, run)

    def work(progress: Progress) -> tuple[int, dict[str, Any]]:
        def say(name: str, said: dict[str, Any]) -> None:
            progress.say(name, said)
            if name == "started":
                why = f"{progress.job_id} was cancelled"
                progress.on_cancel(lambda: context.commands.cancel_run(said["run_id"], why=why))

        ended = run(say)
        if progress.cancelled and (ended.report or {}).get("reason") == "cancelled":
            raise Failure(Code.CONFLICT, f"{ended.id} was cancelled before it ended")
        return 200, answer_of(ended)

    return await carry_out(context, request, prefer, kind="test", subject=ref, actor=actor, work=work)


@router.get("/tests/{run_id}")
def show_run(context: InContext, ref: str, run_id: str) -> Answer:
    """One run with its report."""
    with Reading(context.registry) as reading:
        run = queries.run(reading.connection, run_id)
        flaky = FlakyCases(reading).of(run) if run else ()
    if run is None or run.ref != ref:
        raise Failure(Code.NOT_FOUND, f"'{ref}' has no run {run_id}; see `packd tests {ref}`")
    return Answer({"data": whole_run_view(run, flaky)})


@router.get("/tests/{run_id}/stream")
def follow_run(context: InContext, ref: str, run_id: str) -> StreamingResponse:
    """Server-sent events of a run that anybody asked for, or a drop: each `case` from the first on, `progress` while
    packages are installed, and at the end `run` with the report. `latest` is the newest run."""
    newest = queries.RunFilter(ref=ref)
    with Reading(context.registry) as reading:
        if run_id == "latest":
            run = next(iter(queries.run_page(reading.connection, newest, limit=1, offset=0)), None)
        else:
            run = queries.run(reading.connection, run_id)
    if run is None or run.ref != ref:
        raise Failure(Code.NOT_FOUND, f"'{ref}' has no run {run_id}; see `packd tests {ref}`")
    return watched(context, run)
