"""The YAML reader on arbitrary text: it answers, quickly, with JSON."""

from __future__ import annotations

import json

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from packd.domain.positioned import read

pieces = st.sampled_from([
    "a", "b", ": ", "- ", "\n", "\n  ", "\n    ", "[", "]", "{", "}", ",", "&x ", "*x", "<<: ", "!!int ", "!!map ", "!t ",
    "'", '"', "? ", "| ", "> ", "%", "@", "`", "---\n", "...\n", "\t", "#", "\ufeff", "\x00", "1", "0x_", "1:2", "~", "é",
    "\\", "\\x00", "\u2028", "\x85", "=", "2020-01-01", ".inf", "yes", "\r\n", "\ud800",
])  # fmt: skip
texts = st.lists(pieces, max_size=40).map("".join)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=20
)


def assert_sound(text: bytes | str) -> None:
    document = read(text, file="f.yaml")
    json.dumps(document.value, allow_nan=False)
    for problem in document.problems:
        assert (problem.line or 0) >= 1
        assert (problem.column or 0) >= 1
        json.dumps(problem.to_dict()).encode()
        str(problem).encode()
    assert document.complete or document.problems
    assert read(text, file="f.yaml") == document


@settings(max_examples=300, deadline=None)
@given(texts)
def test_any_text_is_answered(text: str) -> None:
    """Never an exception, always JSON; incomplete only with a reason; the same twice."""
    assert_sound(text)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_answered(text: bytes) -> None:
    """What is no text at all gets problems with places as well."""
    assert_sound(text)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_values_are_safeloaders(text: str) -> None:
    """Where nothing is wrong, the value is what SafeLoader gives, apart from keys, dates and numbers without JSON form."""
    document = read(text, file="f.yaml")
    if document.problems or document.value is None:
        return
    try:
        theirs = yaml.load(text.removeprefix("\ufeff"), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):  # it has no `=`, and chokes on `0x_`
        return
    if isinstance(theirs, (bool, int, str)):
        assert document.value == theirs


@settings(max_examples=150, deadline=None)
@given(values)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    """Dumped values come back equal, each at the place where it stands."""
    text = yaml.dump(value, Dumper=yaml.CSafeDumper)  # escapes all but ASCII
    document = read(text, file="f.yaml")
    assert document.problems == ()
    assert document.value == value


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(0, 99), min_size=1, max_size=8))
def test_places_lead_to_what_was_written(mapping: dict[str, int]) -> None:
    """The text at the place of a key or a value is that key or value."""
    text = "".join(f"{key}:   {value}\n" for key, value in mapping.items())
    document, lines = read(text, file="f"), text.splitlines()
    for key, value in mapping.items():
        line, column = document.at((key,), key=True)
        assert lines[line - 1][column - 1 :].startswith(f"{key}:")
        line, column = document.at((key,))
        assert lines[line - 1][column - 1 :] == str(value)
