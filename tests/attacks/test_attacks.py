"""Packs that attack the machine, the daemon or each other, on every rung that works here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from packd.validate.load import check
from tests.attacks import rungs, table
from tests.attacks.arena import PACKS, Arena
from tests.attacks.declared import ATTACKS, LEAVE_ORPHANS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.attacks.declared import Attack


@pytest.fixture(scope="session")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Arena]]:
    """One for each rung, made when the first attack on it comes; skips where the rung does not work."""
    made: dict[str, Arena] = {}
    probed = rungs.probed(tmp_path_factory.mktemp("rungs"))

    def arena(rung: str) -> Arena:
        named = probed[rungs.plain(rung)]
        if not named.works:
            pytest.skip(f"NO {rung.upper()}: the rung does not work on this machine: {named.why_not}")
        if rung not in made:
            made[rung] = Arena(tmp_path_factory.mktemp("arena") / rung, rung)
        return made[rung]

    yield arena
    for one in made.values():
        one.close()


@pytest.mark.parametrize("rung", rungs.STATES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.pack)
def test_attack(attack: Attack, rung: str, arenas: Callable[[str], Arena]) -> None:
    """It is contained, or the rung says that it is not; its run is judged rightly, nothing stays, and packd is well."""
    arena = arenas(rung)
    outcome = arena.carry_out(attack)
    escapes = rungs.plain(rung) in attack.escapes
    if not (attack.varies and escapes):
        assert outcome.contained(attack.verdict) == (not escapes), outcome
    assert arena.complaints() == []


@pytest.mark.parametrize("rung", rungs.STATES)
def test_a_killed_daemon_takes_its_run_with_it(rung: str, arenas: Callable[[str], Arena]) -> None:
    """At once where the rung can, what double-forked at the next start elsewhere; either way nothing stays."""
    arena = arenas(rung)
    alive, left = arena.kill_in_the_middle()
    assert bool(alive) == (rungs.plain(rung) in LEAVE_ORPHANS), alive
    assert left == []
    assert arena.complaints() == []


@pytest.mark.parametrize("rung", rungs.STATES)
def test_a_cancelled_run_is_gone_within_a_second(rung: str, arenas: Callable[[str], Arena]) -> None:
    """The whole tree of it, also what double-forked. (Twice that is allowed here, for a busy machine.)"""
    said, left = arenas(rung).cancel_in_the_middle()
    assert said["reason"] == "cancelled"
    assert said["took_s"] < 2.0
    assert left == []


def test_the_table_is_what_is_declared() -> None:
    """Whoever changes what a rung contains writes the table again: `python -m tests.attacks.table --write`."""
    assert table.written(table.README.read_text()) == table.declared()


def test_every_pack_that_attacks_is_declared() -> None:
    """And is a good pack as far as can be told without running it."""
    packs = {path.name for path in PACKS.iterdir()}
    assert packs == {attack.pack for attack in ATTACKS} | {"harmless", "lingerer"}
    assert {name: check(PACKS / name, name=name).problems for name in packs} == dict.fromkeys(packs, ())
