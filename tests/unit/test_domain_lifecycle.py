"""The lifecycle is one table; these hold what users and the registry rely on in it."""

from __future__ import annotations

import pytest

from packd.domain.lifecycle import REFUSED, TRANSITIONS, UNFINISHED, NotATransition, Phase, Trigger, after, picture


def test_every_phase_can_be_reached_from_the_first() -> None:
    """No phase is a word without a way to it."""
    reached = {Phase.SNAPSHOTTED}
    while True:
        further = reached | {then for (before, _), then in TRANSITIONS.items() if before in reached}
        if further == reached:
            break
        reached = further
    assert reached == set(Phase)


def test_what_is_not_in_the_table_is_an_error() -> None:
    """A rejected revision can't be activated, whatever the caller thinks."""
    with pytest.raises(NotATransition, match="rejected has no transition on activated"):
        after(Phase.REJECTED, Trigger.ACTIVATED)


@pytest.mark.parametrize("phase", sorted(UNFINISHED))
def test_newer_content_supersedes_every_unfinished_revision(phase: Phase) -> None:
    """Whatever a candidate is waiting for, newer content ends it."""
    assert after(phase, Trigger.SUPERSEDED) is Phase.SUPERSEDED


@pytest.mark.parametrize("phase", sorted(REFUSED))
def test_refused_content_comes_back_only_by_a_retry(phase: Phase) -> None:
    """Nothing but a retry leads out of a refusal: it goes through all its stages again."""
    ways_out = {trigger for (before, trigger) in TRANSITIONS if before is phase}
    assert ways_out == {Trigger.RETRIED}


def test_only_a_tested_or_a_superseded_revision_becomes_active() -> None:
    """Nothing reaches users without its tests having been dealt with."""
    before_active = {before for (before, _), then in TRANSITIONS.items() if then is Phase.ACTIVE}
    assert before_active == {Phase.TESTED, Phase.SUPERSEDED}


def test_the_picture_shows_every_transition() -> None:
    """The README's picture is drawn from the table, all of it."""
    drawn = picture()
    for (before, trigger), then in TRANSITIONS.items():
        assert f"{before.upper()} --> {then.upper()}: {trigger}" in drawn
