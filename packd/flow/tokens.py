"""Tokens for callers that are not on the socket: made, shown once, checked, revoked."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.failures import Code, Failure
from packd.domain.tokens import RANDOM_BYTES, SCOPES, digest_of, is_well_formed, make
from packd.registry import queries, requests
from packd.registry.rows import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.flow.clock import Clock
    from packd.registry.registry import Registry

log = structlog.get_logger(__name__)

_USE_NOTED_EVERY_S: Final = 60.0  # last use to the minute: not a write for every request


class Tokens:
    """Every token there is; the text of one is never kept."""

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def create(self, name: str, *, scopes: Sequence[str], expires_in_s: float | None, actor: str) -> tuple[Token, str]:
        """The token and its text, which nobody can show again. Raises Failure: BAD_REQUEST, CONFLICT for a name in use."""
        unknown = sorted(set(scopes) - SCOPES.keys())
        if unknown or not scopes:
            which = f"there is no scope {unknown[0]!r}" if unknown else "a token needs a scope"
            raise Failure(Code.BAD_REQUEST, f"{which}; there are: {', '.join(SCOPES)}")
        text = make(secrets.token_bytes(RANDOM_BYTES))
        now_s = self._clock.now()
        token = Token(
            id=self._clock.new_id("tok"),
            name=name,
            digest=digest_of(text),
            scopes=tuple(sorted(set(scopes))),
            created_by=actor,
            created_at=self._clock.iso(),
            expires_at_s=now_s + expires_in_s if expires_in_s is not None else None,
        )
        with self._registry.write() as tx:
            named = [one for one in queries.all_tokens(tx.connection) if one.name == name and one.revoked_at is None]
            if named:
                raise Failure(
                    Code.CONFLICT, f"a token is called '{name}' already: revoke it first, or take another name"
                )
            requests.add_token(tx.connection, token)
        log.info("token.created", token=token.name, scopes=list(token.scopes), actor=actor)
        return token, text

    def revoke(self, token_id: str, *, actor: str) -> Token:
        """It opens nothing any more. By id or by name. Raises Failure NOT_FOUND."""
        with self._registry.write() as tx:
            known = queries.token(tx.connection, token_id)
            named = (one for one in queries.all_tokens(tx.connection) if one.name == token_id and not one.revoked_at)
            found = known or next(named, None)
            if found is None:
                raise Failure(Code.NOT_FOUND, f"there is no token '{token_id}'; `packd token list` shows what there is")
            if found.revoked_at is None:
                requests.revoke_token(tx.connection, found.id, at=tx.now)
            revoked = queries.token(tx.connection, found.id) or found
        log.info("token.revoked", token=revoked.name, actor=actor)
        return revoked

    def check(self, text: str) -> Token:
        """The token with this text. Raises Failure UNAUTHORIZED; the sentence does not tell a guess from a stale one."""
        token = None
        if is_well_formed(text):
            with self._registry.read() as connection:
                token = queries.token_of_digest(connection, digest_of(text))
        now_s = self._clock.now()
        if token is None or token.revoked_at is not None:
            raise Failure(Code.UNAUTHORIZED, "this token opens nothing: it is unknown, or was revoked")
        if token.expires_at_s is not None and token.expires_at_s <= now_s:
            raise Failure(Code.UNAUTHORIZED, "this token has expired: make a new one with `packd token create`")
        if token.last_used_at_s is None or now_s - token.last_used_at_s >= _USE_NOTED_EVERY_S:
            with self._registry.write() as tx:
                requests.token_was_used(tx.connection, token.id, at_s=now_s)
        return token
