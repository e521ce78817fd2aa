"""Runs: what is told to have begun starts at once, and can be stopped from then on."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Phase
from packd.domain.manifest import Manifest, Testing
from packd.flow.runs import Plan, Runs
from tests.unit.registry_ground import a_revision

if TYPE_CHECKING:
    from packd.domain.reports import Report
    from packd.testrun.executor import CancelToken, RunRequest


class Executor:
    """Ends a run when the test says so; `tokens` are their stop buttons, as they were handed over."""

    def __init__(self) -> None:
        self.tokens: list[CancelToken] = []
        self._answers: dict[str, Future[Report]] = {}

    def submit(self, request: RunRequest, *, cancel: CancelToken, **_: Any) -> Future[Report]:
        self.tokens.append(cancel)
        return self._answers.setdefault(request.run_id, Future())

    def end(self, ref: str) -> None:
        run_id = plan(ref).run_id
        self._answers[run_id].set_result(cast("Report", run_id))


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


def plan(ref: str) -> Plan:
    testing = Testing()
    return Plan(
        run_id=f"run_{ref}",
        started_at="2026-01-31T08:05:09.120Z",
        revision=a_revision(ref, phase=Phase.VALIDATED),
        manifest=Manifest(ref=ref, version="1.0.0", testing=testing),
        testing=testing,
    )


def test_there_is_room_for_as_many_as_are_carried_out_at_once(runs: Runs, executor: Executor) -> None:
    """Another one would be told to have begun while it waits. A report that nobody has taken yet is in nobody's way."""
    assert runs.has_room("a")
    first = runs.submit(plan("a"))
    assert (runs.has_room("a"), runs.has_room("b")) == (False, True)
    runs.submit(plan("b"))
    assert not runs.has_room("c")
    executor.end("a")
    assert (runs.has_room("a"), runs.has_room("c")) == (False, True)
    runs.wait(first)
    assert (runs.has_room("a"), runs.has_room("c")) == (True, True)


def test_what_was_submitted_can_be_followed_and_stopped(runs: Runs, executor: Executor) -> None:
    """Newer content that comes before anybody waits for the report stops it all the same."""
    running = runs.submit(plan("a"))
    told = runs.told_of("run_a")
    assert told is not None
    runs.cancel("a", older_than=2)
    executor.end("a")
    runs.wait(running)
    assert [token.reason for token in executor.tokens] == ["newer content arrived"]
    assert (told.over, runs.told_of("run_a"), runs.under_way()) == (True, None, [])


def test_what_was_not_written_down_is_ended(runs: Runs, executor: Executor) -> None:
    """Suites that began while their transaction was made end with it."""
    with pytest.raises(OSError, match="disk full"), runs.ahead() as ahead:
        ahead.running = runs.submit(plan("a"))
        raise OSError("disk full")
    assert [token.reason for token in executor.tokens] == ["it was not written down"]
    assert runs.under_way() == []


def test_what_was_written_down_goes_on(runs: Runs, executor: Executor) -> None:
    """The end of the transaction is not that of the run."""
    with runs.ahead() as ahead:
        ahead.running = runs.submit(plan("a"))
    assert [token.reason for token in executor.tokens] == [None]
    assert runs.under_way() == ["a"]


def test_what_can_not_be_submitted_is_not_under_way(runs: Runs, executor: Executor) -> None:
    """An executor that was closed takes nothing, and nothing is left of the attempt."""
    executor.submit = closed  # type: ignore[method-assign]
    with pytest.raises(Failure):
        runs.submit(plan("a"))
    assert runs.under_way() == []


def closed(*_: object, **__: object) -> Any:
    raise Failure(Code.UNAVAILABLE, "packd is stopping")
