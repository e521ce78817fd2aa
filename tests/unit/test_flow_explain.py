"""In words: what is said of a pack in each of its states, with the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from packd.domain.lifecycle import Phase
from packd.flow import outcomes
from packd.flow.explain import explain
from packd.registry import queries
from tests.unit.registry_ground import START_S, Ground, a_revision, made_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with made_ground("sqlite", tmp_path) as ground:
        yield ground


def text(ground: Ground, name: str) -> str:
    with ground.registry.read() as connection:
        said = explain(connection, name)
    assert said is not None
    return said.text()


def waiting(ground: Ground) -> None:
    wants = ({"ref": "core", "version": ">=2"},)
    ground.add(a_revision("slack", phase=Phase.WAITING, waits_for=wants))


def activate(ground: Ground, ref: str, number: int = 1) -> None:
    revision = ground.add(a_revision(ref, number, Phase.TESTED))
    with ground.registry.write() as tx:
        outcomes.activate(tx, revision, now_s=START_S)


def test_in_use(ground: Ground) -> None:
    """One sentence, with a moment that one can read anywhere."""
    activate(ground, "core")
    said = text(ground, "core")
    assert said.startswith("core#1 (version 1.0.0) is active since ")
    assert said.endswith(" UTC.\n")


def test_waiting_says_how_the_other_one_stands(ground: Ground) -> None:
    """Not here, here in another version, on its way, or refused: each helps in another way."""
    waiting(ground)
    assert "needs core >=2: no such pack is here; drop it, too" in text(ground, "slack")
    assert "goes on by itself" in text(ground, "slack")
    activate(ground, "core")
    assert "needs core >=2: version 1.0.0 is in use" in text(ground, "slack")
    ground.add(a_revision("core", 2, Phase.FAILED))
    assert (
        "needs core >=2: core#2 did not pass its own tests and was rolled back, version 1.0.0 is in use; "
        "see `packd why core`" in text(ground, "slack")
    )
    ground.add(a_revision("core", 3, Phase.VALIDATED))
    assert "needs core >=2: version 1.0.0 is in use" in text(ground, "slack")


def test_refused(ground: Ground) -> None:
    """What stays in use, and both ways to try again."""
    activate(ground, "core")
    ground.add(a_revision("core", 2, Phase.REJECTED))
    said = text(ground, "core")
    assert said.startswith("core#2 (version 2.0.0) was rejected by validation; core#1 (version 1.0.0) stays in use.\n")
    assert "Change what lies there, and it is tried again by itself." in said
    assert "packd retry core" in said


def test_gone(ground: Ground) -> None:
    """Since when, and where its history is."""
    activate(ground, "core")
    with ground.registry.write() as tx:
        pack = queries.pack(tx.connection, "core")
        assert pack is not None
        outcomes.unregister(tx, pack, reason="removed", correlation_id="chg_1")
    said = text(ground, "core")
    assert "'core' is not registered any more since " in said
    assert "packd history core" in said
