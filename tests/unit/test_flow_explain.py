"""In words: what is said of a pack in each of its states, with the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from packd.domain.lifecycle import Phase, Trigger
from packd.domain.problems import Problem
from packd.flow import outcomes
from packd.flow.explain import explain, explain_drop
from packd.registry import queries
from packd.registry.rows import Drop, Run
from tests.unit.registry_ground import START_S, Ground, a_revision, made_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from packd.registry.rows import Revision


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


def test_waiting_for_what_was_taken_out_says_how_to_put_it_back(ground: Ground) -> None:
    """Whatever became of its newest revision: dropping it once more would change nothing."""
    waiting(ground)
    activate(ground, "core")
    digest = ground.add(a_revision("core", 2, Phase.REJECTED)).digest
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name="core", kind="folder", ref="core", digest=digest))
        active = tx.active("core")
        assert active is not None
        tx.disable("core")
        tx.move(active, Trigger.SUPERSEDED)
    assert "needs core >=2: 'core' is disabled: packd enable core\n" in text(ground, "slack")
    with ground.registry.write() as tx:
        tx.enable("core")
        tx.unregister("core")
    assert "needs core >=2: no such pack is here; drop it, too\n" in text(ground, "slack")
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name="core", kind="folder", ref="core", digest=digest, held=True))
    assert "needs core >=2: an operator removed 'core': packd retry core\n" in text(ground, "slack")


def test_waiting_for_what_was_stopped_on_its_way(ground: Ground) -> None:
    """It lies there, and only somebody's asking for it makes it a candidate again; or it can't be read."""
    waiting(ground)
    stopped = ground.add(a_revision("core", phase=Phase.SUPERSEDED))
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name="core", kind="folder", ref="core", digest=stopped.digest))
    said = "needs core >=2: 'core' was taken out before it came into use: packd retry core\n"
    assert said in text(ground, "slack")
    refuse(ground, "core", "core", "it can't be read")
    assert "needs core >=2: what lies in 'core' was refused; see `packd why core`\n" in text(ground, "slack")


def test_in_use_without_what_it_needs(ground: Ground) -> None:
    """Somebody disabled that: how to put it back."""
    activate(ground, "core")
    needy = ground.add(a_revision("slack", phase=Phase.TESTED, needs=({"ref": "core", "range": "*"},)))
    with ground.registry.write() as tx:
        outcomes.activate(tx, needy, now_s=START_S)
        active = tx.active("core")
        assert active is not None
        tx.disable("core")
        tx.move(active, Trigger.SUPERSEDED)
    said = "slack#1 needs core, but nothing of that pack is in use: 'core' is disabled: packd enable core"
    assert said in text(ground, "slack")


def test_refused(ground: Ground) -> None:
    """What stays in use, and both ways to try again."""
    activate(ground, "core")
    ground.add(a_revision("core", 2, Phase.REJECTED))
    said = text(ground, "core")
    assert said.startswith("core#2 (version 2.0.0) was rejected by validation; core#1 (version 1.0.0) stays in use.\n")
    assert "Change what lies there, and it is tried again by itself." in said
    assert "packd retry core" in said


def refuse(ground: Ground, drop: str, ref: str, message: str) -> None:
    problem = Problem(code="manifest.ref_taken", message=message).to_dict()
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name=drop, kind="folder", ref=ref, problems=(problem,)))


def test_a_refused_drop_is_found_by_its_name_and_by_the_ref_that_it_claims(ground: Ground) -> None:
    """Which is what it is called wherever packs are listed."""
    refuse(ground, "zlie.zip", "zlie", "it can't be unpacked")
    assert text(ground, "zlie") == text(ground, "zlie.zip")
    assert text(ground, "zlie").startswith("What lies in 'zlie.zip' was refused.\n")
    with ground.registry.read() as connection:
        assert explain(connection, "zli") is None


def test_the_ref_of_a_pack_goes_before_the_name_of_another_drop(ground: Ground) -> None:
    """The pack is explained; of whatever else goes by that name, and was refused, it is said why."""
    revision = ground.add(a_revision("emoji", phase=Phase.TESTED), drop="dup")
    with ground.registry.write() as tx:
        outcomes.activate(tx, revision, now_s=START_S)
        tx.save_drop(Drop(name="dup", kind="folder", ref="emoji"))
    refuse(ground, "emoji", "emoji", "the pack 'emoji' is already here")
    refuse(ground, "third", "emoji", "and here as well")
    refuse(ground, "fourth", "smile", "this one is something else")
    headline, *lines = text(ground, "emoji").splitlines()
    assert headline.startswith("emoji#1 (version 1.0.0) is active since ")
    assert lines[:2] == [
        "  What lies in 'emoji' was refused: the pack 'emoji' is already here",
        "  What lies in 'third' was refused: and here as well",
    ]
    assert "something else" not in text(ground, "emoji")
    assert "refused" not in text(ground, "dup")
    with ground.registry.read() as connection:
        beside = queries.drop(connection, "emoji")
        assert beside is not None
        said = explain_drop(connection, beside)
    assert said is not None
    assert said.text().startswith("What lies in 'emoji' was refused.\n")


def unregistered(ground: Ground, ref: str, *, reason: Literal["removed", "operator"]) -> None:
    """A pack that was in use."""
    activate(ground, ref)
    with ground.registry.write() as tx:
        pack = queries.pack(tx.connection, ref)
        assert pack is not None
        outcomes.unregister(tx, pack, reason=reason, correlation_id="chg_1")


def test_gone(ground: Ground) -> None:
    """Since when, where its history is, and how to have it back."""
    unregistered(ground, "core", reason="removed")
    said = text(ground, "core")
    assert "'core' is not registered any more since " in said
    assert "packd history core" in said
    assert "To have it back: drop it, or register it, again." in said


def test_removed_and_asked_for_again(ground: Ground) -> None:
    """Until it is read nothing is said that sends anybody to drop what lies there."""
    unregistered(ground, "core", reason="operator")
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name="core", kind="folder", ref="core"))
    said = text(ground, "core")
    assert "'core' is about to be read again" in said
    assert "gone from the packs directory" not in said
    assert "drop it" not in said


def test_a_registration_that_was_cancelled(ground: Ground) -> None:
    """Nothing of it lies in the packs directory, so it is for whoever registered it to do that again."""
    ground.add(a_revision("core", phase=Phase.SUPERSEDED, origin="registered"))
    assert "To try it again, register it again." in text(ground, "core")


def unavailable(blamed: str) -> dict[str, Any]:
    """The report of a run whose environment could not be had."""
    detail = "its environment could not be built: pip ended with exit status 1:\nERROR: no route to host"
    environment = {"failed": blamed}
    suite = {"name": "py", "status": "error", "reason": "unavailable", "detail": detail, "environment": environment,
             "output_tail": "ERROR: no route to host\n", "test_cases": []}  # fmt: skip
    counts = {"total_tests": 0, "passed": 0, "skipped": 0, "duration_ms": 20.0}
    return {"status": "error", "reason": "unavailable", "environment": environment, "test_suites": [suite], **counts}


def a_run(ground: Ground, revision: Revision, name: str, reason: str, report: dict[str, Any] | None) -> None:
    """One that failed, or with no report one that is under way."""
    with ground.registry.write() as tx:
        tx.start_run(
            Run(
                id=name, ref=revision.ref, number=revision.number, trigger_reason=reason, source="watch",
                actor="watch", started_at=tx.now, finished_at=None, status=None, accepted=None, verdict=None, report=None,
            )
        )  # fmt: skip
        if report is not None:
            tx.finish_run(name, status="error", accepted=False, verdict="could not be run", report=report)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ROLLED_BACK])
def test_testing_by_hand_does_not_hide_why_it_was_refused(ground: Ground, phase: Phase) -> None:
    """Neither while that goes on nor when it has passed: nothing followed from it."""
    revision = ground.add(a_revision("core", phase=phase))
    a_run(ground, revision, "run_1", "install", unavailable("pack"))
    before = text(ground, "core")
    assert "no route to host" in before
    a_run(ground, revision, "run_2", "manual", {**unavailable("pack"), "test_suites": []})
    a_run(ground, revision, "run_3", "manual", None)
    assert text(ground, "core") == before


@pytest.mark.parametrize(
    ("blamed", "follows"),
    [("network", "packd tries again by itself"), ("pack", "Change what lies there, and it is tried again by itself.")],
)
def test_what_could_not_be_run_did_not_fail(ground: Ground, blamed: str, follows: str) -> None:
    """With what kept it from being run, once, and whether anybody has to do something."""
    revision = ground.add(a_revision("core", phase=Phase.FAILED))
    a_run(ground, revision, "run_1", "install", unavailable(blamed))
    said = text(ground, "core")
    assert said.startswith("core#1 (version 1.0.0) could not be tested and was rolled back; nothing of this pack")
    assert "own tests" not in said
    assert "0 of 0" not in said
    assert said.count("no route to host") == 1
    assert "\n      ERROR: no route to host\n" in said
    assert follows in said
