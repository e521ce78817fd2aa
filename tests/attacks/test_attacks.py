"""Packs that attack the machine, the daemon or each other, on every rung that works here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from packd.validate.load import check
from tests.attacks import rungs, table
from tests.attacks.arena import PACKS, Arena
from tests.attacks.declared import ATTACKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.attacks.declared import Attack

WORKING = rungs.working()


@pytest.fixture(scope="session")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Arena]]:
    """One for each rung, made when the first attack on it comes."""
    made: dict[str, Arena] = {}
    yield made
    for arena in made.values():
        arena.close()


@pytest.mark.parametrize("rung", rungs.NAMES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.pack)
def test_attack(attack: Attack, rung: str, arenas: dict[str, Arena], tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is contained, or the rung says that it is not; its run is judged rightly, nothing stays, and packd is well."""
    if rung not in WORKING:
        pytest.skip(f"the rung {rung} does not work on this machine")
    if rung not in arenas:
        arenas[rung] = Arena(tmp_path_factory.mktemp(rung.replace(" ", "-")) / "arena", rung)
    arena = arenas[rung]
    outcome = arena.carry_out(attack)
    if not (attack.varies and rung in attack.escapes):
        assert outcome.contained(attack.verdict) == (rung not in attack.escapes), outcome
    assert arena.complaints() == []


def test_the_table_is_what_is_declared() -> None:
    """Whoever changes what a rung contains writes the table again: `python -m tests.attacks.table --write`."""
    assert table.written(table.README.read_text()) == table.declared()


def test_every_pack_that_attacks_is_declared() -> None:
    """And is a good pack as far as can be told without running it."""
    packs = {path.name for path in PACKS.iterdir()}
    assert packs == {attack.pack for attack in ATTACKS} | {"harmless"}
    assert {name: check(PACKS / name, name=name).problems for name in packs} == dict.fromkeys(packs, ())
