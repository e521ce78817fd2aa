"""Text for people, whatever it is made of."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from packd.cli.text import fit, one_line, width
from packd.domain.printing import clean


@given(st.text())
def test_clean_text_can_not_steer_a_terminal(text: str) -> None:
    """No control character but line ends and tabs is left, and it can be written as UTF-8."""
    cleaned = clean(text)
    cleaned.encode()
    assert not [c for c in cleaned if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert clean(cleaned) == cleaned


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    """However many there were."""
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(), st.integers(0, 40))
def test_fit_fits(text: str, columns: int) -> None:
    """Never wider than asked for, and unchanged when it fitted."""
    assert width(fit(text, columns)) <= columns
    if width(text) <= columns:
        assert fit(text, columns) == text
