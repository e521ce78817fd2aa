"""What the handlers work with, and what they learn from a request about who asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from packd.api.callers import Gate, InCaller
from packd.api.guard import Access
from packd.api.housekeeping import Housekeeping
from packd.api.remembered import Remembered
from packd.api.tail import Tail
from packd.domain.health import Ailment
from packd.flow.audit_trail import AuditTrail
from packd.flow.availability import PutBack, TakenOut
from packd.flow.explain import Explanation
from packd.flow.install import Installed
from packd.flow.jobs import Jobs, Progress
from packd.flow.occasion import Door
from packd.flow.once import Once
from packd.flow.register import OnRevision, Registered, Registration
from packd.flow.tokens import Tokens
from packd.flow.told import Say, Told
from packd.flow.trip import InstallWish
from packd.flow.webhooks import Webhooks
from packd.registry.registry import Registry
from packd.registry.rows import Revision, Run
from packd.sources.catalogue import Catalogue


class Commands(Protocol):
    """What can be asked of the daemon. Each raises `Failure` when the answer is no; the first three wait their turn."""

    def rollback(self, ref: str, *, to: int | None, force: bool, actor: str) -> tuple[Revision, Revision]:
        """(withdrawn, restored)."""

    def retry(self, name: str, *, source: Door, actor: str) -> Revision | None:
        """None: a drop that never became a revision is read again."""

    def run_tests(
        self, ref: str, *, runner: str | None, rebuild: bool, say: Say | None, actor: str, source: str
    ) -> Run:
        """Blocks until the run has ended. `say` gets what it tells, from another thread."""

    def told_of(self, run_id: str) -> Told | None:
        """What a run has told so far; None when it is not under way."""

    def cancel_run(self, run_id: str, *, why: str) -> None:
        """Stop a run that was asked for."""

    def explain(self, name: str) -> Explanation:
        """In words, why a pack or a drop is or isn't active."""

    def why_unread(self, name: str) -> str | None:
        """Why a drop that is not on record was not read yet; None when there is none with this name."""

    def status(self) -> dict[str, Any]:
        """The daemon at a glance, JSON-able."""


class Registering(Protocol):
    """Content from anywhere on this machine becomes a pack. Raises `Failure` when the answer is no."""

    def register(
        self, wish: Registration, *, say: Say | None = None, on_revision: OnRevision | None = None
    ) -> Registered:
        """Blocks until it is in use, waits for other packs, or was refused."""

    def cancel(self, revision: Revision, *, why: str) -> bool:
        """False when it has come to its end already."""


class Availing(Protocol):
    """Packs are taken out of use and put back. Each raises `Failure` when the answer is no, and waits its turn."""

    def remove(self, ref: str, *, source: Door, actor: str) -> TakenOut: ...

    def disable(self, ref: str, *, actor: str) -> TakenOut: ...

    def enable(self, ref: str, *, source: Door, actor: str) -> PutBack: ...


class Installing(Protocol):
    """Packs from git, archives and indexes. Each raises `Failure` when the answer is no, and blocks."""

    def install(self, wish: InstallWish, progress: Progress) -> Installed: ...

    def upgrade(self, refs: Sequence[str], wish: InstallWish, progress: Progress) -> Installed: ...

    def catalogue(self, progress: Progress) -> Catalogue: ...


class Checks(Protocol):
    """The one set of checks: see `packd.flow.health`."""

    def dying(self) -> tuple[Ailment, ...]:
        """What only a restart cures."""

    def ailments(self) -> tuple[Ailment, ...]:
        """Everything that is wrong, the worst first."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The daemon's parts, as far as this door needs them."""

    registry: Registry
    commands: Commands
    registrar: Registering
    availability: Availing
    jobs: Jobs
    installer: Installing
    webhooks: Webhooks
    once: Once
    tokens: Tokens
    metrics: Callable[[], bytes]  # in Prometheus' text format
    tail: Tail  # wakes those who wait for events
    packs_dir: Path  # what is watched
    health: Checks  # what is wrong now
    settings: Callable[[], list[dict[str, Any]]]  # those in force, as `packd config show --json` prints them
    housekeeping: Housekeeping | None = None
    trail: AuditTrail | None = None  # who did what
    access: Access = field(default_factory=Access)  # who is let in
    remembered: Remembered = field(default_factory=Remembered)
    gate: Gate = field(default_factory=Gate)  # whose files may be read for whom


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _actor(caller: InCaller) -> str:
    """Who asks, for the audit: the credentials of a socket's peer, or a token's name."""
    return caller.name


async def _source(request: Request) -> Door:
    """Which door was used: packd's own command line says so in its user agent."""
    return "cli" if request.headers.get("user-agent", "").startswith("packd/") else "api"


InContext = Annotated[Context, Depends(_context)]
Actor = Annotated[str, Depends(_actor)]
Source = Annotated[Door, Depends(_source)]
