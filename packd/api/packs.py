"""Packs: what there is, what it was, and what can be done with it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from packd.api.answer import Answer
from packd.api.blocking import in_own_thread
from packd.api.comparing import FlakyCases
from packd.api.context import Actor, Context, InContext, Source
from packd.api.paging import InPage, Page
from packd.api.reading import Reading
from packd.api.views import (
    View,
    activation_views,
    component_view,
    drop_view,
    revision_view,
    whole_pack_view,
    whole_revision_view,
)
from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Phase
from packd.domain.numbers import MOST
from packd.domain.statuses import PackStatus
from packd.flow.availability import PutBack, TakenOut
from packd.registry import queries

router = APIRouter(prefix="/packs", tags=["packs"])

_MEANT: Final = (
    "Only packs with this status, or whose newest content became that although older content is in use: rejected, "
    "failed, rolled_back, or refused for any of them."
)


class RollBackRequest(BaseModel):
    """Where to."""

    model_config = ConfigDict(extra="forbid")

    to: int | None = Field(default=None, ge=1, le=MOST, description="A revision's number; null: the one in use before.")
    force: bool = Field(default=False, description="Also where it breaks active packs that need the newer one.")


@router.get("")
async def list_packs(
    context: InContext,
    page: InPage,
    status: Annotated[PackStatus | None, Query(description=_MEANT)] = None,
    q: Annotated[str | None, Query(description="Only with all of these words in name, label or description.")] = None,
) -> Response:
    """Every pack and every refused drop, by name."""
    asked, commits = (page, status, q), context.registry.commits
    known = context.remembered.get(asked, commits)
    if known is None:
        known = await run_sync(_page_of_packs, context, page, status, q)
        context.remembered.keep(asked, commits, known)
    return Response(known, media_type="application/json")


@router.get("/{ref}")
def show_pack(context: InContext, ref: str) -> Answer:
    """One pack with everything its pack.yaml says, by its ref or its drop's name; also a drop that never became one."""
    with Reading(context.registry) as reading:
        pack = queries.pack(reading.connection, ref) or queries.pack_of_drop(reading.connection, ref)
        if pack is not None:
            standing = reading.standing(pack)
            flaky = FlakyCases(reading).of_revision(standing.latest)
            return Answer({"data": whole_pack_view(standing) | {"flaky": [one.to_dict() for one in flaky]}})
        drop = reading.refused_drop(ref)
        if drop is None:
            unread = context.commands.why_unread(ref)
            raise reading.no_such(ref) if unread is None else Failure(Code.NOT_FOUND, unread)
        return Answer({"data": drop_view(drop, context.packs_dir) | {"fields": {}, "needs": [], "flaky": []}})


@router.get("/{ref}/revisions")
def list_revisions(context: InContext, page: InPage, ref: str) -> Answer:
    """Every content it had, newest first."""
    with Reading(context.registry) as reading:
        history = queries.revision_history(reading.connection, reading.known(ref).ref)
    return Answer(page.answer([revision_view(revision) for revision in page.of(history)], len(history)))


@router.get("/{ref}/revisions/{number}")
def show_revision(context: InContext, ref: str, number: Annotated[int, Path(ge=0, le=MOST)]) -> Answer:
    """One content with what its pack.yaml said."""
    with Reading(context.registry) as reading:
        revision = queries.revision(reading.connection, reading.known(ref).ref, number)
    if revision is None:
        raise Failure(Code.NOT_FOUND, f"'{ref}' has no revision {number}; see `packd history {ref}`")
    return Answer({"data": whole_revision_view(revision)})


@router.get("/{ref}/activations")
def list_activations(context: InContext, page: InPage, ref: str) -> Answer:
    """Every moment at which a revision became the one in use, newest first, and when that was over."""
    with Reading(context.registry) as reading:
        known = reading.known(ref).ref
        history = queries.activation_history(reading.connection, known)
        views = activation_views(history, queries.revision_history(reading.connection, known))
    return Answer(page.answer(page.of(views), len(views)))


@router.get("/{ref}/components")
def list_components(context: InContext, page: InPage, ref: str) -> Answer:
    """The actions, sensors, … of what is in use, else of the newest revision."""
    with Reading(context.registry) as reading:
        shown = reading.standing(reading.known(ref)).shown
        rows = queries.components_of(reading.connection, ref, shown.number) if shown else []
    return Answer(page.answer([component_view(row) for row in page.of(rows)], len(rows)))


