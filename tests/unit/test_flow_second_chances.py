"""When a pack whose tests could not be run is tried again by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from structlog.testing import capture_logs

from packd.flow.second_chances import is_due, is_excusable, pause_s
from packd.registry.broken import DatabaseBroken
from packd.registry.rows import Run
from tests.unit.flow_ground import MANIFEST, looked_at, made_parts, written

if TYPE_CHECKING:
    from pathlib import Path

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


def test_what_the_daemon_could_not_do_is_looked_for_as_soon_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the next comparison of everything because of a database that was away for a moment."""

    def away(*_: object, **__: object) -> NoReturn:
        raise DatabaseBroken("packd at db.example", "connection refused")

    with made_parts(tmp_path) as parts, capture_logs() as logged:

        def looked() -> int:
            """How often everything was compared, a chance later."""
            logged.clear()
            parts.second_chances.request()
            assert parts.lanes.wait_idle(30)
            return [line["event"] for line in logged].count("reconcile.done")

        assert looked() == 0
        written(parts, "core", MANIFEST.format(version="1.0.0", needs=""))
        with monkeypatch.context() as outage:
            outage.setattr(parts.database, "write", away)
            outage.setattr(parts.database, "read", away)
            looked_at(parts, "core")
            assert looked() == 0
        assert looked() == 1
        assert parts.settling.awaits("core")
        assert looked() == 0
