"""Registering packs from a path on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from packd.api.answer import Answer
from packd.api.callers import InCaller
from packd.api.context import Context, InContext, Source
from packd.api.later import Prefer, carry_out
from packd.api.reading import Reading
from packd.api.views import pack_view, revision_view
from packd.flow.jobs import Progress
from packd.flow.register import Registered, Registration

if TYPE_CHECKING:
    from packd.registry.rows import Revision

router = APIRouter(prefix="/packs", tags=["packs"])


class RegisterRequest(BaseModel):
    """What to register, and what is allowed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"path": "/home/me/mypack"}]})

    path: str = Field(
        min_length=1, max_length=4096, description="A folder or an archive on the daemon's machine, absolute."
    )
    replace: bool = Field(default=False, description="Update a pack that exists, if the new content passes its tests.")
    force: bool = Field(default=False, description="Replace, test again, and accept failing tests.")
    skip_tests: bool = Field(default=False, description="Do not run its tests; no report is stored.")


@router.post("/register", status_code=201)
async def register_pack(
    context: InContext, caller: InCaller, source: Source, prefer: Prefer, request: Request, wish: RegisterRequest
) -> Answer:
    """Snapshot, validate, test and activate what lies at a path, as if it had been dropped, and wait for the outcome.

    Content that is in use already is left as it is (`unchanged`). A pack that needs others which are not active is
    answered with 202: it goes on by itself when they are.
    """
    path = Path(wish.path)
    context.gate.may_read(caller, path)
    asked = Registration(
        path=path,
        actor=caller.name,
        source=source,
        replace=wish.replace,
        force=wish.force,
        skip_tests=wish.skip_tests,
    )

    def work(progress: Progress) -> tuple[int, dict[str, Any]]:
        return register(context, asked, progress)

    return await carry_out(context, request, prefer, kind="register", subject=wish.path, actor=caller.name, work=work)


def register(context: Context, asked: Registration, progress: Progress) -> tuple[int, dict[str, Any]]:
    """The status and the body of the answer; `install` answers in the same way. Raises Failure."""

    def on_revision(revision: Revision) -> None:
        progress.revision(revision)
        progress.on_cancel(lambda: context.registrar.cancel(revision, why=f"{progress.job_id} was cancelled"))

    done = context.registrar.register(asked, say=progress.say, on_revision=on_revision)
    progress.about(done.revision.ref)
    return (202 if done.waits else 201), answer_of(context, done)


def answer_of(context: Context, done: Registered) -> dict[str, Any]:
    """What `register` and `install` say."""
    with Reading(context.registry) as reading:
        pack = pack_view(reading.standing(reading.known(done.revision.ref)))
    data = {
        "pack": pack,
        "test_result": done.run.report if done.run is not None else None,
        "tests_skipped": done.revision.tests_skipped,
        "forced": done.revision.forced,
        "unchanged": done.unchanged,
        "revision": revision_view(done.revision),
    }
    return {"data": data, "message": _sentence(done)}


def _sentence(done: Registered) -> str:
    revision = done.revision
    named = f"Pack '{revision.ref}' {revision.version} ({revision.name})"
    if done.unchanged:
        return f"{named} is in use already, with exactly this content: nothing was done"
    if done.waits:
        missing = (
            ", ".join(f"{need['ref']} {need['version']}".removesuffix(" *") for need in revision.waits_for)
            or "its group"
        )
        return f"{named} waits for {missing}, and goes on by itself"
    how = ""
    if revision.forced:
        verdict = done.run.verdict if done.run is not None else "no tests ran"
        how = f" although its tests failed, because force was given ({verdict})"
    elif revision.tests_skipped:
        how = "; its tests were skipped"
    elif done.run is not None:
        how = f"; {done.run.verdict}"
    drop = (
        f". What lies in '{done.took_over}' in the packs directory is not this pack any more: "
        "it is left alone, and refused when it changes"
        if done.took_over
        else ""
    )
    return f"{named} was registered{how}{drop}"
