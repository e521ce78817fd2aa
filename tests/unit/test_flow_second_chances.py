"""When a pack whose tests could not be run is tried again by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from packd.flow.second_chances import is_due, is_excusable, pause_s
from packd.registry.rows import Run

ENDED = "2024-05-01T10:00:00.000Z"
ENDED_S = 1714557600.0


def run(
    *, failed: str | None = "network", reason: str | None = "unavailable", own: str | None = None, suites: int = 1
) -> Run:
    suite: dict[str, Any] = {"reason": reason, "environment": {"failed": own} if own else None}
    return Run(
        id="run_1",
        ref="core",
        number=1,
        trigger_reason="install",
        source="watch",
        actor="watch",
        started_at=ENDED,
        finished_at=ENDED,
        status="error",
        accepted=False,
        verdict="no",
        report={"environment": {"failed": failed}, "test_suites": [suite] * suites},
    )


@pytest.mark.parametrize(
    "ended",
    [run(failed="network"), run(failed="machine"), run(failed="machine", suites=0), run(failed=None, own="machine")],
    ids=["no network", "something is missing here", "the run was lost", "a suite had no sandbox"],
)
def test_what_may_pass_is_tried_again(ended: Run) -> None:
    """After a pause; not before."""
    assert is_due([ended], ENDED_S + pause_s(1))
    assert not is_due([ended], ENDED_S + pause_s(1) - 1)


@pytest.mark.parametrize(
    "ended",
    [run(failed="pack"), run(failed=None), run(failed=None, suites=0), run(reason="failures"), run(own="pack")],
    ids=[
        "the pack's fault",
        "an environment that was built",
        "no suite",
        "failing tests",
        "one of two is the pack's fault",
    ],
)
def test_what_will_not_pass_is_not(ended: Run) -> None:
    """Only a change of the pack helps there."""
    assert not is_excusable(ended)
    assert not is_due([ended], ENDED_S + 1e9)


def test_each_vain_attempt_doubles_the_pause() -> None:
    """Up to some hours, for ever."""
    pauses = [pause_s(vain) for vain in range(1, 12)]
    assert pauses[:3] == [pauses[0], pauses[0] * 2, pauses[0] * 4]
    assert pauses[-1] == pauses[-2] == pause_s(10_000) == 4 * 3600
    assert not is_due([run(), run(), run()], ENDED_S + pause_s(2))
    assert is_due([run(), run(), run()], ENDED_S + pause_s(3))
    assert is_due([run(), run(failed="pack"), run()], ENDED_S + pause_s(1))


def test_testing_by_hand_takes_no_second_chance_away() -> None:
    """Whatever came of it: nobody carried the pack on."""
    by_hand = replace(run(failed=None, reason=None), trigger_reason="manual", accepted=True)
    assert is_due([by_hand, run()], ENDED_S + pause_s(1))
    assert not is_due([by_hand, run(failed="pack")], ENDED_S + 1e9)


def test_nothing_ran_yet() -> None:
    """A revision without a run was not failed by an environment."""
    assert not is_due([], ENDED_S)
    assert not is_excusable(Run(**{**run().__dict__, "report": None}))
