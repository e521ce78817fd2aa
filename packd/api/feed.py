"""Reading stored events behind a cursor, as far as somebody is interested in them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from packd.domain.events import unknown_types
from packd.domain.failures import Code, Failure
from packd.domain.problems import Problem
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.registry.registry import Registry
    from packd.registry.rows import StoredEvent

_BATCH: Final = 500  # rows a question
_LOOKED_AT: Final = 10_000  # rows an answer, so that a choice that matches nothing can't keep a thread busy


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which events somebody wants; nothing said means all."""

    types: tuple[str, ...] = ()  # globs of event types
    packs: tuple[str, ...] = ()  # globs of refs; with any, only events about packs are wanted

    def takes(self, event: StoredEvent) -> bool:
        kind, _, ref = event.subject.partition("/")
        type_fits = not self.types or any(fnmatchcase(event.type, glob) for glob in self.types)
        pack_fits = not self.packs or (kind == "packs" and any(fnmatchcase(ref, glob) for glob in self.packs))
        return type_fits and pack_fits


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What there is behind a cursor."""

    events: tuple[StoredEvent, ...]
    next: int  # the cursor behind everything that was looked at, wanted or not
    oldest: int | None  # of what is kept; None when nothing is
    newest: int  # 0 before the first event

    @property
    def has_more(self) -> bool:
        return self.next < self.newest


def choice(types: Sequence[str], packs: Sequence[str]) -> Choice:
    """From parameters that may be repeated and may hold commas.

    Raises Failure BAD_REQUEST for a type that no event has.
    """
    chosen = Choice(types=_split(types), packs=_split(packs))
    unknown = unknown_types(chosen.types)
    if unknown:
        problems = tuple(
            Problem(
                code="request.unknown_type", message=f"no event type matches {one.glob!r}", suggestion=one.suggestion
            )
            for one in unknown
        )
        raise Failure(Code.BAD_REQUEST, "; ".join(str(one) for one in unknown), problems=problems)
    return chosen


def start(registry: Registry, after: int | None, *, at_end: bool) -> int:
    """The cursor to begin behind. None: behind the newest event, or before the oldest that is kept.

    Raises Failure: GONE when events behind it are not kept any more, BAD_REQUEST when it is ahead of every event.
    """
    with registry.read() as connection:
        oldest, newest = queries.oldest_seq(connection), queries.last_seq(connection)
    before_oldest = (oldest or 1) - 1
    if after is None:
        return newest if at_end else before_oldest
    if after < before_oldest:
        sentence = f"events {after + 1} to {before_oldest} are not kept any more: go on with after={before_oldest}"
        raise Failure(Code.GONE, sentence, members={"oldest": oldest})
    if after > newest:
        sentence = f"there is no event {after} yet, the newest is {newest}: was the registry made anew? Leave out after"
        raise Failure(Code.BAD_REQUEST, sentence, members={"oldest": oldest})
    return after


def behind(registry: Registry, cursor: int, wanted: Choice, *, limit: int) -> Batch:
    """At most `limit` wanted events behind `cursor`, in order."""
    found: list[StoredEvent] = []
    first = cursor
    with registry.read(durable=True) as connection:
        oldest, newest = queries.oldest_seq(connection), queries.last_seq(connection)
        while cursor < newest and len(found) < limit and cursor - first < _LOOKED_AT:
            for event in queries.events_after(connection, cursor, limit=_BATCH):
                cursor = event.seq
                if wanted.takes(event):
                    found.append(event)
                if len(found) == limit:
                    break
    return Batch(events=tuple(found), next=cursor, oldest=oldest, newest=newest)


def _split(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())
