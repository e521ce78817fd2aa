"""What the tests of packs found over time: lists of runs with filters, and what changed between two of them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from packd.api.answer import Answer
from packd.api.comparing import FlakyCases, runs_to_compare
from packd.api.context import InContext
from packd.api.paging import InPage, Page
from packd.api.reading import Reading
from packd.api.views import View, run_view, whole_run_view
from packd.domain.comparison import compare
from packd.domain.failures import Code, Failure
from packd.domain.moments import stored_form
from packd.domain.reports import ReportStatus, RunReason
from packd.registry import queries

router = APIRouter(prefix="/packs", tags=["tests"])


async def _filter(
    status: Annotated[
        list[ReportStatus | Literal["running"]] | None, Query(description="Only these; repeatable.")
    ] = None,
    trigger: Annotated[list[RunReason] | None, Query(description="Only runs for this reason; repeatable.")] = None,
    since: Annotated[str | None, Query(description="Only what began then or later: RFC 3339, or a date.")] = None,
) -> queries.RunFilter:
    return queries.RunFilter(statuses=status or (), triggers=trigger or (), since=_moment(since) if since else None)


InFilter = Annotated[queries.RunFilter, Depends(_filter)]


@router.get("/tests")
def list_all_runs(context: InContext, page: InPage, wanted: InFilter) -> Answer:
    """The runs of all packs, newest first, without the cases."""
    with Reading(context.registry) as reading:
        return Answer(_page_of_runs(reading, page, wanted))


@router.get("/{ref}/tests")
def list_runs(context: InContext, page: InPage, wanted: InFilter, ref: str) -> Answer:
    """The runs of one pack, newest first, without the cases."""
    with Reading(context.registry) as reading:
        of_pack = queries.RunFilter(
            ref=reading.known(ref).ref, statuses=wanted.statuses, triggers=wanted.triggers, since=wanted.since
        )
        return Answer(_page_of_runs(reading, page, of_pack))


@router.get("/{ref}/tests/latest")
def show_latest_run(context: InContext, ref: str) -> Answer:
    """The newest run with its report."""
    with Reading(context.registry) as reading:
        newest = queries.run_page(reading.connection, queries.RunFilter(ref=reading.known(ref).ref), limit=1, offset=0)
        if not newest:
            raise Failure(Code.NOT_FOUND, f"the tests of '{ref}' never ran; `packd test {ref}` runs them now")
        return Answer({"data": whole_run_view(newest[0], FlakyCases(reading).of(newest[0]))})


@router.get("/{ref}/compare")
def compare_runs(
    context: InContext,
    ref: str,
    older: Annotated[str | None, Query(alias="from", description="A run's id or a revision's number.")] = None,
    newer: Annotated[str | None, Query(alias="to", description="The same; null: the last run.")] = None,
) -> Answer:
    """What changed between two runs: case by case, what fails now, what is fixed, what came and went, what is slower.

    Without `from`: the last run before `to` that was of other content, else of the same.
    """
    with Reading(context.registry) as reading:
        reading.known(ref)
        before, after = runs_to_compare(reading, ref, older, newer)
        numbers = {before.number, after.number}
        digests = set(queries.digests_of(reading.connection, ref, numbers).values())
    return Answer(
        {
            "data": {
                "ref": ref,
                "from": run_view(before),
                "to": run_view(after),
                "same_content": len(digests) == 1,
                **compare(before.report or {}, after.report or {}).to_dict(),
            }
        }
    )


def _page_of_runs(reading: Reading, page: Page, wanted: queries.RunFilter) -> View:
    total = queries.count_runs(reading.connection, wanted)
    runs = queries.run_page(reading.connection, wanted, limit=page.size, offset=page.first)
    flaky = FlakyCases(reading)
    return page.answer([run_view(run, flaky.of(run)) for run in runs], total)


def _moment(text: str) -> str:
    try:
        return stored_form(text)
    except (ValueError, OverflowError, OSError):
        raise Failure(
            Code.BAD_REQUEST, f"since: '{text}' is no moment: write one like 2026-01-31T08:05:00Z, or a date"
        ) from None
