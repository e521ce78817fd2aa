"""Ignored names, over all names."""

from __future__ import annotations

import string

from hypothesis import assume, given
from hypothesis import strategies as st

from packd.domain.ignore import Ignore

IGNORE = Ignore()
NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40)
RANDOM = st.text(string.ascii_letters + string.digits, min_size=6, max_size=6)


@given(NAMES, RANDOM)
def test_an_rsync_temporary_is_told_apart_from_a_word(name: str, random: str) -> None:
    """`.name.XXXXXX` is ignored when the six characters mix cases, or have a letter behind a digit."""
    letters = random.rstrip(string.digits)
    mixed = not (letters.islower() or letters.isupper() or letters == "" or letters.istitle())
    assume(mixed or not IGNORE.name(f".{name}.word"))
    assert IGNORE.name(f".{name}.{random}") or not mixed


@given(NAMES)
def test_every_name_has_an_answer(name: str) -> None:
    """Any name at all is either ignored or not, and an ending that is ignored stays so behind any beginning."""
    assert IGNORE.name(name) in (True, False)
    assert IGNORE.name(f"{name}.pyc")
    assert IGNORE.name(f"{name}~")


@given(st.text(max_size=200))
def test_any_text_is_a_packdignore(text: str) -> None:
    """Whatever the file says, reading it and asking it never fails."""
    ignore = Ignore(packdignore=text)
    assert ignore.path("actions/run.py", False) in (True, False)
