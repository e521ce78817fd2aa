"""When an endpoint is left alone, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packd.domain.breaker import (
    DISABLE_AFTER_S,
    FIRST_REST_S,
    LONGEST_REST_S,
    OPENS_AFTER,
    WELL,
    Health,
    after_attempt,
    hopeless,
    rested,
    room,
    state,
)

NOW = 1_769_850_900.0
MOST = 16


def failing(times: int, *, every_s: float = 1.0, health: Health = WELL) -> tuple[Health, float]:
    """So many failures, each after the other; and the moment of the last."""
    now = NOW
    for number in range(times):
        now = NOW + number * every_s
        health = after_attempt(health, failed=True, now=now)
    return health, now


def test_a_few_failures_change_nothing() -> None:
    """One bad message is no reason to hold up the others."""
    health, now = failing(OPENS_AFTER - 1)
    assert state(health, now) == "closed"
    assert room(health, now, in_flight=3, most=MOST) == MOST - 3


def test_then_it_rests_and_one_goes_ahead() -> None:
    """While it is open nothing leaves; afterwards one, until that has come back."""
    health, now = failing(OPENS_AFTER)
    assert state(health, now) == "open"
    assert room(health, now, in_flight=0, most=MOST) == 0
    later = now + FIRST_REST_S
    assert state(health, later) == "half_open"
    assert [room(health, later, in_flight=n, most=MOST) for n in (0, 1, 5)] == [1, 0, 0]


def test_it_rests_longer_each_time_up_to_five_minutes() -> None:
    """So that a receiver that is back is found soon, and one that is away costs little."""
    health, now = failing(OPENS_AFTER)
    rests = []
    for _ in range(9):
        rests.append(health.rest_s)
        now = health.resting_until_s or 0.0
        health = after_attempt(health, failed=True, now=now)
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert LONGEST_REST_S == 300


def test_what_was_on_its_way_when_it_opened_says_nothing_new() -> None:
    """Sixteen that fail together are one reason to rest, not eleven."""
    health, now = failing(OPENS_AFTER)
    for _ in range(MOST):
        health = after_attempt(health, failed=True, now=now)
    assert (health.rest_s, health.resting_until_s) == (FIRST_REST_S, now + FIRST_REST_S)


def test_a_clock_that_was_set_back_makes_no_rest_longer() -> None:
    """A rest that would end later than it is long was begun by a clock that was ahead."""
    health = Health(failures=9, rest_s=10.0, resting_until_s=3600.0)
    assert state(health, 3590.0) == "open"
    assert state(health, 3500.0) == "half_open"


def test_one_arrival_makes_all_well() -> None:
    """Nothing is remembered."""
    health, now = failing(50)
    assert after_attempt(health, failed=False, now=now) == WELL


def test_a_person_who_wants_to_know_ends_the_rest() -> None:
    """One attempt goes ahead; an endpoint that is well stays so."""
    health, now = failing(OPENS_AFTER)
    assert state(rested(health, now), now) == "half_open"
    assert rested(WELL, now) == WELL


@pytest.mark.parametrize(("after_s", "gone"), [(DISABLE_AFTER_S - 1, False), (DISABLE_AFTER_S, True)])
def test_five_days_of_nothing_but_failure_are_enough(after_s: float, gone: bool) -> None:
    """Counted from the first failure since something arrived."""
    health, _ = failing(3)
    assert hopeless(health, NOW + after_s) is gone
    assert not hopeless(WELL, NOW + after_s)
    assert not hopeless(after_attempt(health, failed=False, now=NOW), NOW + 10 * DISABLE_AFTER_S)


@given(st.lists(st.tuples(st.booleans(), st.floats(-10, 1000)), max_size=60))
def test_whatever_happens_it_never_rests_for_long(steps: list[tuple[bool, float]]) -> None:
    """Also with a clock that goes back: at most five minutes behind the attempt that said so."""
    health, now = WELL, NOW
    for failed, passed in steps:
        now += passed
        before = health
        health = after_attempt(health, failed=failed, now=now)
        if health.resting_until_s != before.resting_until_s and health.resting_until_s is not None:
            assert FIRST_REST_S <= health.resting_until_s - now <= LONGEST_REST_S + 1e-6
        assert (state(health, now) == "closed") == (health.rest_s == 0)
        assert health.failing_since_s is None or health.failing_since_s <= now
        assert replace(health, failures=0).failures == 0
