"""crontab(5), as far as it is needed."""

from __future__ import annotations

import pytest

from packd.domain.cron import parse


def test_fields() -> None:
    """Stars, ranges, lists, steps and names; Sunday is 0 and 7."""
    moment = parse("*/20 3,5-6 1 jan-mar 0,7,fri")
    assert moment.minute == (0, 20, 40)
    assert moment.hour == (3, 5, 6)
    assert moment.day == (1,)
    assert moment.month == (1, 2, 3)
    assert moment.day_of_week == (0, 5)
    assert parse("@daily").hour == (0,)
    assert parse("10/25 * * * *").minute == (10, 35)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "five fields"),
        ("60 * * * *", "'60' is no minute: 0 to 59"),
        ("* * * * xyz", "no day of week"),
        ("5-1 * * * *", "empty range"),
        ("*/0 * * * *", "empty range"),
        ("a b c d e!", "is no"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    """The sentence says which field, and what it may be."""
    with pytest.raises(ValueError, match=said):
        parse(text)
