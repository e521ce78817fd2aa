"""Drops that change places: packs go with what lies there, in whatever order the places are looked at."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Final

import pytest

from packd.domain.problems import Problem
from packd.flow.clock import Clock
from packd.flow.occasion import Occasion
from packd.registry import queries
from packd.snapshot.store import Unsettled
from packd.watch.settle import Settled
from tests.unit.flow_ground import looked_at, made_parts, told, written
from tests.waiting import until_exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.bootstrap import Parts
    from packd.snapshot.store import Refused, Snapshot

MANIFEST: Final = """\
ref: {ref}
version: "{version}"
testing: {{enabled: true, runners: {{shell: {{type: script, entry_point: tests/run.sh}}}}}}
"""
GRACE_S: Final = 3600.0
QUICK: Final = {"watch": {"quiet_ms": 10, "remove_grace_s": GRACE_S}}


def manifest(ref: str, version: str = "1.0.0") -> str:
    return MANIFEST.format(ref=ref, version=version)


@dataclass(frozen=True, kw_only=True)
class Move:
    """What is done to the packs directory, and where each pack is afterwards; what is not named there is unregistered."""

    before: dict[str, str]  # drop → ref
    steps: Callable[[Path], None]
    after: dict[str, str]
    places: tuple[str, ...]  # that are looked at
    read_anew: frozenset[str] = field(default_factory=frozenset)  # packs whose content is another


def swap(packs: Path) -> None:
    (packs / "a").rename(packs / ".t")
    (packs / "b").rename(packs / "a")
    (packs / ".t").rename(packs / "b")


def move_round(packs: Path) -> None:
    (packs / "c").rename(packs / ".t")
    (packs / "b").rename(packs / "c")
    (packs / "a").rename(packs / "b")
    (packs / ".t").rename(packs / "a")


def move_up(packs: Path) -> None:
    (packs / "b").rename(packs / "c")
    (packs / "a").rename(packs / "b")


def move_up_and_change(packs: Path) -> None:
    move_up(packs)
    (packs / "c" / "pack.yaml").write_text(manifest("beta", "2.0.0"))


def move_over(packs: Path) -> None:
    shutil.rmtree(packs / "b")
    (packs / "a").rename(packs / "b")


def put_another_in_its_place(packs: Path) -> None:
    (packs / "a").rename(packs / "b")
    shutil.copytree(packs / "b", packs / "a")
    (packs / "a" / "pack.yaml").write_text(manifest("new"))


def take_another_ref(packs: Path) -> None:
    (packs / "a" / "pack.yaml").write_text(manifest("new"))


MOVES: Final = {
    "swap": Move(before={"a": "alpha", "b": "beta"}, steps=swap, after={"alpha": "b", "beta": "a"}, places=("a", "b")),
    "round": Move(
        before={"a": "alpha", "b": "beta", "c": "gamma"},
        steps=move_round,
        after={"alpha": "b", "beta": "c", "gamma": "a"},
        places=("a", "b", "c"),
    ),
    "up": Move(
        before={"a": "alpha", "b": "beta"}, steps=move_up, after={"alpha": "b", "beta": "c"}, places=("a", "b", "c")
    ),
    "up and changed": Move(
        before={"a": "alpha", "b": "beta"},
        steps=move_up_and_change,
        after={"alpha": "b", "beta": "c"},
        places=("a", "b", "c"),
        read_anew=frozenset({"beta"}),
    ),
    "over": Move(before={"a": "alpha", "b": "beta"}, steps=move_over, after={"alpha": "b"}, places=("a", "b")),
    "another in its place": Move(
        before={"a": "alpha"},
        steps=put_another_in_its_place,
        after={"alpha": "b", "new": "a"},
        places=("a", "b"),
        read_anew=frozenset({"new"}),
    ),
    "another ref": Move(
        before={"a": "alpha"},
        steps=take_another_ref,
        after={"new": "a"},
        places=("a",),
        read_anew=frozenset({"new"}),
    ),
}
ORDERS: Final = [(name, order) for name, move in MOVES.items() for order in permutations(move.places)]


@contextmanager
def moved(folder: Path, move: Move) -> Iterator[Parts]:
    """What was dropped is in use, and has been moved; nobody has looked yet."""
    with made_parts(folder, **QUICK) as parts:
        for name, ref in move.before.items():
            written(parts, name, manifest(ref))
        looked_at(parts, *move.before)
        assert set(owners(parts)) == set(move.before.values())
        move.steps(parts.settings.packs_dir)
        yield parts


class Ahead(Clock):
    """As far as it is set."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


