"""Runs: what is told to have begun starts at once, and can be stopped from then on."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from packd.domain.lifecycle import Phase
from packd.domain.manifest import Manifest, Testing
from packd.flow.runs import Begun, Runs
from packd.registry.rows import Run
from tests.unit.registry_ground import a_revision

if TYPE_CHECKING:
    from packd.domain.reports import Report
    from packd.testrun.executor import CancelToken, RunRequest


class Executor:
    """Ends each run at once; `tokens` are their stop buttons, as they were handed over."""

    def __init__(self) -> None:
        self.tokens: list[CancelToken] = []

    def submit(self, request: RunRequest, *, cancel: CancelToken, **_: Any) -> Future[Report]:
        self.tokens.append(cancel)
        answer: Future[Report] = Future()
        answer.set_result(cast("Report", request.run_id))
        return answer


@pytest.fixture
def executor() -> Executor:
    return Executor()


@pytest.fixture
def runs(executor: Executor) -> Runs:
    """Two at once, on parts that only give what is asked of them."""
    parts = {
        "registry": None,
        "store": SimpleNamespace(path=Path),
        "policy": SimpleNamespace(suite_timeout_s=1.0, run_limits=None, allow_network=False),
        "clock": None,
    }
    return Runs(executor=cast("Any", executor), at_once=2, **cast("Any", parts))


def begun(ref: str) -> Begun:
    run = Run(
        id=f"run_{ref}",
        ref=ref,
        number=1,
        trigger_reason="install",
        source="watch",
        actor="watch",
        started_at="2026-01-31T08:05:09.120Z",
        finished_at=None,
        status=None,
        accepted=None,
        verdict=None,
        report=None,
    )
    testing = Testing()
    manifest = Manifest(ref=ref, version="1.0.0", testing=testing)
    return Begun(revision=a_revision(ref, phase=Phase.VALIDATED), run=run, manifest=manifest, testing=testing)


def execute(runs: Runs, one: Begun) -> None:
    runs.execute(one.revision, one.run, one.manifest, one.testing)


def test_there_is_room_for_as_many_as_are_carried_out_at_once(runs: Runs) -> None:
    """Another one would be told to have begun while it waits."""
    assert runs.has_room("a")
    runs.expect(begun("a"))
    assert (runs.has_room("a"), runs.has_room("b")) == (False, True)
    runs.expect(begun("b"))
    assert not runs.has_room("c")
    execute(runs, begun("a"))
    assert (runs.has_room("a"), runs.has_room("c")) == (True, True)


def test_what_is_expected_can_be_followed_and_stopped(runs: Runs, executor: Executor) -> None:
    """Newer content that comes between a run's beginning and its execution stops it all the same."""
    runs.expect(begun("a"))
    told = runs.told_of("run_a")
    assert told is not None
    runs.cancel("a", older_than=2)
    execute(runs, begun("a"))
    assert [token.reason for token in executor.tokens] == ["newer content arrived"]
    assert (told.over, runs.told_of("run_a"), runs.under_way()) == (True, None, [])
