"""What completes as one presses TAB: names of packs and revisions, by asking the daemon, quickly or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from packd.domain.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from packd.client import Client

_PATIENCE_S: Final = 0.5  # a shell that hangs is worse than one that does not complete
_MOST: Final = 100


def complete_refs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Packs and refused drops."""
    from click.shell_completion import CompletionItem

    def ask(client: Client) -> list[CompletionItem]:
        packs = client.get("/packs", page_size=_MOST, q=incomplete or None)["items"]
        return [CompletionItem(pack["ref"], help=_about(pack)) for pack in packs if pack["ref"].startswith(incomplete)]

    return _asked(ctx, ask)


def complete_revisions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The numbers of the pack's revisions that was named before."""
    from click.shell_completion import CompletionItem

    from packd.client import part

    ref = ctx.params.get("ref") or next(iter(ctx.args), None)  # not parsed yet where an option waits for its value

    def ask(client: Client) -> list[CompletionItem]:
        found = client.get(f"/packs/{part(str(ref))}/revisions", page_size=_MOST)["items"]
        numbered = [(str(one["number"]), f"{one['version'] or ''} {one['phase']}".strip()) for one in found]
        return [CompletionItem(number, help=about) for number, about in numbered if number.startswith(incomplete)]

    return _asked(ctx, ask) if ref else []


def _asked(ctx: click.Context, ask: Callable[[Client], list[CompletionItem]]) -> list[CompletionItem]:
    """Nothing where nobody answers in time: completing must never print a complaint."""
    from packd.cli.options import client_at

    said: dict[str, Any] = {**ctx.find_root().params, **{key: value for key, value in ctx.params.items() if value}}
    try:
        return ask(client_at(said.get("socket"), said.get("state_dir"), patience_s=_PATIENCE_S))
    except (Failure, click.UsageError, KeyError, TypeError):
        return []


def _about(pack: dict[str, Any]) -> str:
    return f"{pack['version'] or ''} {pack['status']}".strip()
