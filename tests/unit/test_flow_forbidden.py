"""Packs that move up together: whoever is read first, all of them come into use, or the one in the way is named."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from packd.domain.lifecycle import Phase
from packd.flow import standing
from packd.registry import queries
from tests.unit.flow_ground import MANIFEST, latest, looked_at, made_parts, told, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.bootstrap import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


def dropped(parts: Parts, ref: str, version: str, *needs: str, test: str = "exit 0") -> None:
    """Written, read, and carried to its end."""
    listed = ", ".join(f'"{need}"' for need in needs)
    manifest = MANIFEST.replace("ref: core", f"ref: {ref}").format(version=version, needs=listed)
    written(parts, ref, manifest, test=test)
    looked_at(parts, ref)


def in_use(parts: Parts) -> dict[str, str | None]:
    with parts.registry.read() as connection:
        return {one.ref: one.version for one in queries.active_revisions(connection)}


def types(parts: Parts, ref: str) -> list[str]:
    return [event.type for event in told(parts) if event.subject == f"packs/{ref}"]


# Each pack's dependencies before and after: packs that are read one after another, and go up by one version together.
BOTH = {"a": (("b@^1",), ("b@^2",)), "b": (("a@^1",), ("a@^2",))}
LIBRARY: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"app": (("lib@^1",), ("lib@^2",)), "lib": ((), ())}
PINNED = {"a": (("b@1.0.0",), ("b@2.0.0",)), "b": (("a@1.0.0",), ("a@2.0.0",))}
RING = {"a": (("b@^1",), ("b@^2",)), "b": (("c@^1",), ("c@^2",)), "c": (("a@^1",), ("a@^2",))}


@pytest.mark.parametrize(
    ("packs", "order"),
    [(packs, order) for packs in (BOTH, LIBRARY, PINNED, RING) for order in permutations(packs)],
    ids=lambda given: "".join(given) if isinstance(given, tuple) else "",
)
def test_the_order_in_which_drops_are_read_does_not_matter(
    parts: Parts, packs: dict[str, tuple[tuple[str, ...], tuple[str, ...]]], order: tuple[str, ...]
) -> None:
    """What a fresh daemon makes of the folder is what one makes of it that saw one after the other."""
    for ref, (before, _) in packs.items():
        dropped(parts, ref, "1.0.0", *before)
    assert set(in_use(parts).values()) == {"1.0.0"}
    for ref in order:
        dropped(parts, ref, "2.0.0", *packs[ref][1])
    assert in_use(parts) == dict.fromkeys(packs, "2.0.0")
    assert all(latest(parts, ref).number == 2 for ref in packs)
    assert all(types(parts, ref).count("pack.updated") == 1 for ref in packs)


def test_who_must_come_along_is_waited_for_and_not_refused(parts: Parts) -> None:
    """It needs a newer version of the very pack that it would break: what that one accepts is not known yet."""
    dropped(parts, "a", "1.0.0", "b@^1")
    dropped(parts, "b", "1.0.0", "a@^1")
    dropped(parts, "a", "2.0.0", "b@^2")
    assert latest(parts, "a").phase == Phase.WAITING
    assert latest(parts, "a").waits_for == ({"ref": "b", "version": "^2"},)
    assert "needs b ^2: version 1.0.0 is in use" in parts.commands.explain("a").text()
    assert in_use(parts) == {"a": "1.0.0", "b": "1.0.0"}


def test_a_version_that_breaks_a_dependent_is_refused_at_once_and_its_name_told(parts: Parts) -> None:
    """Nobody is there who would lift it; and a look at everything, at whatever time, changes nothing."""
    dropped(parts, "lib", "1.0.0")
    dropped(parts, "app", "1.0.0", "lib@^1")
    dropped(parts, "lib", "2.0.0")
    assert "the active pack 'app', which needs lib ^1" in latest(parts, "lib").problems[0]["message"]
    said = len(told(parts))
    parts.reconciler.run()
    dropped(parts, "another", "1.0.0", "lib@^1")
    assert latest(parts, "lib").phase == Phase.REJECTED
    assert [event.subject for event in told(parts)[said:] if event.subject != "packs/another"] == []


@pytest.mark.parametrize("needs", [("lib",), ()])
def test_a_dependent_that_accepts_both_lifts_it_as_well(parts: Parts, needs: tuple[str, ...]) -> None:
    """Or that does not need it any more."""
    dropped(parts, "lib", "1.0.0")
    dropped(parts, "app", "1.0.0", "lib@^1")
    dropped(parts, "lib", "2.0.0")
    dropped(parts, "app", "1.1.0", *needs)
    assert in_use(parts) == {"app": "1.1.0", "lib": "2.0.0"}


def test_a_partner_that_fails_its_tests_leaves_everything_as_it_was(parts: Parts) -> None:
    """Together or not at all; and its fix lifts the other one once more."""
    dropped(parts, "lib", "1.0.0")
    dropped(parts, "app", "1.0.0", "lib@^1")
    dropped(parts, "lib", "2.0.0", test="exit 3")
    dropped(parts, "app", "2.0.0", "lib@^2")
    assert latest(parts, "lib").phase == Phase.FAILED
    assert latest(parts, "app").phase == Phase.WAITING
    assert in_use(parts) == {"app": "1.0.0", "lib": "1.0.0"}
    dropped(parts, "lib", "2.0.1")
    assert in_use(parts) == {"app": "2.0.0", "lib": "2.0.1"}


def test_a_daemon_that_ended_in_between_changes_nothing(parts: Parts, tmp_path: Path) -> None:
    """What was refused before a crash is known again after it, by the registry alone."""
    dropped(parts, "lib", "1.0.0")
    dropped(parts, "app", "1.0.0", "lib@^1")
    dropped(parts, "lib", "2.0.0")
    parts.lanes.stop(10)
    with made_parts(tmp_path) as anew:
        assert anew.lanes.wait_idle(30)
        assert latest(anew, "lib").phase == Phase.REJECTED
        dropped(anew, "app", "2.0.0", "lib@^2")
        assert in_use(anew) == {"app": "2.0.0", "lib": "2.0.0"}


def test_what_an_operator_went_back_from_does_not_come_by_itself(parts: Parts) -> None:
    """Nor what does not lie there any more, or is disabled."""
    dropped(parts, "lib", "1.0.0")
    dropped(parts, "lib", "1.1.0")
    dropped(parts, "app", "1.0.0", "lib@^1")
    dropped(parts, "lib", "2.0.0")

    def counts() -> bool:
        with parts.registry.read() as connection:
            return standing.refused_for_others(connection, "lib") is not None

    assert counts()
    with parts.registry.read() as connection:
        drop = queries.drop(connection, "lib")
    assert drop is not None
    with parts.registry.write() as tx:
        tx.save_drop(replace(drop, digest=latest(parts, "app").digest))
    assert not counts()
    with parts.registry.write() as tx:
        tx.save_drop(drop)
        tx.disable("lib")
    assert not counts()
    with parts.registry.write() as tx:
        tx.enable("lib")
    assert counts()
    parts.commands.rollback("lib", to=None, actor="test")
    assert not counts()
    dropped(parts, "app", "1.1.0", "lib")
    assert in_use(parts) == {"app": "1.1.0", "lib": "1.0.0"}
