"""Text for people: safe, aligned, and as one says it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packd.cli.screen import cell, table
from packd.cli.text import (
    ago,
    chopped,
    clock,
    counted,
    duration,
    fit,
    folded,
    gist,
    one_line,
    plural,
    since,
    told_here,
    width,
)
from packd.cli.where import socket_path
from packd.domain.moments import rfc3339
from packd.domain.printing import clean, typed


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


NOW_S = 1_769_850_900.0


@pytest.mark.parametrize(
    ("passed_s", "said"),
    [(-3, "just now"), (1, "just now"), (5, "5 s ago"), (59.9, "59 s ago"), (65, "1 min ago"), (7300, "2 h ago"), (90000, "25 h ago"),
     (200000, "2 days ago"), (40 * 86400, "2025-12-22")],
)  # fmt: skip
def test_ago(passed_s: float, said: str) -> None:
    """Moments in the nearest unit, rounded down; the date when it is long ago; a clock that is behind is no trouble."""
    assert ago(rfc3339(NOW_S - passed_s), NOW_S) == said


def test_no_moment() -> None:
    """What never happened is a dash."""
    assert ago(None) == "-"


def test_since_has_no_date() -> None:
    """How long something has been up is told in days, however many."""
    assert since(rfc3339(NOW_S - 400 * 86400), NOW_S) == "400 days"


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(None, "-"), (0.4, "0 ms"), (12, "12 ms"), (999.4, "999 ms"), (1340, "1.34 s"), (125_000, "2 min 5 s"),
     (999.6, "1.00 s"), (59_994, "59.99 s"), (59_996, "1 min 0 s"), (119_700, "2 min 0 s")],
)  # fmt: skip
def test_duration(milliseconds: float | None, said: str) -> None:
    """In the unit that one reads at a glance."""
    assert duration(milliseconds) == said


def test_the_clock_has_the_day_unless_it_is_today() -> None:
    """A feed of days is not read as one of hours."""
    assert len(clock(rfc3339(NOW_S), NOW_S + 1)) == len("12:00:00")
    assert len(clock(rfc3339(NOW_S), NOW_S + 3 * 86400)) == len("2026-01-31 12:00:00")


def test_moments_are_told_here(tokyo: None) -> None:
    """What a sentence names in UTC is said in the local time zone, by its name; so is a date of long ago."""
    assert told_here("'a' is active since 2026-01-31 23:05:09 UTC.") == "'a' is active since 2026-02-01 08:05:09 JST."
    assert told_here("since 2026-99-31 23:05:09 UTC") == "since 2026-99-31 23:05:09 UTC"
    assert ago("2025-01-31T23:05:09Z", NOW_S) == "2025-02-01"


@pytest.mark.parametrize(
    ("count", "singular", "several", "said"),
    [(1, "pack", "packs", "1 pack"), (2, "policy", "policies", "2 policies"), (1, "policy", "policies", "1 policy"),
     (0, "day", "days", "0 days")],
)  # fmt: skip
def test_numbers_of_things(count: int, singular: str, several: str, said: str) -> None:
    """From the singular or from the plural, the same words."""
    assert plural(count, singular) == counted(count, several) == said


def test_nothing_reaches_the_terminal() -> None:
    """Escapes, returns, bidirectional marks and halves of characters are made visible; lines and tabs stay."""
    assert clean("a\x1b[2J\rb\u202ec\x9bd\n\te") == "a�[2J�b�c�d\n\te"
    assert clean("one\r\ntwo") == "one\ntwo"
    assert clean("\udcff") == "\\udcff"
    assert one_line(" a\n\tb  c ") == "a b c"


@pytest.mark.parametrize("name", ["core", "My Pack", "it's", "caf\udce9", "a\x1b[2J'\n\\b", "naïve\t", "-v", "--\n"])
def test_a_name_can_be_typed(name: str) -> None:
    """What a hint tells to type means exactly that name to a shell, whatever its bytes are, and is no option."""
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {typed(name)}"], capture_output=True, check=True).stdout
    assert said.removeprefix(b"--\0") == os.fsencode(name) + b"\0"
    assert typed(name).startswith("-- ") == name.startswith("-")
    assert typed(name).isprintable()


def test_width_and_fit() -> None:
    """Wide characters take two columns, combining ones none; what does not fit ends in an ellipsis."""
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert width("\u0e01\u0e34\u0e48") == 1  # a Thai consonant with its vowel and tone
    assert width("\u2764\ufe0f\u200d") == 1
    assert width("a\u00adb") == 3
    assert fit("日本語", 5) == "日本…"
    assert fit("abc", 3) == "abc"
    assert fit("abcd", 3) == "ab…"


def test_folding_counts_columns() -> None:
    """Lines are broken between words by what a terminal needs for them; without a width nothing is broken."""
    text = "日本語 テスト は とても ながい"
    assert folded(text, 20, indent="- ", hanging="  ") == ["- 日本語 テスト は", "  とても ながい"]
    assert folded(text, None, indent="- ") == [f"- {text}"]


def test_a_broken_word_has_every_character() -> None:
    """Its pieces fit, the last one may be shorter."""
    assert list(chopped("日本語abc", 5)) == ["日本", "語abc"]
    assert list(chopped("abc", 5)) == ["abc"]


def test_a_table_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The widest columns give way, so that each row is one line; without a width nothing is cut."""
    rows = [[cell("a" * 40), cell("b"), cell("c" * 60)]]
    table(("FIRST", "SECOND", "THIRD"), rows, columns=50)
    narrow = capsys.readouterr().out.splitlines()
    assert [len(line) <= 50 for line in narrow] == [True, True]
    assert "a…" in narrow[1]
    table(("FIRST", "SECOND", "THIRD"), rows)
    assert "c" * 60 in capsys.readouterr().out