@router.get("/{name}/why")
def explain(context: InContext, name: str) -> Answer:
    """In words: why a pack, or a drop, is or isn't active."""
    said = context.commands.explain(name)
    return Answer({"data": asdict(said)})


@router.delete("/{ref}")
async def remove(context: InContext, source: Source, actor: Actor, ref: str) -> Answer:
    """Unregister it; its revisions and reports are kept. What was dropped stays, and is left alone until it changes."""
    out = await in_own_thread(lambda: context.availability.remove(ref, source=source, actor=actor))
    return Answer({"data": _taken_out(ref, out), "message": f"'{ref}' was removed{_of_drop(ref, out)}{_needed(out)}"})


@router.post("/{ref}/disable")
async def disable(context: InContext, actor: Actor, ref: str) -> Answer:
    """Take it out of use until it is enabled; what is dropped for it meanwhile is not tested."""
    out = await in_own_thread(lambda: context.availability.disable(ref, actor=actor))
    said = f"'{ref}' is disabled: nothing of it is in use, and changes wait until `packd enable {ref}`{_needed(out)}"
    return Answer({"data": _taken_out(ref, out), "message": said})


@router.post("/{ref}/enable")
async def enable(context: InContext, source: Source, actor: Actor, ref: str) -> Answer:
    """Put back what was in use before, if it has what it needs; what was dropped for it meanwhile is tested now."""
    out = await in_own_thread(lambda: context.availability.enable(ref, source=source, actor=actor))
    data = revision_view(out.active) if out.active else None
    return Answer({"data": data, "message": f"'{ref}' is enabled: {_put_back(out)}"})


@router.post("/{ref}/rollback")
async def roll_back(context: InContext, actor: Actor, ref: str, wish: RollBackRequest | None = None) -> Answer:
    """Withdraw what is in use and put an earlier revision back."""
    wanted = wish or RollBackRequest()
    withdrawn, restored = await in_own_thread(
        lambda: context.commands.rollback(ref, to=wanted.to, force=wanted.force, actor=actor)
    )
    data = {"withdrawn": revision_view(withdrawn), "restored": revision_view(restored)}
    became = "was superseded" if withdrawn.phase == Phase.SUPERSEDED else "was rolled back"
    return Answer({"data": data, "message": f"{withdrawn.name} {became}; {restored.name} is in use"})


@router.post("/{name}/retry")
async def retry(context: InContext, source: Source, actor: Actor, name: str) -> Answer:
    """Carry refused content through the pipeline once more; it goes on after the answer."""
    revision = await in_own_thread(lambda: context.commands.retry(name, source=source, actor=actor))
    if revision is None:
        return Answer({"data": None, "message": f"'{name}' is being read again"})
    return Answer({"data": revision_view(revision), "message": f"{revision.name} is being tried again"})


def _taken_out(ref: str, out: TakenOut) -> View:
    last = revision_view(out.last) if out.last else None
    return {"ref": ref, "last": last, "drop": out.drop, "needed_by": list(out.needed_by)}


def _of_drop(ref: str, out: TakenOut) -> str:
    if out.drop is None:
        return "; its revisions and reports are kept"
    return (
        f"; '{out.drop}' in the packs directory is left alone until its content changes, "
        f"or until `packd retry {ref}`: delete it if you don't need it"
    )


def _put_back(out: PutBack) -> str:
    if out.active is not None:
        return f"{out.active.name} is in use"
    if not out.lacking:
        return "nothing of it was in use before"
    follows = f"what lies in '{out.drop}' is looked at" if out.drop else "register it again when that has changed"
    return f"nothing of it is in use, as {out.lacking}; {follows}"


def _needed(out: TakenOut) -> str:
    return f". These packs in use need it: {', '.join(out.needed_by)}" if out.needed_by else ""


def _page_of_packs(context: Context, page: Page, status: str | None, words: str | None) -> bytes:
    with Reading(context.registry) as reading:
        return bytes(Answer(reading.pack_page(page, status=status, words=words, packs_dir=context.packs_dir)).body)
