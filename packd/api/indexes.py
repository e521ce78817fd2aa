"""What the configured indexes offer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from packd.api.answer import Answer
from packd.api.blocking import in_own_thread
from packd.api.context import Context, InContext
from packd.api.paging import InPage
from packd.api.views import View
from packd.flow.jobs import Progress
from packd.flow.outdated import outdated
from packd.registry import queries
from packd.sources.catalogue import Catalogue
from packd.sources.index import Offer

router = APIRouter(prefix="/indexes", tags=["indexes"])


@router.get("/packs")
async def search_packs(
    context: InContext,
    page: InPage,
    q: Annotated[str, Query(max_length=200, description="Words that all have to occur; empty: every pack.")] = "",
) -> Answer:
    """The packs that can be installed by name, the best match first; each with all its versions, newest first."""
    catalogue = await _catalogue(context)
    found = catalogue.search(q.split())
    with context.registry.read() as connection:
        active = {one.ref: one.version for one in queries.active_revisions(connection)}
    views = [_offer_view(offers, active.get(offers[0].ref)) for offers in page.of(found)]
    return Answer({**page.answer(views, len(found)), "notes": list(catalogue.complaints)})


@router.get("/outdated")
async def list_outdated(context: InContext, page: InPage) -> Answer:
    """Packs in use of which an index has a newer version, and the newest of those that everybody can live with."""
    catalogue = await _catalogue(context)
    with context.registry.read() as connection:
        found = outdated(queries.active_revisions(connection), catalogue)
    views = [asdict(one) for one in page.of(found)]
    return Answer({**page.answer(views, len(found)), "notes": list(catalogue.complaints)})


async def _catalogue(context: Context) -> Catalogue:
    return await in_own_thread(lambda: context.installer.catalogue(Progress()))


def _offer_view(offers: tuple[Offer, ...], in_use: str | None) -> View:
    newest = offers[0]
    view: dict[str, Any] = {
        "ref": newest.ref,
        "version": newest.version,
        "versions": [offer.version for offer in offers],
        "label": newest.label or newest.ref,
        "description": newest.description,
        "author": newest.author,
        "keywords": list(newest.keywords),
        "needs": [{"ref": need.ref, "range": need.range} for need in newest.needs],
        "index": newest.index,
        "in_use": in_use,
    }
    return view
