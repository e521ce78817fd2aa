"""Which versions of which packs belong together: what is asked for, what is in use, and what the indexes offer. Pure.

What is in use and fits stays. Otherwise the newest that fits is taken, pre-releases last. A pack in use that needs
another one has a say in that one's version too; its own version changes only if that was asked for, or is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Resolution
from semantic_version import Version

from packd.domain.dependencies import Party, meets
from packd.domain.manifest import Need
from packd.sources.errand import SourceFailure, wrong

if TYPE_CHECKING:
    from packd.sources.catalogue import Catalogue
    from packd.sources.index import Offer

_ROUNDS: Final = 10_000
_SHOWN: Final = 6


class Wanted(NamedTuple):
    """One need, and who has it."""

    need: Need
    by: str  # "netops 1.0.0", or "" for whoever asks
    in_use: bool = False  # the one who needs it is in use already
    stays: bool = False  # not a need: it is in use and has a say, and is to be left as it is if it can be


class Choice(NamedTuple):
    """One version of one pack that may be taken."""

    ref: str
    version: str
    needs: tuple[Need, ...]
    offer: Offer | None  # None: it is in use, or was fetched already
    in_use: bool


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The outcome: every pack that is needed, each after all that it needs."""

    choices: tuple[Choice, ...]
    needed_by: Mapping[str, tuple[str, ...]]  # by ref: the refs that need it; empty for what was asked for


def resolve(
    asked: Sequence[Need],
    *,
    catalogue: Catalogue,
    active: Mapping[str, Party],
    fetched: Party | None = None,
    renew: Iterable[str] = (),
    anew: str | None = None,
) -> Resolved:
    """Find versions for `asked` and everything they need.

    `active` is what is in use, by ref. `fetched` is a pack that is here already, to be one of the outcome whatever the
    indexes offer. For the refs in `renew` the newest is preferred to what is in use; what is in use of `anew` is not
    good enough at all. Raises SourceFailure that names
    who asks for what when there is no answer.
    """
    provider = _Provider(catalogue, active, fetched, frozenset(renew), anew)
    roots = [Wanted(need, "") for need in asked]
    if fetched is not None:
        roots.insert(0, Wanted(Need(ref=fetched.ref), ""))
    try:
        # Not `Resolver`: it looks for the way from each choice back to what was asked by recursion, without end where
        # packs need each other and nobody needs them any more (resolvelib 1.2.1).
        found = Resolution[Wanted, Choice, str](provider, BaseReporter()).resolve(roots, max_rounds=_ROUNDS)
    except ResolutionImpossible as impossible:
        raise _explained(impossible.causes, provider, catalogue) from None
    except ResolutionTooDeep:
        raise wrong(f"no set of versions was found in {_ROUNDS:,} attempts: ask for narrower ranges") from None
    return _ordered(_needed(found.mapping, roots, provider))


class _Provider(AbstractProvider[Wanted, Choice, str]):
    """What resolvelib wants to know."""

    def __init__(
        self,
        catalogue: Catalogue,
        active: Mapping[str, Party],
        fetched: Party | None,
        renew: frozenset[str],
        anew: str | None,
    ) -> None:
        self._catalogue = catalogue
        self._active = active
        self._fetched = fetched
        self._renew = renew
        self._anew = anew

    def identify(self, requirement_or_candidate: Wanted | Choice) -> str:
        if isinstance(requirement_or_candidate, Wanted):
            return requirement_or_candidate.need.ref
        return requirement_or_candidate.ref

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Choice],
        candidates: Mapping[str, Iterator[Choice]],
        information: Mapping[str, Iterator[Any]],
        backtrack_causes: Sequence[Any],
    ) -> tuple[bool, str]:
        """What is in conflict first, then by name, so that the same question always has the same answer."""
        return (not any(identifier == cause.requirement.need.ref for cause in backtrack_causes), identifier)

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Wanted]],
        incompatibilities: Mapping[str, Iterator[Choice]],
    ) -> list[Choice]:
        wanted = list(requirements[identifier])
        kept = all(one.stays for one in wanted) and identifier not in self._renew
        excluded = {(choice.version, choice.in_use) for choice in incompatibilities[identifier]}
        return [
            choice
            for choice in self.choices(identifier)
            if (choice.version, choice.in_use) not in excluded
            and (choice.in_use or not kept)
            and all(meets(choice.version, one.need) for one in wanted)
        ]

    def is_satisfied_by(self, requirement: Wanted, candidate: Choice) -> bool:
        return meets(candidate.version, requirement.need)

    def get_dependencies(self, candidate: Choice) -> list[Wanted]:
        """What it needs; and who is in use and needs it must go on fitting."""
        by = f"{candidate.ref} {candidate.version}"
        if candidate.in_use:  # what it misses already is not for this installation to repair
            return [Wanted(need, by, True) for need in candidate.needs if self._is_met(need)]
        needed = [Wanted(need, by) for need in candidate.needs]
        return [*needed, *(Wanted(Need(ref=ref), by, stays=True) for ref in self._dependents(candidate.ref))]

    def choices(self, ref: str) -> list[Choice]:
        """Every version that could be taken, the preferred one first."""
        if self._fetched is not None and self._fetched.ref == ref:
            return [Choice(ref, self._fetched.version, self._fetched.needs, None, in_use=False)]
        party = self._active.get(ref)
        there = [Choice(ref, party.version, party.needs, None, in_use=True)] if party else []
        offered = [
            Choice(ref, offer.version, offer.needs, offer, in_use=False)
            for offer in self._catalogue.offers(ref)
            if party is None or offer.version != party.version or ref == self._anew
        ]
        if ref == self._anew:
            return offered
        if ref in self._renew and party is not None:
            newer = [choice for choice in offered if _is_newer(choice.version, party.version)]
            return [*newer, *there, *(choice for choice in offered if choice not in newer)]
        return [*there, *offered]

    def _is_met(self, need: Need) -> bool:
        party = self._active.get(need.ref)
        return party is not None and meets(party.version, need)

    def _dependents(self, ref: str) -> list[str]:
        return sorted(
            party.ref
            for party in self._active.values()
            if any(need.ref == ref for need in party.needs) and party.ref != ref
        )