def come_to_rest(parts: Parts) -> None:
    """All that was put off is looked at, and no time of grace is over before; then all of them are."""
    clock = parts.settling._clock = Ahead()
    parts.settling.start(take=parts.intake.take_soon, remove=parts.intake.remove_soon)
    wait_until(lambda: is_at_rest(parts, clock))
    parts.settling.stop()


def is_at_rest(parts: Parts, clock: Ahead) -> bool:
    """Where nothing but times of grace is waited for, those are over with this."""
    settling = parts.settling
    with settling._wake:  # meanwhile nothing can be put off, nor be handed over to a lane
        if settling._triggers or settling._handing_over or parts.lanes.depth():
            return False
        if settling.waiting():
            clock.ahead_s += GRACE_S
            settling._wake.notify()
            return False
        return True


def owners(parts: Parts) -> dict[str, str | None]:
    """Of the packs in use: ref → drop."""
    with parts.registry.read() as connection:
        return {
            pack.ref: pack.drop_name
            for pack in queries.present_packs(connection)
            if queries.active_revision(connection, pack.ref)
        }


def refusals(parts: Parts) -> list[str]:
    with parts.registry.read() as connection:
        return [str(one["message"]) for drop in queries.all_drops(connection) for one in drop.problems]


def said_of(parts: Parts, ref: str) -> list[str]:
    """Without the beginnings of test runs."""
    types = [event.type for event in told(parts) if event.subject == f"packs/{ref}"]
    return [one for one in types if one != "pack.test_started"]


def check(parts: Parts, move: Move) -> None:
    assert owners(parts) == move.after
    assert refusals(parts) == []
    for ref in move.before.values():
        said = said_of(parts, ref)
        assert ("pack.unregistered" in said) == (ref not in move.after)
        assert said.count("pack.registered") == 1
        assert said.count("pack.test_passed") == 1 + (ref in move.read_anew)
    assert not [event.type for event in told(parts) if event.type == "pack.validation_failed"]


@pytest.mark.parametrize(("name", "order"), ORDERS, ids=[f"{name}: {' '.join(order)}" for name, order in ORDERS])
def test_packs_go_with_their_content_whatever_is_looked_at_first(
    tmp_path: Path, name: str, order: tuple[str, ...]
) -> None:
    """Nothing that is still there is refused, unregistered, or tested once more."""
    with moved(tmp_path, MOVES[name]) as parts:
        looked_at(parts, *order)
        come_to_rest(parts)
        check(parts, MOVES[name])


@pytest.mark.parametrize("name", MOVES)
def test_a_crash_between_two_looks_changes_nothing(tmp_path: Path, name: str) -> None:
    """What was put off is not forgotten."""
    move = MOVES[name]
    for number, order in enumerate(permutations(move.places)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with moved(folder, move) as parts:
            looked_at(parts, *order[: number % len(order)])
        with made_parts(folder, **QUICK) as parts:
            come_to_rest(parts)
            check(parts, move)


# --- back, beside, and while others write ----------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path, **QUICK) as made:
        yield made


def dropped(parts: Parts, name: str, ref: str = "alpha", version: str = "1.0.0", *, test: str = "exit 0") -> Path:
    folder = written(parts, name, manifest(ref, version), test=test)
    looked_at(parts, name)
    return folder


@pytest.mark.parametrize("between", [("a", "a2"), ("a2", "a"), ("a2",)])
@pytest.mark.parametrize("behind", [("a", "a2"), ("a2", "a"), ("a",), ("a2",)])
def test_there_and_back_is_no_change(parts: Parts, between: tuple[str, ...], behind: tuple[str, ...]) -> None:
    """The pack stays in use all the time, also when the time of grace of one place ends first."""
    there = dropped(parts, "a")
    back = there.rename(there.with_name("a2"))
    looked_at(parts, *between)
    back.rename(there)
    looked_at(parts, *behind)
    parts.intake.remove_soon("a2")
    assert parts.lanes.wait_idle(30)
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "a"}
    assert said_of(parts, "alpha") == ["pack.discovered", "pack.test_passed", "pack.registered"]


