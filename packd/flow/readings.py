"""Numbers that are too dear for every scrape: read now and then in a lane, and remembered until the next time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.registry import queries
from packd.snapshot.sizes import Sizes, Total
from packd.watch.usage import Usage, in_use

if TYPE_CHECKING:
    from packd.registry.registry import Registry
    from packd.snapshot.store import Store
    from packd.testrun.environments.cache import Environments

LANE: Final = "readings"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """As it was when it was last looked at."""

    store: Total  # snapshots
    environments: Total
    others: Usage  # inotify, by this user's other programs
    not_passing: int  # packs in use whose tests failed when they were last tested again


class Readings:
    """`look` is called in a lane of its own; `last` by anybody."""

    def __init__(self, *, store: Store, environments: Environments, registry: Registry) -> None:
        self._store = store
        self._environments = environments
        self._registry = registry
        self._of_store, self._of_environments = Sizes(), Sizes()
        self._last: Reading | None = None

    @property
    def last(self) -> Reading | None:
        """None before the first look."""
        return self._last

    def look(self) -> None:
        """Costs a listing of the store, and a walk over what is new in it."""
        with self._registry.read() as connection:
            not_passing = len(queries.not_passing_any_more(connection))
        self._last = Reading(
            store=self._of_store.total(self._store.path(digest) for digest in self._store.digests()),
            environments=self._of_environments.total(self._environments.finished()),
            others=in_use(but=os.getpid()),
            not_passing=not_passing,
        )
