"""What the handlers work with, and what they learn from a request about who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from packd.api.tail import Tail
from packd.domain.health import Ailment
from packd.flow.explain import Explanation
from packd.flow.runs import OnCase
from packd.registry.registry import Registry
from packd.registry.rows import Revision, Run


class Commands(Protocol):
    """What can be asked of the daemon. Each raises `Failure` when the answer is no; the first three wait their turn."""

    def rollback(self, ref: str, *, to: int | None, force: bool, actor: str) -> tuple[Revision, Revision]:
        """(withdrawn, restored)."""

    def retry(self, name: str, *, actor: str) -> Revision | None:
        """None: a drop that never became a revision is read again."""

    def run_tests(
        self, ref: str, *, runner: str | None, rebuild: bool, on_case: OnCase | None, actor: str, source: str
    ) -> Run:
        """Blocks until the run has ended. `on_case` gets (suite, case) from another thread, as cases end."""

    def explain(self, name: str) -> Explanation:
        """In words, why a pack or a drop is or isn't active."""

    def status(self) -> dict[str, Any]:
        """The daemon at a glance, JSON-able."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The daemon's parts, as far as this door needs them."""

    registry: Registry
    commands: Commands
    tail: Tail  # wakes those who wait for events
    is_ready: Callable[[], bool]  # the folder was compared with the registry since the start
    packs_dir: Path  # what is watched
    ailments: Callable[[], tuple[Ailment, ...]] = tuple  # what is wrong now


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _actor(request: Request) -> str:
    """Who asks, for the audit: the credentials of a socket's peer."""
    return request.client.host if request.client else "unknown"


async def _source(request: Request) -> str:
    """Which door was used: packd's own command line says so in its user agent."""
    return "cli" if request.headers.get("user-agent", "").startswith("packd/") else "api"


InContext = Annotated[Context, Depends(_context)]
Actor = Annotated[str, Depends(_actor)]
Source = Annotated[str, Depends(_source)]
