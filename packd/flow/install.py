"""Installing from elsewhere: fetch, find what else is needed, register all of it in order, or nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.dependencies import Party, meets
from packd.domain.failures import Code, Failure
from packd.domain.manifest import Need
from packd.domain.sources import NamedSource, Source, public_url, read_source
from packd.flow import owners
from packd.flow.fetching import FetchedPack
from packd.flow.plans import Plan, Step, plan_of
from packd.flow.register import Registered, Registration
from packd.flow.trip import InstallWish, Trip, Turn, telling
from packd.flow.unknown import what_was_meant
from packd.registry import queries
from packd.sources.catalogue import Catalogue
from packd.sources.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packd.flow.carrying import Carrying
    from packd.flow.fetching import Fetcher, FetchTerms
    from packd.flow.jobs import Progress
    from packd.flow.register import Inspected, Registrar
    from packd.registry.registry import Registry
    from packd.sources.catalogue import Indexes

log = structlog.get_logger(__name__)

_SOON_S: Final = 45.0  # for those who only ask what there is


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What came of it."""

    plan: Plan
    registered: tuple[Registered, ...] = ()  # in order; empty when it was only planned
    asked: Registered | None = None  # what was asked for, of these


class Installer:
    """Plans and carries out. Its methods block; one installation changes packs at a time."""

    def __init__(
        self, *, fetcher: Fetcher, indexes: Indexes, registrar: Registrar, carrying: Carrying, registry: Registry
    ) -> None:
        self._fetcher = fetcher
        self._indexes = indexes
        self._registrar = registrar
        self._carrying = carrying
        self._registry = registry
        self._one_at_a_time = threading.Lock()
        self._under_way: set[threading.Event] = set()
        self._closed = False

    def install(self, wish: InstallWish, progress: Progress) -> Installed:
        """Fetch what `wish` names and everything it needs, and register it: all or nothing.

        Raises Failure: FORBIDDEN, UNAVAILABLE and BAD_REQUEST for what can't be fetched or does not fit together, and
        everything that `Registrar.register` raises; what was installed before is taken back then.
        """
        source = read_source(wish.source, ref=wish.ref_spec, checksum=wish.checksum)
        with self._fetcher.room() as room:
            trip = self._trip(room, wish, progress)
            try:
                if isinstance(source, NamedSource):
                    return self._install_named(source.need, trip)
                return self._install_fetched(source, trip)
            finally:
                self._under_way.discard(trip.cancelled)

    def upgrade(self, refs: Sequence[str], wish: InstallWish, progress: Progress) -> Installed:
        """Bring packs in use to the newest versions of the indexes that everybody who needs them can live with.

        No refs: every pack that came from an index. Raises Failure like `install`, and NOT_FOUND.
        """
        with self._fetcher.room() as room:
            trip = self._trip(room, wish, progress)
            progress.about(*refs)
            try:
                with self._turn(trip):
                    asked = list(refs) or self._from_indexes()
                    active = self._active()
                    self._check_upgradable(asked, active)
                    catalogue = self._catalogue(trip)
                    needs = [Need(ref=ref) for ref in asked]
                    resolved = resolve(needs, catalogue=catalogue, active=active, renew=asked)
                    plan = plan_of(resolved, active=active, asked=asked, notes=catalogue.complaints)
                    return self._carry_out(plan, trip, {})
            finally:
                self._under_way.discard(trip.cancelled)

    def catalogue(self, progress: Progress) -> Catalogue:
        """What the indexes offer now. Raises Failure."""
        cancelled = threading.Event()
        progress.on_cancel(cancelled.set)
        errand = self._fetcher.errand(telling(progress, "reading the indexes"), cancelled)
        return self._indexes.read(replace(errand, timeout_s=min(errand.timeout_s, _SOON_S)))

    def follow(self, terms: FetchTerms, indexes: Indexes) -> None:
        """From the next installation on; who may fetch what stays as it was at the start."""
        self._fetcher.terms = replace(terms, allow=self._fetcher.terms.allow)
        self._indexes = indexes

    def recover(self) -> None:
        """At start: take back an installation that a crash interrupted."""
        self._carrying.recover()

    def close(self) -> None:
        """End what is being fetched; packd is stopping."""
        self._closed = True
        for cancelled in list(self._under_way):
            cancelled.set()

    # --- planning ----------------------------------------------------------------------------------------------------

    def _install_named(self, need: Need, trip: Trip) -> Installed:
        trip.progress.about(need.ref)
        with self._turn(trip):
            self._check_existing(need.ref, trip.wish)
            catalogue = self._catalogue(trip)
            active = self._active()
            resolved = resolve(
                [need],
                catalogue=catalogue,
                active=active,
                renew=[need.ref],
                anew=need.ref if trip.wish.force else None,
            )
            plan = plan_of(resolved, active=active, asked=[need.ref], notes=catalogue.complaints)
            return self._carry_out(plan, trip, {})

    def _install_fetched(self, source: Source, trip: Trip) -> Installed:
        if isinstance(source, NamedSource):
            raise TypeError("a name is resolved, not fetched")
        wish = trip.wish
        self._fetcher.check_allowed(source, is_owner=wish.is_owner, actor=wish.actor)
        fetched = self._fetcher.fetch(source, trip.room, trip.errand(f"fetching {public_url(wish.source)}"))
        inspected = self._inspect(fetched, wish)
        trip.progress.about(inspected.manifest.ref)
        with self._turn(trip):
            self._check_existing(inspected.manifest.ref, wish)
            plan = self._plan_fetched(fetched, inspected, trip)
            return self._carry_out(plan, trip, {inspected.manifest.ref: (fetched, inspected)})

    def _plan_fetched(self, fetched: FetchedPack, inspected: Inspected, trip: Trip) -> Plan:
        """The indexes are asked only if something is missing."""
        manifest, active = inspected.manifest, self._active()
        party = Party(ref=manifest.ref, version=manifest.version, needs=manifest.needs)
        missing = [need for need in manifest.needs if not _is_met(need, active)]
        catalogue = self._catalogue(trip) if missing else Catalogue()
        others = active if missing else {need.ref: replace(active[need.ref], needs=()) for need in manifest.needs}
        resolved = resolve([], catalogue=catalogue, active=others, fetched=party)
        return plan_of(resolved, active=active, asked=[manifest.ref], fetched=fetched.shown, notes=catalogue.complaints)

    def _catalogue(self, trip: Trip) -> Catalogue:
        return self._indexes.read(trip.errand("reading the indexes"))

    def _active(self) -> dict[str, Party]:
        with self._registry.read() as connection:
            found = queries.active_revisions(connection)
        return {
            one.ref: Party(
                ref=one.ref,
                version=one.version or "0.0.0",
                needs=tuple(Need(ref=need["ref"], range=need["range"]) for need in one.needs),
            )
            for one in found
        }

    def _from_indexes(self) -> list[str]:
        with self._registry.read() as connection:
            found = queries.active_revisions(connection)
        return sorted(one.ref for one in found if one.provenance.get("index"))

    def _check_upgradable(self, asked: Sequence[str], active: dict[str, Party]) -> None:
        unused = next((ref for ref in asked if ref not in active), None)
        if unused is None:
            return
        with self._registry.read() as connection:
            known = queries.pack(connection, unused) is not None
            hint = None if known else what_was_meant(connection, unused)
        hint = hint or f"`packd install {unused}` installs it"
        raise Failure(Code.NOT_FOUND, f"no revision of '{unused}' is in use: {hint}")

    def _check_existing(self, ref: str, wish: InstallWish) -> None:
        """Before anything else is fetched for it. Raises Failure CONFLICT."""
        if wish.replace or wish.force or wish.dry_run:
            return
        with self._registry.read() as connection:
            if owners.exists(connection, queries.pack(connection, ref)):
                raise owners.already_exists(ref)

    # --- carrying out ------------------------------------------------------------------------------------------------

    def _carry_out(self, plan: Plan, trip: Trip, known: dict[str, tuple[FetchedPack, Inspected]]) -> Installed:
        trip.progress.about(*(step.ref for step in plan.changes))
        trip.progress.say("plan", {"steps": [step.to_dict() for step in plan.steps], "notes": list(plan.notes)})
        if trip.wish.dry_run:
            return Installed(plan=plan)
        content = known | {step.ref: self._fetch(step, trip) for step in plan.changes if step.ref not in known}
        for step in plan.changes:
            _check_claims(step, content[step.ref][1], plan)
        wishes = [_registration(step, content[step.ref][0], trip.wish) for step in plan.changes]
        registered = self._carrying.register_all(wishes, trip.progress, trip.cancelled)
        asked = next((one for step, one in zip(plan.changes, registered, strict=True) if step.asked), None)
        return Installed(plan=plan, registered=registered, asked=asked)

    def _fetch(self, step: Step, trip: Trip) -> tuple[FetchedPack, Inspected]:
        if step.offer is None:
            raise TypeError(f"{step.ref} is offered by nobody")
        fetched = self._fetcher.fetch_offer(
            step.offer, trip.room, lambda shown: trip.errand(f"fetching {step.ref} {step.version} from {shown}")
        )
        return fetched, self._inspect(fetched, trip.wish)

    def _inspect(self, fetched: FetchedPack, wish: InstallWish) -> Inspected:
        """What it is; a refusal names where it came from, not where it lies now."""
        try:
            inspected = self._registrar.inspect(fetched.path, tests_skipped=wish.skip_tests)
        except Failure as failure:
            said = failure.sentence.replace(str(fetched.path), fetched.shown)
            raise Failure(failure.code, said, problems=failure.problems, members=failure.members) from None
        if fetched.digest is not None and fetched.digest != inspected.digest:
            raise Failure(
                Code.BAD_REQUEST,
                f"the content of {fetched.shown} has the digest {inspected.digest}, not {fetched.digest}: "
                "it was changed; nothing of it was used (for git, a checksum is of the content as packd digests it)",
            )
        return inspected

    def _trip(self, room: Path, wish: InstallWish, progress: Progress) -> Trip:
        cancelled = threading.Event()
        if self._closed:
            cancelled.set()
        self._under_way.add(cancelled)
        progress.on_cancel(cancelled.set)
        return Trip(room=room, wish=wish, progress=progress, cancelled=cancelled, fetcher=self._fetcher)

    def _turn(self, trip: Trip) -> Turn:
        return Turn(self._one_at_a_time, trip)


