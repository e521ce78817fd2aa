"""Requests that carry an idempotency key are carried out once; whoever asks again gets the answer that was given.

After draft-ietf-httpapi-idempotency-key-header-07: a key with another request is refused (422), one whose first
request is still at work too (409).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from packd.domain.failures import Code, Failure
from packd.registry import queries, requests
from packd.registry.rows import Kept

if TYPE_CHECKING:
    from packd.flow.clock import Clock
    from packd.registry.registry import Registry

_KEPT_S: Final = 24 * 3600.0


class Once:
    """By caller and key. What was at work when the daemon ended is forgotten at start: see Jobs.close_open."""

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def begin(self, actor: str, key: str, fingerprint: str) -> Kept | None:
        """The answer that was given; None: this is the first time, and `end` or `forget` has to follow.

        Raises Failure: UNPROCESSABLE_ENTITY when the key came with another request, CONFLICT while the first one is at work.
        """
        now_s = self._clock.now()
        with self._registry.write() as tx:
            requests.forget_requests(tx.connection, before_s=now_s - _KEPT_S)
            known = queries.kept_request(tx.connection, actor, key)
            if known is None:
                kept = Kept(actor=actor, key=key, fingerprint=fingerprint, created_at_s=now_s)
                requests.keep_request(tx.connection, kept)
                return None
        if known.fingerprint != fingerprint:
            said = f"the idempotency key {key!r} came with another request before: take a fresh key for this one"
            raise Failure(Code.UNPROCESSABLE_ENTITY, said)
        if known.status is None:
            said = f"the first request with the idempotency key {key!r} is still at work: ask again for its answer"
            raise Failure(Code.CONFLICT, said, members={"retry_after": 1})
        return known

    def end(self, actor: str, key: str, *, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """This was answered."""
        with self._registry.write() as tx:
            known = queries.kept_request(tx.connection, actor, key)
            if known is not None:
                requests.keep_answer(tx.connection, replace(known, status=status, headers=headers, body=body))

    def forget(self, actor: str, key: str) -> None:
        """Asking again carries it out again."""
        with self._registry.write() as tx:
            requests.forget_request(tx.connection, actor, key)
