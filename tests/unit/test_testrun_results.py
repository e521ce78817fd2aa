"""Where reports are looked for, and what is kept of output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packd.testrun.results import _matches, parse
from packd.testrun.transcript import Transcript


@pytest.mark.parametrize(
    ("path", "pattern", "matches"),
    [
        ("a.xml", "*.xml", True),
        ("a/b.xml", "*.xml", False),
        ("a/b.xml", "**/*.xml", True),
        ("b.xml", "**/*.xml", True),
        ("a/b/c.xml", "a/**", True),
        ("a/b/c.xml", "*/c.xml", False),
        ("a/b/c.xml", "**/b/**/c.xml", True),
        ("TEST-1.xml", "TEST-[0-9].xml", True),
    ],
)
def test_patterns_match_part_by_part(path: str, pattern: str, matches: bool) -> None:
    """As in a shell with globstar: `*` stays in its folder, `**` does not."""
    assert _matches(tuple(path.split("/")), pattern.split("/")) is matches


def test_a_pattern_of_many_stars_is_not_slow() -> None:
    """All possibilities are followed at once, not one after another."""
    assert not _matches(("a",) * 500, ["**", "a"] * 30 + ["b"])


def test_tap_of_several_programs_is_added_up() -> None:
    """Of one command, or appended to one file; each keeps the plan of its own, and no other's."""
    tally = parse(b"1..1\nok 1 - a\nTAP version 13\n1..2\nok 1 - b\nnot ok 2 - c\n", "tap")
    assert (tally.total, tally.passed, tally.failed, tally.trouble) == (3, 2, 1, None)
    assert "promises 2 tests, but 1" in (parse(b"1..2\nok 1\n1..1\nok 1\n", "tap").trouble or "")


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(min_value=8, max_value=400))
def test_a_transcript_keeps_both_ends(pieces: list[bytes], limit: int) -> None:
    """At most the limit; everything when it fits; the beginning and the end when it does not."""
    transcript = Transcript(limit)
    for piece in pieces:
        transcript.add(piece.hex().encode())
    whole = b"".join(pieces).hex()
    text = transcript.text()
    assert transcript.written == len(whole)
    if len(whole) <= limit:
        assert text == whole
    else:
        assert text.startswith(whole[: limit // 4])
        assert text.endswith(whole[-(limit - limit // 4) :])
        assert f"{len(whole) - limit} bytes are left out" in text
