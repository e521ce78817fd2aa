"""Installing packs from git, archives and indexes, and upgrading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from packd.api.answer import Answer
from packd.api.callers import InCaller
from packd.api.context import Context, InContext, Source
from packd.api.later import Prefer, carry_out
from packd.api.reading import Reading
from packd.api.registration import answer_of
from packd.api.views import pack_view, revision_view
from packd.domain.refs import REF_PATTERN
from packd.domain.sources import public_url
from packd.flow.install import Installed
from packd.flow.jobs import Progress
from packd.flow.trip import InstallWish

if TYPE_CHECKING:
    from packd.api.callers import Caller
    from packd.domain.reports import RunSource

router = APIRouter(prefix="/packs", tags=["packs"])


class InstallRequest(BaseModel):
    """What to install, and what is allowed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"source": "https://git.example/team/netops.git", "ref_spec": "v1.2.0"},
                {"source": "https://packs.example/netops-1.2.0.tar.gz", "checksum": "sha256:" + "0" * 64},
                {"source": "netops@^1.2"},
            ]
        },
    )

    source: str = Field(
        min_length=1,
        max_length=4096,
        description="A git URL (`#folder` for a part of the repository), an archive's URL, `name[@version]` of a "
        "configured index, or, for the daemon's own user, an absolute path.",
    )
    ref_spec: str | None = Field(default=None, max_length=250, description="For git: a branch, a tag or a commit.")
    checksum: str | None = Field(
        default=None,
        max_length=100,
        description="`sha256:…` of the archive; for git of the content as packd digests it.",
    )
    replace: bool = Field(default=False, description="Update a pack that exists, if the new content passes its tests.")
    force: bool = Field(default=False, description="Replace, install again, and accept failing tests.")
    skip_tests: bool = Field(
        default=False, description="Do not run its tests; what it needs and is not here yet is tested all the same."
    )
    dry_run: bool = Field(default=False, description="Only say what would be done.")


class UpgradeRequest(BaseModel):
    """What to bring to its newest version."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"refs": ["netops"]}]})

    refs: list[str] = Field(
        default_factory=list,
        max_length=1000,
        description=f"Packs in use (`{REF_PATTERN}`); empty: every pack that came from an index.",
    )
    dry_run: bool = Field(default=False, description="Only say what would be done.")


@router.post("/install", status_code=201)
async def install_pack(
    context: InContext, caller: InCaller, source: Source, prefer: Prefer, request: Request, wish: InstallRequest
) -> Answer:
    """Fetch a pack and everything it needs that is not here, and register it like a drop: all of it, or nothing.

    Who follows the job hears of the fetching (`fetch`), of the plan (`plan`) and of every case.
    """
    asked = InstallWish(**wish.model_dump(), **_who(context, caller, source))

    def work(progress: Progress) -> tuple[int, dict[str, Any]]:
        return _answer(context, context.installer.install(asked, progress))

    subject = public_url(wish.source)
    return await carry_out(context, request, prefer, kind="install", subject=subject, actor=caller.name, work=work)


@router.post("/upgrade", status_code=200)
async def upgrade_packs(
    context: InContext, caller: InCaller, source: Source, prefer: Prefer, request: Request, wish: UpgradeRequest
) -> Answer:
    """Bring packs to the newest versions of the indexes that every pack in use can live with: all of them, or none."""
    asked = InstallWish(source="", replace=True, dry_run=wish.dry_run, **_who(context, caller, source))

    def work(progress: Progress) -> tuple[int, dict[str, Any]]:
        done = context.installer.upgrade(wish.refs, asked, progress)
        return 200, {"data": _data(context, done), "message": _upgraded(done)}

    subject = ", ".join(wish.refs) or "every pack of an index"
    return await carry_out(context, request, prefer, kind="upgrade", subject=subject, actor=caller.name, work=work)


def _who(context: Context, caller: Caller, source: RunSource) -> dict[str, Any]:
    return {"actor": caller.name, "door": source, "is_owner": context.gate.is_owner(caller)}


def _answer(context: Context, done: Installed) -> tuple[int, dict[str, Any]]:
    """Like that of `register`, with the plan and everything that was registered with it."""
    if done.asked is None:
        nothing = {"test_result": None, "tests_skipped": False, "forced": False, "unchanged": not done.plan.changes}
        return 200, {"data": {**_data(context, done), **nothing}, "message": _planned(done)}
    body = answer_of(context, done.asked)
    others = [one.revision.name for one in done.registered if one is not done.asked]
    more = f"; with it: {', '.join(others)}" if others else ""
    body["data"] |= _data(context, done)
    body["message"] += more
    return (202 if done.asked.waits else 201), body


def _planned(done: Installed) -> str:
    if done.plan.changes:
        return f"this would be installed: {', '.join(f'{step.ref} {step.version}' for step in done.plan.changes)}"
    asked = ", ".join(f"'{step.ref}' {step.version}" for step in done.plan.steps if step.asked)
    return f"Pack {asked} is in use already, and no index has a better one: nothing was done"


def _data(context: Context, done: Installed) -> dict[str, Any]:
    asked = next((step.ref for step in done.plan.steps if step.asked), None)
    return {
        "plan": [step.to_dict() for step in done.plan.steps],
        "notes": list(done.plan.notes),
        "installed": [revision_view(one.revision) for one in done.registered],
        **({"pack": _pack(context, asked)} if asked else {}),
    }


def _pack(context: Context, ref: str) -> dict[str, Any] | None:
    """None: it is not here, and was only planned."""
    with Reading(context.registry) as reading:
        pack = reading.pack_or_none(ref)
        return pack_view(reading.standing(pack)) if pack is not None else None


def _upgraded(done: Installed) -> str:
    if not done.plan.changes:
        return "every pack is at the newest version that fits"
    said = ", ".join(f"{step.ref} {step.before or 'new'} → {step.version}" for step in done.plan.changes)
    return f"upgraded: {said}" if done.registered else f"would be upgraded: {said}"