def _is_newer(version: str, than: str) -> bool:
    """Newer, and no pre-release unless what is in use is one."""
    offered, known = Version.coerce(version), Version.coerce(than)
    return bool(offered > known and (not offered.prerelease or known.prerelease))


def _needed(chosen: Mapping[str, Choice], roots: Iterable[Wanted], provider: _Provider) -> dict[str, Choice]:
    """What is asked for and what it leads to; choices for somebody who was given up in favour of another stay out."""
    needed: dict[str, Choice] = {}
    ahead = [root.need.ref for root in roots]
    while ahead:
        ref = ahead.pop()
        if ref not in needed:
            needed[ref] = chosen[ref]
            ahead.extend(wanted.need.ref for wanted in provider.get_dependencies(chosen[ref]))
    return needed


def _ordered(chosen: Mapping[str, Choice]) -> Resolved:
    """What is needed comes before who needs it; packs that need each other by name."""
    needed_by: dict[str, list[str]] = {ref: [] for ref in chosen}
    for choice in chosen.values():
        for need in choice.needs:
            if need.ref in needed_by:
                needed_by[need.ref].append(choice.ref)
    done: dict[str, Choice] = {}

    def place(ref: str, above: frozenset[str]) -> None:
        if ref in done or ref in above or ref not in chosen:
            return
        for need in sorted(chosen[ref].needs, key=lambda need: need.ref):
            place(need.ref, above | {ref})
        done[ref] = chosen[ref]

    for ref in sorted(chosen):
        place(ref, frozenset())
    return Resolved(
        choices=tuple(done.values()), needed_by={ref: tuple(sorted(refs)) for ref, refs in needed_by.items()}
    )


def _explained(causes: Iterable[Any], provider: _Provider, catalogue: Catalogue) -> SourceFailure:
    """Who asks for what, and what there is."""
    by_ref: dict[str, list[Wanted]] = {}
    for cause in causes:
        if not cause.requirement.stays:
            by_ref.setdefault(cause.requirement.need.ref, []).append(cause.requirement)
    sentences = [_sentence(ref, wanted, provider, catalogue) for ref, wanted in sorted(by_ref.items())]
    return wrong("; ".join(sentences) or "no set of versions fits together")


def _sentence(ref: str, wanted: list[Wanted], provider: _Provider, catalogue: Catalogue) -> str:
    asks = " and ".join(dict.fromkeys(_asks(one) for one in wanted))
    there = [f"{choice.version}{' (in use)' if choice.in_use else ''}" for choice in provider.choices(ref)]
    names = ", ".join(listing.name for listing in catalogue.listings)
    if not there:
        where = f"no index has '{ref}' (asked: {names})" if names else f"'{ref}' is not here and no index is configured"
        near = get_close_matches(ref, catalogue.refs(), n=1)
        return f"{asks}, but {where}{f'; did you mean {near[0]!r}?' if near else ''}"
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    verb = "none fits" if len(wanted) == 1 else "none fits all"
    return f"{asks}; of '{ref}' there is {', '.join(there[:_SHOWN])}{more}: {verb}"


def _asks(one: Wanted) -> str:
    if not one.by:
        return f"you ask for {one.need}"
    return f"{one.by}{' (in use)' if one.in_use else ''} needs {one.need}"
