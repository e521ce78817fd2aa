"""Reading the registry for the views: one pack with all that is said of it, or a page of them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Self, cast

from packd.api.views import Standing, View, drop_view, is_refused, pack_view, statuses_of
from packd.domain.failures import Code, Failure
from packd.domain.statuses import PackStatus
from packd.flow.unknown import no_such_pack
from packd.registry import queries
from packd.registry.rows import Drop, Pack, Revision

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from packd.api.paging import Page
    from packd.registry.registry import Registry


class Reading:
    """One consistent moment of the registry, for as long as the block lasts; `connection` is for `queries`."""

    def __init__(self, registry: Registry) -> None:
        self._moment = registry.read()

    def __enter__(self) -> Self:
        self.connection = self._moment.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._moment.__exit__(kind, error, trace)

    def known(self, ref: str) -> Pack:
        """Raises Failure NOT_FOUND, with the nearest name there is."""
        pack = queries.pack(self.connection, ref)
        if pack is None:
            raise self.no_such(ref)
        return pack

    def pack_or_none(self, ref: str) -> Pack | None:
        return queries.pack(self.connection, ref)

    def no_such(self, name: str) -> Failure:
        """What to say of a name that is neither a pack nor a drop."""
        return no_such_pack(self.connection, name)

    def no_such_endpoint(self, name: str) -> Failure:
        """What to say of a name that no endpoint has."""
        near = get_close_matches(name, [one.name for one in queries.all_endpoints(self.connection)], n=1)
        hint = f"did you mean '{near[0]}'?" if near else "`packd webhook list` shows what there is"
        return Failure(Code.NOT_FOUND, f"there is no endpoint '{name}'; {hint}")

    def standing(self, pack: Pack) -> Standing:
        """All that is said of one pack."""
        latest = queries.latest_revision(self.connection, pack.ref)
        active = queries.active_revision(self.connection, pack.ref)
        shown = active or latest
        return Standing(
            pack=pack,
            latest=latest,
            active=active,
            candidate=queries.candidate(self.connection, pack.ref),
            run=queries.latest_run(self.connection, pack.ref, latest.number) if latest else None,
            components=queries.component_counts(self.connection, pack.ref, shown.number) if shown else {},
            drop=queries.drop(self.connection, pack.drop_name) if pack.drop_name is not None else None,
        )

    def refused_drop(self, name: str) -> Drop | None:
        """A drop that was refused and owns no pack, by its name or by the ref that it claims."""
        named = queries.drop(self.connection, name)
        drops = queries.refused_claiming(self.connection, name) if named is None else [named]
        refused = (drop for drop in drops if is_refused(drop))
        return next((drop for drop in refused if queries.pack_of_drop(self.connection, drop.name) is None), None)

    def pack_page(self, page: Page, *, status: str | None, words: str | None, packs_dir: Path) -> View:
        """Packs and refused drops by name; only those that are meant by this status and have all of these words."""
        refused = queries.refused_drops(self.connection)
        if status or words:
            entries: list[Pack | Drop] = sorted([*queries.present_packs(self.connection), *refused], key=_name)
            bare = zip(entries, self._bare_views(entries, packs_dir), strict=True)
            entries = [
                entry for entry, (view, meant) in bare if status in (None, "", *meant) and _has(view, words or "")
            ]
            return page.answer(self._whole_views(page.of(entries), packs_dir), len(entries))
        # What is on the page lies in this stretch of packs, wherever the refused drops come between them.
        before = max(0, page.first - len(refused))
        packs = queries.present_page(self.connection, first=before, size=page.first + page.size - before)
        near: list[Pack | Drop] = sorted([*packs, *refused], key=_name)
        on_page = near[page.first - before :][: page.size]
        total = queries.present_count(self.connection) + len(refused)
        return page.answer(self._whole_views(on_page, packs_dir), total)

    def _whole_views(self, entries: Sequence[Pack | Drop], packs_dir: Path) -> list[View]:
        """In this order, which is that of their names."""
        refs = [entry.ref for entry in entries if isinstance(entry, Pack)]
        said = queries.stretch(self.connection, refs[0], refs[-1]) if refs else None
        return [
            pack_view(_of(entry, said))
            if isinstance(entry, Pack) and said
            else drop_view(cast("Drop", entry), packs_dir)
            for entry in entries
        ]

    def _bare_views(self, entries: Sequence[Pack | Drop], packs_dir: Path) -> Iterator[tuple[View, set[str]]]:
        """What choosing needs, by a few questions for all entries together instead of a few for each.

        Each with the statuses by which it is meant.
        """
        latest = _by_ref(queries.latest_revisions(self.connection))
        active = _by_ref(queries.active_revisions(self.connection))
        candidates = _by_ref(queries.candidates(self.connection))
        drops = {drop.name: drop for drop in queries.all_drops(self.connection)}
        for entry in entries:
            if isinstance(entry, Drop):
                yield drop_view(entry, packs_dir), {PackStatus.REFUSED}
            else:
                standing = Standing(
                    pack=entry,
                    latest=latest.get(entry.ref),
                    active=active.get(entry.ref),
                    candidate=candidates.get(entry.ref),
                    drop=drops.get(entry.drop_name or ""),
                )
                yield pack_view(standing), statuses_of(standing)


def _of(pack: Pack, said: queries.Stretch) -> Standing:
    latest, active = said.latest.get(pack.ref), said.active.get(pack.ref)
    shown = active or latest
    return Standing(
        pack=pack,
        latest=latest,
        active=active,
        candidate=said.candidates.get(pack.ref),
        run=said.runs.get(pack.ref),
        components=said.components.get((shown.ref, shown.number), {}) if shown else {},
        drop=said.drops.get(pack.drop_name or ""),
    )


def _name(entry: Pack | Drop) -> str:
    return entry.ref if isinstance(entry, Pack) else entry.ref or entry.name


def _by_ref(revisions: list[Revision]) -> dict[str, Revision]:
    return {revision.ref: revision for revision in revisions}


def _has(view: View, words: str) -> bool:
    text = " ".join(str(view[key] or "") for key in ("ref", "label", "description", "drop")).lower()
    return all(word in text for word in words.lower().split())
