"""Tokens for callers on TCP. A token's text is shown once, by the answer that makes it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from packd.api.answer import Answer
from packd.api.blocking import in_own_thread
from packd.api.callers import InCaller
from packd.api.context import InContext
from packd.api.paging import InPage
from packd.api.views import View
from packd.domain.moments import rfc3339
from packd.registry import queries
from packd.registry.rows import Token

router = APIRouter(prefix="/tokens", tags=["tokens"])

ScopeWord = Literal["events:read", "packs:read", "packs:write", "webhooks:manage", "admin"]


class TokenRequest(BaseModel):
    """A new token."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "ci", "scopes": ["packs:write"], "expires_in_days": 90}]},
    )

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="What the audit calls its bearer; unique.")
    scopes: list[ScopeWord] = Field(min_length=1, max_length=5, description="What it may do.")
    expires_in_days: float | None = Field(default=90, gt=0, le=3650, description="null: it never expires.")


@router.get("")
def list_tokens(context: InContext, page: InPage) -> Answer:
    """Newest first, also those that were revoked or have expired. Never their texts."""
    with context.registry.read() as connection:
        rows = queries.all_tokens(connection)
    return Answer(page.answer([token_view(token) for token in page.of(rows)], len(rows)))


@router.post("", status_code=201)
async def create_token(context: InContext, caller: InCaller, wish: TokenRequest) -> Answer:
    """Make one. `data.token` is its text: keep it, nobody can show it again."""
    seconds = wish.expires_in_days * 86_400 if wish.expires_in_days is not None else None
    token, text = await in_own_thread(
        lambda: context.tokens.create(wish.name, scopes=wish.scopes, expires_in_s=seconds, actor=caller.name)
    )
    said = f"keep it: the text of '{token.name}' can't be shown again"
    return Answer({"data": {**token_view(token), "token": text}, "message": said}, status_code=201)


@router.delete("/{token_id}")
async def revoke_token(context: InContext, caller: InCaller, token_id: str) -> Answer:
    """Revoke it, by id or by name."""
    token = await in_own_thread(lambda: context.tokens.revoke(token_id, actor=caller.name))
    return Answer({"data": token_view(token), "message": f"'{token.name}' opens nothing any more"})


def token_view(token: Token) -> View:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": list(token.scopes),
        "created_by": token.created_by,
        "created_at": token.created_at,
        "expires_at": rfc3339(token.expires_at_s) if token.expires_at_s is not None else None,
        "last_used_at": rfc3339(token.last_used_at_s) if token.last_used_at_s is not None else None,
        "revoked_at": token.revoked_at,
    }
