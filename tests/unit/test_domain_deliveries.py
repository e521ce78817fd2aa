"""What follows from an attempt."""

from __future__ import annotations

import pytest

from packd.domain.deliveries import SCHEDULE, Outcome, Rules, decide, failed, latest, retry_after, wait_text

NOW = 1_769_850_900.0


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(status):
    """And nothing else follows."""
    decision = decide(1, Outcome(status=status), NOW, 0.5)
    assert (decision.state, decision.next_attempt_at, decision.event) == ("delivered", None, None)


@pytest.mark.parametrize(
    "status", [100, 300, 301, 302, 304, 307, 308, 400, 401, 404, 408, 425, 429, 500, 502, 503, 599, 999]
)
def test_everything_else_is_tried_again(status):
    """Redirects and client errors too: a person may be mending the endpoint."""
    decision = decide(1, Outcome(status=status), NOW, 0.0)
    assert (decision.state, decision.next_attempt_at) == ("pending", NOW + 5)


def test_an_answer_that_broke_off_is_tried_again():
    """Better twice than not at all."""
    decision = decide(1, Outcome(status=200, error="the answer did not end within 15 s"), NOW, 0.0)
    assert decision.state == "pending"
    assert "200 OK, but the answer did not end" in decision.reason


def test_the_schedule_is_the_documented_one():
    """0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
    assert [wait_text(seconds) for seconds in SCHEDULE] == [
        "0 s", "5 s", "5 min", "30 min", "2 h", "5 h", "10 h", "14 h", "20 h", "24 h",
    ]  # fmt: skip


def test_an_endpoint_that_is_down_for_ever_costs_ten_attempts_and_two_events():
    """Failing is told once, at the fourth failure, and exhausted once, at the end."""
    told, waits = [], []
    for made in range(1, 11):
        decision = decide(made, Outcome(error="connection refused by x:1"), NOW, 0.0)
        told.append(decision.event)
        waits.append(decision.next_attempt_at and decision.next_attempt_at - NOW)
    assert [(made, event) for made, event in enumerate(told, 1) if event] == [
        (4, "webhook.delivery_failing"),
        (10, "webhook.delivery_exhausted"),
    ]
    assert waits == [*SCHEDULE[1:], None]
    assert decision.state == "exhausted"


@pytest.mark.parametrize(
    ("made", "event"), [(1, None), (4, None), (5, "webhook.delivery_recovered"), (10, "webhook.delivery_recovered")]
)
def test_recovery_is_told_when_failing_was(made, event):
    """A delivery that arrives before anybody was worried is no news."""
    assert decide(made, Outcome(status=200), NOW, 0.0).event == event


@pytest.mark.parametrize(
    "outcome", [Outcome(status=410), Outcome(status=500, directive="disable"), Outcome(directive="disable", status=404)]
)
@pytest.mark.parametrize("made", [1, 10])
def test_an_endpoint_that_is_gone_is_disabled_and_its_delivery_held(outcome, made):
    """Not dropped, and not counted as exhausted: it may be enabled again."""
    decision = decide(made, outcome, NOW, 0.0)
    assert (decision.state, decision.next_attempt_at, decision.disable_endpoint) == ("pending", None, True)
    assert "held" in decision.reason


def test_an_endpoint_may_take_a_delivery_and_ask_for_no_more():
    """`webhook-delivery: disable` on a 2xx."""
    decision = decide(1, Outcome(status=200, directive="disable"), NOW, 0.0)
    assert (decision.state, decision.disable_endpoint) == ("delivered", True)


@pytest.mark.parametrize(
    ("outcome", "is_failure"),
    [
        (Outcome(status=500), True),
        (Outcome(error="refused"), True),
        (Outcome(status=200, error="it broke off"), True),
        (Outcome(status=200), False),
        (Outcome(status=410), False),
        (Outcome(status=500, directive="disable"), False),
        (Outcome(status=422, directive="abort-message"), False),
    ],
)
def test_an_endpoint_that_wants_no_more_has_not_failed(outcome, is_failure):
    """It is well, and rests from nothing when it is enabled again."""
    assert failed(outcome) is is_failure


def test_abort_message_ends_one_delivery_and_only_a_failed_one():
    """`webhook-delivery: abort-message`."""
    assert decide(1, Outcome(status=422, directive="abort-message"), NOW, 0.0).state == "aborted"
    assert decide(1, Outcome(status=200, directive="abort-message"), NOW, 0.0).state == "delivered"
    assert not decide(1, Outcome(status=422, directive="abort-message"), NOW, 0.0).disable_endpoint


@pytest.mark.parametrize(
    ("status", "asked_s", "wait_s", "pause_s"),
    [
        (429, 60, 60, 60),
        (503, 2, 5, 2),
        (503, 0, 5, None),
        (429, 10**9, 86_400, 86_400),
        (500, 60, 5, None),
        (301, 60, 5, None),
    ],
)
def test_retry_after_is_a_lower_bound_and_pauses_the_endpoint(status, asked_s, wait_s, pause_s):
    """On 429 and 503 only, and for at most a day."""
    decision = decide(1, Outcome(status=status, retry_after_s=asked_s), NOW, 0.0)
    assert decision.next_attempt_at == NOW + wait_s
    assert decision.pause_endpoint_until == (pause_s and NOW + pause_s)


def test_the_last_attempt_can_pause_the_endpoint_too():
    """Other deliveries to it must wait even when this one is given up."""
    decision = decide(10, Outcome(status=429, retry_after_s=30), NOW, 0.0)
    assert (decision.state, decision.pause_endpoint_until) == ("exhausted", NOW + 30)


def test_a_web_page_as_an_answer_is_flagged():
    """A 200 from a login page is not a receiver."""
    decision = decide(1, Outcome(status=200, content_type="text/html"), NOW, 0.0)
    assert decision.state == "delivered"
    assert decision.warning is not None
    assert decision.warning in decision.reason
    assert decide(1, Outcome(status=200, content_type="text/plain"), NOW, 0.0).warning is None


def test_a_redirect_says_what_to_do():
    """The reason names the way out."""
    assert "redirects are not followed" in decide(1, Outcome(status=302), NOW, 0.0).reason


def test_a_decision_without_an_attempt_is_a_mistake_of_the_caller():
    """`attempts_made` counts the attempt that was just made."""
    with pytest.raises(ValueError, match="needs an attempt"):
        decide(0, Outcome(status=200), NOW, 0.0)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("٣", None), ("0", 0), (" 120 ", 120),
        ("99999999999999", None), ("9999999999", 86_400), ("Sat, 31 Jan 2026 09:16:00 GMT", 60),
        ("Sat, 31 Jan 2026 09:14:00 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400), ("Sat, 31 Jan 2026 09:16:00 -0000", 60),
        ("Sat, 99 Jan 2026 09:16:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value, wait_s):
    """RFC 9110 section 10.2.3; what cannot be understood is not there."""
    assert retry_after(value, NOW) == wait_s


def test_no_wait_of_the_schedule_ends_after_the_latest():
    """So that what waits longer was planned by a clock that has been set back since; a shorter schedule counts as well."""
    rules = Rules()
    for made in range(1, len(SCHEDULE)):
        planned = decide(made, Outcome(status=500), NOW, 0.999, rules.schedule, rules.jitter).next_attempt_at
        assert planned <= latest(made, NOW, rules)
        assert planned + 3600 > latest(made, NOW, rules)
    assert latest(9, NOW, Rules(schedule=(0.0, 5.0), jitter=0.0)) == NOW + 5
