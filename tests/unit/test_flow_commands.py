"""Going back: at once, from what is in use when it is asked for, and with the way out where there is something in the way."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from packd.domain.failures import Failure
from packd.domain.lifecycle import Phase
from packd.flow.occasion import Occasion
from packd.watch.settle import Settled
from tests.unit.flow_ground import MANIFEST, core, latest, looked_at, made_parts, told, under_test, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.bootstrap import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        yield made


def being_tested(parts: Parts, version: str) -> None:
    """For longer than any test here takes, unless it is stopped."""
    written(parts, "core", MANIFEST.format(version=version, needs=""), test="sleep 60")
    under_test(parts)


def other(parts: Parts, version: str, needs: str) -> None:
    manifest = MANIFEST.replace("ref: core", "ref: other").format(version=version, needs=f'"core@{needs}"')
    written(parts, "other", manifest)
    looked_at(parts, "other")


def roll_back(parts: Parts, ref: str = "core", *, force: bool = False) -> tuple[str, str]:
    withdrawn, restored = parts.commands.rollback(ref, to=None, force=force, actor="test")
    return withdrawn.name, restored.name


def test_what_is_in_use_when_asked_is_rolled_back_at_once(parts: Parts) -> None:
    """A candidate is not waited for, and does not come into use afterwards; it can be asked for again."""
    core(parts)
    core(parts, "2.0.0")
    being_tested(parts, "3.0.0")
    began = time.monotonic()
    assert roll_back(parts) == ("core#2", "core#1")
    assert time.monotonic() - began < 30
    assert parts.lanes.wait_idle(30)
    assert latest(parts).phase == Phase.SUPERSEDED
    said = parts.commands.explain("core").text()
    assert "packd retry core" in said
    assert "its tests were stopped: suite 'shell': core#2 was rolled back" in said
    assert "FAILED" not in said

    assert parts.commands.retry("core", actor="test") is None
    under_test(parts)
    assert (latest(parts).number, latest(parts).version) == (4, "3.0.0")
    parts.runs.cancel("core")


def test_a_candidate_is_left_alone_when_there_is_no_way_back(parts: Parts) -> None:
    """And the refusal comes at once."""
    core(parts)
    being_tested(parts, "2.0.0")
    with pytest.raises(Failure, match="nothing to go back to"):
        roll_back(parts)
    assert parts.runs.under_way() == ["core"]
    assert latest(parts).phase == Phase.VALIDATED
    parts.runs.cancel("core")


@pytest.mark.parametrize("what", ["rollback", "disable", "remove"])
def test_what_comes_too_late_changes_nothing(parts: Parts, what: str) -> None:
    """While packd stops commands are refused, and what is on its way is tested at the next start."""
    core(parts)
    core(parts, "2.0.0")
    being_tested(parts, "3.0.0")
    parts.lanes.stop(0)
    with pytest.raises(Failure, match="packd is stopping"):
        {
            "rollback": partial(parts.commands.rollback, to=None),
            "disable": parts.availability.disable,
            "remove": parts.availability.remove,
        }[what]("core", actor="test")
    assert latest(parts).phase == Phase.VALIDATED
    parts.runs.cancel("core")


def test_going_forward_again_says_nothing_against_what_was_in_use(parts: Parts) -> None:
    """Asked for by its number; without one, what is in use is withdrawn, whichever is put back."""
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        core(parts, version)
    for to, names in ((1, ("core#3", "core#1")), (2, ("core#1", "core#2")), (1, ("core#2", "core#1"))):
        withdrawn, restored = parts.commands.rollback("core", to=to, actor="test")
        assert (withdrawn.name, restored.name) == names
        assert withdrawn.phase == (Phase.SUPERSEDED if to == 2 else Phase.ROLLED_BACK)


def test_nothing_is_left_to_go_back_to(parts: Parts) -> None:
    """Those that were in use are named, with the way out; it is not said that there were none."""
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        core(parts, version)
    assert [roll_back(parts), roll_back(parts)] == [("core#3", "core#2"), ("core#2", "core#1")]
    with pytest.raises(Failure) as refused:
        roll_back(parts)
    assert refused.value.sentence == (
        "there is nothing to go back to: what else of 'core' was in use (#2, #3) was rolled back; "
        "drop that content again, or `packd retry core` for core#3"
    )
    with pytest.raises(
        Failure, match=r"core#2 is rolled back and can't be put back: .* once can; drop that content again"
    ):
        parts.commands.rollback("core", to=2, actor="test")


def test_content_that_is_gone_from_the_store(parts: Parts) -> None:
    """Who took it is not known."""
    core(parts)
    gone = latest(parts)
    core(parts, "2.0.0")
    parts.store.remove(gone.digest)
    with pytest.raises(Failure, match=r"core#1 is not in the store any more: .* or somebody took it away; drop that"):
        roll_back(parts)


def test_packs_that_moved_up_together_go_back_together(parts: Parts) -> None:
    """Either refusal names the way that leads there, and it does."""
    core(parts)
    other(parts, "1.0.0", "<2")
    other(parts, "2.0.0", ">=2")
    core(parts, "2.0.0")
    assert (latest(parts, "core").phase, latest(parts, "other").phase) == (Phase.ACTIVE, Phase.ACTIVE)
    with pytest.raises(Failure, match=r"needs core >=2.*`packd rollback core --force`, then `packd rollback other`"):
        roll_back(parts)
    with pytest.raises(Failure, match=r"needs core <2, but version 2\.0\.0 is in use.* other --force`, then .* core`"):
        roll_back(parts, "other")
    assert roll_back(parts, force=True) == ("core#2", "core#1")
    assert roll_back(parts, "other") == ("other#2", "other#1")


def test_whoever_can_go_back_alone_goes_first(parts: Parts) -> None:
    """The refusal names who that is, and then both ways are open."""
    core(parts)
    other(parts, "1.0.0", "*")
    core(parts, "2.0.0")
    other(parts, "2.0.0", ">=2")
    with pytest.raises(Failure, match="roll 'other' back first"):
        roll_back(parts)
    assert roll_back(parts, "other") == ("other#2", "other#1")
    assert roll_back(parts) == ("core#2", "core#1")


def test_what_was_refused_is_tried_again_by_the_ref_that_it_is_listed_under(parts: Parts) -> None:
    """An archive has another name than its pack."""
    (parts.settings.packs_dir / "slack.zip").write_bytes(b"PK\x03\x04 and no more")
    forced = Settled(name="slack.zip", first_change=0.0, forced=True, touches=1)
    parts.intake.take_soon("slack.zip", Occasion(first_change_at_s=0.0, burst=forced))
    assert parts.lanes.wait_idle(30)
    assert "slack.zip" in parts.commands.explain("slack").headline
    assert parts.commands.retry("slack", actor="test") is None
    assert parts.settling.waiting() == 1


def test_what_a_run_that_was_asked_for_told_is_caused_by_its_own_beginning(parts: Parts) -> None:
    """And is no cause of what the revision tells later."""
    core(parts, needs="other")
    parts.commands.run_tests("core", runner=None, actor="test", source="cli")
    looked_at(parts, written(parts, "other", MANIFEST.replace("core", "other").format(version="1.0.0", needs="")).name)
    of_core = [json.loads(event.body) for event in told(parts) if event.subject == "packs/core"]
    types = {one["id"]: one["type"].removeprefix("pack.") for one in of_core}
    assert [(types[one["id"]], types.get(one["causation_id"])) for one in of_core] == [
        ("discovered", None),
        ("waiting", "discovered"),
        ("test_started", "waiting"),
        ("test_passed", "test_started"),
        ("test_started", "waiting"),
        ("test_passed", "test_started"),
        ("registered", "test_passed"),
    ]
