"""Who wants which event."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_TYPES: Final = ("pack.*",)  # what an endpoint that names no types gets
_ONLY_BY_NAME: Final = "pack.test_started"  # no glob asks for it
TRIAL: Final = "webhook.test"  # sent on demand, and about nothing that happened


def subscribes(
    types: Sequence[str], packs: Sequence[str], event_type: str, subject: str, *, endpoint: str | None = None
) -> bool:
    """Does an endpoint with these globs want this event?

    `types` empty means `pack.*`; `packs` empty means all, and it holds back only events about packs.
    `pack.test_started` is wanted only by its exact name. With `endpoint`, the name of the one that is asked: an event
    about itself is never wanted, lest telling of a failure makes the next one, but its own `webhook.test` always is.
    """
    about_itself = endpoint is not None and subject == f"webhooks/{endpoint}"
    if endpoint is not None and (about_itself or event_type == TRIAL):
        return about_itself and event_type == TRIAL
    if event_type == _ONLY_BY_NAME:
        wanted = event_type in types
    else:
        wanted = any(fnmatchcase(event_type, glob) for glob in types or DEFAULT_TYPES)
    return wanted and _about_wanted_pack(packs, subject)


def _about_wanted_pack(packs: Sequence[str], subject: str) -> bool:
    kind, _, ref = subject.partition("/")
    return kind != "packs" or not packs or any(fnmatchcase(ref, glob) for glob in packs)


@dataclass(frozen=True, kw_only=True)
class UnknownType:
    """A glob in a subscription that no event will ever match."""

    glob: str  # as it was given
    suggestion: str | None  # the nearest known type, if one is near

    def __str__(self) -> str:
        hint = f"did you mean {self.suggestion!r}?" if self.suggestion else "`packd webhook examples` lists them"
        return f"no event type matches {self.glob!r}: {hint}"


def unknown_types(types: Sequence[str], known: Sequence[str]) -> tuple[UnknownType, ...]:
    """The entries of `types` that match none of the `known` types."""
    return tuple(
        UnknownType(glob=glob, suggestion=next(iter(get_close_matches(glob, known, n=1)), None))
        for glob in types
        if not any(fnmatchcase(event_type, glob) for event_type in known)
    )