def read_while_the_grace_ends(parts: Parts, monkeypatch: pytest.MonkeyPatch, name: str, *, gone: str) -> None:
    """The time of grace of the drop that is `gone` is over in the middle of a look at the drop `name`."""
    reader, read = parts.intake._reader, parts.intake._reader.read

    def slowly(name: str) -> Snapshot | Unsettled | Refused:
        parts.intake._removal.carry_out(gone)
        return read(name)

    monkeypatch.setattr(reader, "read", slowly)
    looked_at(parts, name)


def test_a_rename_is_found_however_long_the_drop_takes_to_be_read(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old name has been gone for longer than the time of grace by then."""
    there = dropped(parts, "a")
    there.rename(there.with_name("b"))
    looked_at(parts, "a")
    read_while_the_grace_ends(parts, monkeypatch, "b", gone="a")
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "b"}
    assert said_of(parts, "alpha") == ["pack.discovered", "pack.test_passed", "pack.registered"]


def test_what_does_not_turn_up_in_what_was_read_meanwhile_is_unregistered(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for, and not for what came later."""
    dropped(parts, "a")
    removed(parts, "a")
    written(parts, "b", manifest("beta"))
    read_while_the_grace_ends(parts, monkeypatch, "b", gone="a")
    assert owners(parts) == {"alpha": "a", "beta": "b"}
    come_to_rest(parts)
    assert owners(parts) == {"beta": "b"}


def removed(parts: Parts, name: str) -> None:
    shutil.rmtree(parts.settings.packs_dir / name)
    looked_at(parts, name)


def test_a_copy_takes_the_place_of_what_is_removed_without_a_gap(parts: Parts) -> None:
    """It was refused because the other had its ref, and is the same content."""
    dropped(parts, "first")
    dropped(parts, "second")
    assert len(refusals(parts)) == 1
    removed(parts, "first")
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "second"}
    assert refusals(parts) == []
    assert "pack.unregistered" not in said_of(parts, "alpha")
    assert said_of(parts, "alpha").count("pack.test_passed") == 1


def test_other_content_with_that_ref_is_an_update(parts: Parts) -> None:
    """What was in use stays in use until it has passed its tests."""
    dropped(parts, "first")
    dropped(parts, "second", version="2.0.0")
    removed(parts, "first")
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "second"}
    assert said_of(parts, "alpha")[-3:] == ["pack.changed", "pack.test_passed", "pack.updated"]
    assert "pack.unregistered" not in said_of(parts, "alpha")


def test_a_drop_that_can_not_be_it_ends_the_wait(parts: Parts) -> None:
    """It is no pack any more when it is asked: nothing is kept in use for ever."""
    dropped(parts, "first")
    second = dropped(parts, "second")
    (second / "pack.yaml").write_text(manifest("other"))
    removed(parts, "first")
    come_to_rest(parts)
    assert owners(parts) == {"other": "second"}
    assert said_of(parts, "alpha")[-1] == "pack.unregistered"


def test_what_only_has_the_name_of_a_pack_does_not_keep_it(parts: Parts) -> None:
    """A folder that is no pack goes by its name, and is refused for something else."""
    dropped(parts, "first")
    written(parts, "alpha", "")
    looked_at(parts, "alpha")
    removed(parts, "first")
    come_to_rest(parts)
    assert owners(parts) == {}
    assert said_of(parts, "alpha")[-1] == "pack.unregistered"


def test_nothing_left_behind_is_given_up_while_the_packs_directory_is_another(parts: Parts) -> None:
    """It is decided when that is back."""
    dropped(parts, "a")
    dropped(parts, "a", "new")
    packs = parts.settings.packs_dir
    away = packs.rename(packs.with_name("away"))
    packs.mkdir()
    parts.intake.remove_soon("a")
    assert parts.lanes.wait_idle(30)
    assert owners(parts) == {"alpha": None, "new": "a"}
    packs.rmdir()
    away.rename(packs)
    parts.reconciler.run()
    come_to_rest(parts)
    assert owners(parts) == {"new": "a"}


