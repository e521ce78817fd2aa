"""What an installation is going to do, before it does it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from packd.domain.dependencies import Party, meets
from packd.domain.sources import PathSource, public_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.sources.index import Offer
    from packd.sources.resolve import Resolved

StepAction = Literal["install", "update", "reinstall", "keep"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One pack of the plan."""

    ref: str
    version: str
    action: StepAction
    before: str | None = None  # the version that is in use
    needs: tuple[str, ...] = ()  # the refs of this plan that it needs
    needed_by: tuple[str, ...] = ()
    asked: bool = False  # by whoever asks, not only by another pack
    offer: Offer | None = None  # where an index says it is; None: it is fetched already, or stays
    source: str | None = None  # the same, as it is shown

    @property
    def changes(self) -> bool:
        return self.action != "keep"

    def to_dict(self) -> dict[str, Any]:
        """For the answer to a request."""
        return {
            "ref": self.ref,
            "version": self.version,
            "action": self.action,
            "before": self.before,
            "needs": list(self.needs),
            "needed_by": list(self.needed_by),
            "asked": self.asked,
            "index": self.offer.index if self.offer else None,
            "source": self.source,
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All of it, in the order in which it is done."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = field(default=())  # what is to be known beside, e.g. an index that is away

    @property
    def changes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.changes)


def plan_of(
    resolved: Resolved,
    *,
    active: Mapping[str, Party],
    asked: Sequence[str],
    fetched: str | None = None,
    notes: tuple[str, ...] = (),
) -> Plan:
    """The steps to what was resolved. `fetched`: where the pack that is here already came from, if there is one."""
    chosen = {choice.ref: choice for choice in resolved.choices}
    steps = []
    for choice in resolved.choices:
        party = active.get(choice.ref)
        steps.append(
            Step(
                ref=choice.ref,
                version=choice.version,
                action="keep" if choice.in_use else _action(choice.version, party),
                before=party.version if party else None,
                needs=tuple(sorted(need.ref for need in choice.needs if need.ref in chosen)),
                needed_by=resolved.needed_by.get(choice.ref, ()),
                asked=choice.ref in asked,
                offer=choice.offer,
                source=_shown(choice.offer) if choice.offer else None if choice.in_use else fetched,
            )
        )
    return Plan(steps=_in_order(steps, active), notes=notes)


def _action(version: str, party: Party | None) -> StepAction:
    if party is None:
        return "install"
    return "reinstall" if party.version == version else "update"


def _shown(offer: Offer) -> str | None:
    first = offer.sources[0] if offer.sources else None
    return None if first is None else first.path if isinstance(first, PathSource) else public_url(first.url)


def _in_order(steps: list[Step], active: Mapping[str, Party]) -> tuple[Step, ...]:
    """What is needed first, with one exception: who is in use and would be broken by the new version of another goes
    before that one. Its own new version then waits for it, and both become active in the same moment.
    """
    ordered: list[Step] = []
    for step in steps:
        place = next(
            (
                number
                for number, earlier in enumerate(ordered)
                if step.changes and earlier.changes and _would_break(earlier, active.get(step.ref))
            ),
            len(ordered),
        )
        ordered.insert(place, step)
    return tuple(ordered)


def _would_break(changed: Step, dependent: Party | None) -> bool:
    return dependent is not None and any(
        need.ref == changed.ref and not meets(changed.version, need) for need in dependent.needs
    )
