"""Packs that are to be tested when others are under way: they wait without keeping anybody from work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from packd.domain.lifecycle import Phase
from packd.flow.clock import Clock
from packd.flow.occasion import Occasion
from packd.flow.runs import WAITING_RUNS
from packd.flow.settling import Settling
from packd.registry import queries
from packd.registry.full_disk import DiskFull
from packd.watch.settle import Settler
from tests.unit.flow_ground import MANIFEST, core, latest, made_parts, told, written
from tests.waiting import until_exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.bootstrap import Parts
    from packd.flow.pipeline import Begun

MANY = 60  # more than there are threads for lanes


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path, tests={"isolation": "basic", "workers": 1}) as made:
        yield made


def dropped(parts: Parts, gate: Path, ref: str) -> None:
    """A pack whose suite ends when there is something at `gate`."""
    manifest = MANIFEST.format(version="1.0.0", needs="").replace("ref: core", f"ref: {ref}")
    written(parts, ref, manifest, test=until_exists(gate))
    parts.intake.take_soon(ref, Occasion(first_change_at_s=0.0))


def in_phase(parts: Parts, phase: Phase) -> int:
    with parts.registry.read() as connection:
        return len(queries.latest_revisions(connection, phase))


def test_a_crowd_to_be_tested_keeps_nobody_from_other_work(parts: Parts, tmp_path: Path) -> None:
    """Commands for other packs are answered, new drops are read, and in the end all were tested, each once."""
    core(parts)
    core(parts, "2.0.0")
    gate = tmp_path / "gate"
    for number in range(MANY):
        dropped(parts, gate, f"p{number}")
    wait_until(lambda: in_phase(parts, Phase.VALIDATED) == MANY)
    wait_until(lambda: len(parts.runs.under_way()) == 1 + WAITING_RUNS)
    with ThreadPoolExecutor(1) as other:
        _, restored = other.submit(parts.commands.rollback, "core", to=None, actor="test").result(timeout=20)
    assert restored.number == 1
    waits = "waits for its turn to be tested"
    assert sum(waits in parts.commands.explain(f"p{n}").headline for n in range(MANY)) == MANY - 1 - WAITING_RUNS
    dropped(parts, gate, "late")
    wait_until(lambda: in_phase(parts, Phase.VALIDATED) == MANY + 1)
    gate.touch()
    assert parts.lanes.wait_idle(60)
    assert in_phase(parts, Phase.ACTIVE) == MANY + 2 - 1  # but core, whose newest one was rolled back
    started = [event.subject for event in told(parts) if event.type == "pack.test_started"]
    assert len(started) == len(set(started)) + 1  # core has two revisions


def test_what_is_being_tested_is_not_tested_once_more(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan may find the candidate before whoever began its run with it has come to wait for that."""
    sent: list[tuple[str, Begun]] = []
    with monkeypatch.context() as patch:
        patch.setattr(parts.pipeline, "start", lambda *with_what: sent.append(with_what))
        gate = tmp_path / "gate"
        dropped(parts, gate, "one")
        assert parts.lanes.wait_idle(30)
    parts.pipeline.start("one")
    assert parts.lanes.wait_idle(30)
    gate.touch()
    ((ref, begun),) = sent
    parts.pipeline.start(ref, begun)
    assert parts.lanes.wait_idle(30)
    assert latest(parts, "one").phase == Phase.ACTIVE
    assert [event.type for event in told(parts)].count("pack.test_started") == 1


def test_a_run_whose_end_could_not_be_written_down_does_not_stay_under_way(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revision is tested again, and of the lost run it is said what became of it."""

    def full(*_: object) -> None:
        monkeypatch.undo()
        raise DiskFull("packd.db")

    monkeypatch.setattr(parts.runs, "finish", full)
    core(parts)
    assert latest(parts).phase == Phase.VALIDATED
    parts.reconciler.request()
    assert parts.lanes.wait_idle(30)
    assert latest(parts).phase == Phase.ACTIVE
    with parts.registry.read() as connection:
        again, lost = queries.run_history(connection, "core")
    assert (again.status, lost.status, lost.verdict) == (
        "passed",
        "error",
        "what came of the tests could not be written down",
    )


def test_what_is_told_of_a_drop_that_is_gone_goes_on_to_count() -> None:
    """It may be back by now; and when nothing more is told, nobody waits for it in the end."""
    settling = Settling(Settler(0.05, 5.0), remove_grace_s=0.1, clock=Clock())
    taken, removed = threading.Event(), threading.Event()

    def take(name: str, _: Occasion) -> None:
        taken.set()
        settling.is_gone(name)

    settling.start(take=take, remove=lambda _: removed.set())
    settling.touched("one")
    settling.is_gone("one")
    assert taken.wait(10)
    assert removed.wait(10)
    wait_until(lambda: settling.waiting() == 0)
    settling.stop()