def test_a_refused_copy_says_where_the_pack_is_now(parts: Parts) -> None:
    """A rename of the other one is told with it."""
    first = dropped(parts, "first")
    dropped(parts, "second")
    first.rename(first.with_name("third"))
    looked_at(parts, "third")
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "third"}
    (said,) = refusals(parts)
    assert "in 'third'" in said


def test_a_copy_is_taken_when_what_it_was_refused_for_becomes_another_pack(parts: Parts) -> None:
    """Also when that one is refused itself, for having the ref of a third."""
    first = dropped(parts, "first")
    dropped(parts, "other", "other")
    dropped(parts, "second")
    (first / "pack.yaml").write_text(manifest("other"))
    looked_at(parts, "first")
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "second", "other": "other"}
    (said,) = refusals(parts)
    assert "'other' is already here, in 'other'" in said
    assert "pack.unregistered" not in said_of(parts, "alpha")


def test_what_is_refused_leaves_what_lay_there_in_use(parts: Parts) -> None:
    """It is unregistered when something good lies there."""
    dropped(parts, "a")
    dropped(parts, "a", "new", test="exit 1")
    come_to_rest(parts)
    parts.reconciler.run()
    assert owners(parts) == {"alpha": None}


def test_a_disabled_pack_stays_disabled_under_its_new_name(parts: Parts) -> None:
    """A rename is no wish to have it in use."""
    first = dropped(parts, "first")
    parts.availability.disable("alpha", actor="test")
    first.rename(first.with_name("second"))
    looked_at(parts, "second", "first")
    come_to_rest(parts)
    with parts.registry.read() as connection:
        pack = queries.pack(connection, "alpha")
    assert pack is not None
    assert (pack.is_present, pack.drop_name) == (True, "second")
    assert pack.disabled_at is not None


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_what_is_on_its_way_while_drops_are_swapped_comes_into_use(
    parts: Parts, tmp_path: Path, order: tuple[str, str]
) -> None:
    """Its tests may have to begin anew; they are not forgotten."""
    dropped(parts, "b", "beta")
    gate = tmp_path / "gate"
    written(parts, "a", manifest("alpha"), test=until_exists(gate))
    parts.intake.take_soon("a", Occasion(first_change_at_s=time.time()))
    begun = ("pack.test_started", "packs/alpha")
    wait_until(lambda: begun in [(one.type, one.subject) for one in told(parts)])
    swap(parts.settings.packs_dir)
    for name in order:
        parts.intake.take_soon(name, Occasion(first_change_at_s=time.time()))
    gate.touch()
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "b", "beta": "a"}
    assert "pack.unregistered" not in said_of(parts, "beta")


def test_drops_with_the_same_ref_that_are_being_written_are_put_off_and_then_refused(parts: Parts) -> None:
    """Who has it can't be said before they are quiet, or were waited for long enough."""
    first = dropped(parts, "first")
    written(parts, "second", manifest("alpha"))
    (first / "more").touch()
    unsettled = Unsettled(problem=Problem(code="tree.changed", message="it is written to"))
    reader = parts.intake._holders._reader
    read = reader.read
    asked: list[str] = []

    def reading(name: str) -> Snapshot | Unsettled | Refused:
        asked.append(name)
        return unsettled if name == "first" else read(name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reader, "read", reading)
        looked_at(parts, "second")
        assert asked == ["second", "first"]
        assert (refusals(parts), parts.settling.waiting()) == ([], 1)
        burst = Settled(name="second", first_change=0.0, forced=True, touches=9)
        parts.intake.take_soon("second", Occasion(first_change_at_s=time.time(), burst=burst))
        assert parts.lanes.wait_idle(30)
        assert len(refusals(parts)) == 1
    looked_at(parts, "first")
    come_to_rest(parts)
    assert owners(parts) == {"alpha": "first"}
