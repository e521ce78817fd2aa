"""What must hold for every attempt, whatever came of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from packd.domain.deliveries import JITTER, RETRY_AFTER_CAP_S, SCHEDULE, Outcome, decide, retry_after

statuses = st.none() | st.integers(100, 599) | st.sampled_from([200, 204, 301, 410, 429, 503])
outcomes = st.builds(
    Outcome,
    status=statuses,
    error=st.none() | st.just("the connection was reset before the answer"),
    content_type=st.sampled_from([None, "text/html"]),
    retry_after_s=st.none() | st.floats(0, 10**9),
    directive=st.sampled_from([None, None, "disable", "abort-message"]),
)
moments = st.floats(0, 4e9)
shares = st.floats(0, 1, exclude_max=True)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 12), outcomes, moments, shares)
def test_a_decision_is_whole(made, outcome, now, random):
    """Delivered exactly for a whole 2xx; a moment exactly for what will be tried by itself; always a reason."""
    decision = decide(made, outcome, now, random)
    assert (decision.state == "delivered") == outcome.arrived
    assert (decision.next_attempt_at is not None) == (decision.state == "pending" and not decision.disable_endpoint)
    assert decision.disable_endpoint <= (outcome.status == 410 or outcome.directive == "disable")
    assert decision.reason


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 12), outcomes, moments, shares)
def test_the_next_attempt_is_never_early_and_never_much_too_late(made, outcome, now, random):
    """At least the schedule and what the endpoint asked for; at most the schedule and its jitter, or a day."""
    decision = decide(made, outcome, now, random)
    if decision.next_attempt_at is None:
        return
    wait_s, planned_s = decision.next_attempt_at - now, SCHEDULE[made]
    heeded = outcome.status in (429, 503) and outcome.retry_after_s
    rounding = 1e-6  # of adding to a Unix time and taking it away again
    assert wait_s >= planned_s - rounding
    assert wait_s >= min(heeded or 0, RETRY_AFTER_CAP_S) - rounding
    assert wait_s <= max(planned_s * (1 + JITTER), RETRY_AFTER_CAP_S if heeded else 0) + rounding


@settings(max_examples=100, deadline=None)
@given(st.lists(outcomes.filter(lambda o: not o.arrived), min_size=12, max_size=12), shares, st.integers(1, 12))
def test_every_delivery_ends(failures, random, length):
    """It fails at most as often as the schedule is long, unless the endpoint is disabled and it is held."""
    schedule = SCHEDULE[:length]
    now, told = 0.0, []
    for made, outcome in enumerate(failures, 1):
        decision = decide(made, outcome, now, random, schedule)
        told.append(decision.event)
        if decision.next_attempt_at is None:
            break
        assert decision.next_attempt_at >= now
        now = decision.next_attempt_at
    assert made <= length
    assert decision.state in ("exhausted", "aborted") or decision.disable_endpoint
    assert told.count("webhook.delivery_failing") <= 1
    assert told.count("webhook.delivery_exhausted") == (decision.state == "exhausted")


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d( GMT| [+-]\d{4})?"),
    moments,
)
def test_any_retry_after_is_a_wait_of_at_most_a_day_or_nothing(value, now):
    """Whatever a server writes there."""
    wait_s = retry_after(value, now)
    assert wait_s is None or 0 <= wait_s <= RETRY_AFTER_CAP_S