def test_an_empty_table_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    """And a row of empty cells is an empty line."""
    table(("A", ""), [])
    assert capsys.readouterr().out == "A\n"


@pytest.mark.parametrize(
    ("socket", "state_dir", "environ", "expected"),
    [
        ("/x.sock", "/s", {"PACKD_SOCKET": "/e.sock"}, "/x.sock"),
        (None, "/s", {"PACKD_SOCKET": "/e.sock"}, "/e.sock"),
        (None, "/s", {"RUNTIME_DIRECTORY": "/r"}, "/r/packd.sock"),
        (None, "/s", {"STATE_DIRECTORY": "/e", "HOME": "/h"}, "/s/packd.sock"),
        (None, None, {"PACKD_SOCKET": "/e.sock", "RUNTIME_DIRECTORY": "/r"}, "/e.sock"),
        (None, None, {"RUNTIME_DIRECTORY": "/r:/other", "STATE_DIRECTORY": "/s"}, "/r/packd.sock"),
        (None, None, {"STATE_DIRECTORY": "/s:/other", "HOME": "/h"}, "/s/packd.sock"),
        (None, None, {"PACKD_STATE_DIR": "/p", "STATE_DIRECTORY": "/s"}, "/p/packd.sock"),
        (None, None, {"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/packd/packd.sock"),
        (None, None, {"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/packd/packd.sock"),
        (None, None, {"HOME": "/h"}, "/h/.local/state/packd/packd.sock"),
    ],
)
def test_where_the_socket_is(socket: str | None, state_dir: str | None, environ: dict[str, str], expected: str) -> None:
    """--socket, then $PACKD_SOCKET, the runtime directory, and where the state is kept."""
    found = socket_path(Path(socket) if socket else None, Path(state_dir) if state_dir else None, environ)
    assert found == Path(expected)


@pytest.mark.parametrize(
    "environ",
    [{"PACKD_SOCKET": "/e.sock", "HOME": "/h"}, {"RUNTIME_DIRECTORY": "/r", "HOME": "/h"},
     {"STATE_DIRECTORY": "/s", "HOME": "/h"}, {"XDG_STATE_HOME": "/x", "HOME": "/h"}, {"HOME": "/h"},
     {"PACKD_STATE_DIR": "/p", "HOME": "/h"}],
)  # fmt: skip
@pytest.mark.parametrize("state_dir", [None, "/flag"])
def test_the_daemon_says_the_same(environ: dict[str, str], state_dir: str | None) -> None:
    """With the same flags and environment the command line looks where the daemon answers."""
    from packd.config import load

    found = socket_path(None, Path(state_dir) if state_dir else None, environ)
    assert load(None, environ, {"state_dir": state_dir}).socket_path == found


def test_bold_is_bold() -> None:
    """A style that is not asked for is left alone: switching faint off would switch bold off with it."""
    assert cell("a", bold=True).shown() == "\x1b[1ma\x1b[0m"
    assert cell("a", faint=True).shown() == "\x1b[2ma\x1b[0m"
    assert cell("a", colour="red").shown() == "\x1b[31ma\x1b[0m"


PYTEST = """\
x = 2
>   def test_p(x): assert x == 1
E   assert 2 == 1
E    +  where 2 = twice(1)

tests/test_a.py:3: AssertionError"""
UNITTEST = """\
Traceback (most recent call last):
  File "tests/test_a.py", line 3, in test_a
    self.assertEqual([1], [2])
    ~~~~~~~~~~~~~~~~^^^^^^^^^^
AssertionError: Lists differ: [1] != [2]

First differing element 0:
- [1]
+ [2]"""


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (PYTEST, "assert 2 == 1"),
        (f"E   KeyError: 'a'\n\nDuring handling:\n{PYTEST}", "assert 2 == 1"),
        (UNITTEST, "AssertionError: Lists differ: [1] != [2]"),
        ("E   ImportError: no such module", "ImportError: no such module"),
        ('Traceback (most recent call last):\n  File "a.py", line 1', 'File "a.py", line 1'),
        ("expected 2\nEven 3 would do", "Even 3 would do"),
        ("\n", ""),
        (None, ""),
    ],
)
def test_of_a_message_the_line_is_shown_that_says_what_went_wrong(message: str | None, said: str) -> None:
    """Not where pytest says in which line it was, nor the end of a comparison."""
    assert gist(message) == said