def _is_met(need: Need, active: dict[str, Party]) -> bool:
    return need.ref in active and meets(active[need.ref].version, need)


def _check_claims(step: Step, inspected: Inspected, plan: Plan) -> None:
    """What an index says of a pack must be true. Raises Failure."""
    manifest = inspected.manifest
    if step.offer is None:
        return
    where = f"the index '{step.offer.index}' says that {step.source} is {step.ref} {step.version}"
    if (manifest.ref, manifest.version) != (step.ref, step.version):
        raise Failure(Code.BAD_REQUEST, f"{where}, and it is {manifest.ref} {manifest.version}: nothing was installed")
    versions = {one.ref: one.version for one in plan.steps}
    for need in manifest.needs:
        if need.ref not in versions or not meets(versions[need.ref], need):
            raise Failure(
                Code.BAD_REQUEST,
                f"{step.ref} {step.version} needs {need}, which the index '{step.offer.index}' does not say: "
                "nothing was installed; the index has to be corrected",
            )


def _registration(step: Step, fetched: FetchedPack, wish: InstallWish) -> Registration:
    """Only what was asked for may skip its tests, or fail them."""
    provenance = dict(fetched.provenance)
    if step.needed_by and not step.asked:
        provenance["needed_by"] = list(step.needed_by)
    return Registration(
        path=fetched.path,
        actor=wish.actor,
        source=wish.door,
        replace=wish.replace if step.asked else step.before is not None,
        force=wish.force and step.asked,
        skip_tests=wish.skip_tests and step.asked,
        origin=fetched.shown,
        ref=step.ref,
        provenance=provenance,
    )
