"""Which content stays in the store: what to keep, what to remove, and why. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby

from packd.domain.lifecycle import REFUSED, UNFINISHED, Phase

_HOUR_S = 3600


@dataclass(frozen=True, kw_only=True)
class Aged:
    """A revision, as far as keeping it goes."""

    ref: str
    number: int
    digest: str
    phase: Phase
    phase_at_s: float  # Unix seconds at which it got into that phase

    @property
    def name(self) -> str:
        """As people write it: `mypack#7`."""
        return f"{self.ref}#{self.number}"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The policy."""

    revisions: int  # the newest ones of each pack that stay
    failed_hours: float  # refused content stays so long
    pinned: tuple[str, ...] = ()  # globs of names, as `core` (all of it) or `core#7`


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be done with the content of one revision."""

    ref: str
    number: int
    digest: str
    keep: bool
    why: str  # for people


def decide(
    revisions: Iterable[Aged],
    *,
    targets: Mapping[str, int],
    busy: Collection[str],
    terms: Terms,
    now_s: float,
) -> tuple[Decision, ...]:
    """One decision for each revision, by pack and then newest first.

    `targets`: which revision a roll-back of a pack would lead to; `busy`: packs whose tests run now.
    """
    ordered = sorted(revisions, key=lambda one: (one.ref, -one.number))
    return tuple(
        decision
        for ref, mine in groupby(ordered, key=lambda one: one.ref)
        for decision in _of_pack(list(mine), target=targets.get(ref), busy=ref in busy, terms=terms, now_s=now_s)
    )


def removable(decisions: Iterable[Decision], stored: Collection[str]) -> tuple[str, ...]:
    """The digests that no revision keeps any more: one content can be that of several revisions, or of several packs."""
    decisions = tuple(decisions)
    kept = {decision.digest for decision in decisions if decision.keep}
    return tuple(sorted({one.digest for one in decisions if not one.keep and one.digest in stored} - kept))


def _of_pack(
    revisions: list[Aged], *, target: int | None, busy: bool, terms: Terms, now_s: float
) -> Iterator[Decision]:
    usable = [one.number for one in revisions if one.phase not in REFUSED][: terms.revisions]
    for index, one in enumerate(revisions):
        why = (
            _bound_to_stay(one, newest=index == 0, target=target, busy=busy)
            or _pinned(one, terms)
            or _young(one, usable, terms, now_s)
        )
        yield Decision(
            ref=one.ref, number=one.number, digest=one.digest, keep=why is not None, why=why or _too_old(one, terms)
        )


def _bound_to_stay(one: Aged, *, newest: bool, target: int | None, busy: bool) -> str | None:
    if one.phase == Phase.ACTIVE:
        return "is in use"
    if one.phase in UNFINISHED:
        return "is on its way"
    if one.number == target:
        return "is what a roll-back leads to"
    if newest:
        return "is the pack's newest content"
    return "is perhaps being tested" if busy else None


def _pinned(one: Aged, terms: Terms) -> str | None:
    pinned = any(fnmatchcase(name, glob) for glob in terms.pinned for name in (one.ref, one.name))
    return "is pinned by retention.pinned" if pinned else None


def _young(one: Aged, usable: list[int], terms: Terms, now_s: float) -> str | None:
    if one.phase in REFUSED:
        young = now_s - one.phase_at_s <= terms.failed_hours * _HOUR_S
        return f"was refused less than {terms.failed_hours:g} h ago" if young else None
    return f"is among the newest {terms.revisions}" if one.number in usable else None


def _too_old(one: Aged, terms: Terms) -> str:
    if one.phase in REFUSED:
        return f"was refused more than {terms.failed_hours:g} h ago"
    return f"is older than the newest {terms.revisions}"
