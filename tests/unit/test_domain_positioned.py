"""YAML with positions: values as SafeLoader gives them, every mistake with its place, nothing that hurts."""

from __future__ import annotations

import time

import pytest
import yaml

from packd.domain import yaml_compose
from packd.domain.positioned import MAX_DEPTH, read


def complaints(text: bytes | str) -> list[tuple[str, int | None, int | None]]:
    return [(problem.code, problem.line, problem.column) for problem in read(text, file="f.yaml").problems]


def test_keys_and_values_know_their_line_and_column() -> None:
    """Positions are 1-based and tell a key from its value; what isn't there is placed at what is around it."""
    document = read("# c\na:\n  b: 1\n  c: [x, {d: y}]\n", file="f.yaml")
    assert document.value == {"a": {"b": 1, "c": ["x", {"d": "y"}]}}
    assert document.at(("a", "b")) == (3, 6)
    assert document.at(("a", "b"), key=True) == (3, 3)
    assert document.at(("a", "c", 1, "d")) == (4, 14)
    assert document.at(("a", "c", 1, "d"), key=True) == (4, 11)
    assert document.at(("a", "missing", "deeper"), key=True) == (3, 3)
    assert document.at(("a", "c", 9)) == (4, 6)
    assert document.at(()) == (2, 1)


def test_columns_count_characters() -> None:
    """A column is a number of characters, not of bytes."""
    assert read("é: {ü: x}", file="f").at(("é", "ü")) == (1, 8)
    assert complaints("é: é: x") == [("metadata.invalid_yaml", 1, 5)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("---\na: 1\n", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("on: yes\n1: 2\n~: 3\n", {"on": True, "1": 2, "~": 3}),
        ("a: 017\nb: 0o17\nc: 1:30\nd: 0x1F\ne: 1_000\n", {"a": 15, "b": "0o17", "c": 90, "d": 31, "e": 1000}),
        (
            "a: 1.0\nb: 1e3\nc: 1.5e+3\nd: .inf\ne: .NaN\n",
            {"a": 1.0, "b": "1e3", "c": 1500.0, "d": ".inf", "e": ".NaN"},
        ),
        ("a: 2026-01-02\nb: 2026-01-02T03:04:05Z\n", {"a": "2026-01-02", "b": "2026-01-02T03:04:05Z"}),
        ("a: ~\nb:\nc: null\nd: ''\n", {"a": None, "b": None, "c": None, "d": ""}),
        ("a: '1'\nb: !!str 1\nc: !!int '1'\nd: !!float 1\ne: ! 1\n", {"a": "1", "b": "1", "c": 1, "d": 1.0, "e": "1"}),
        ("a: 0x_\nb: =\n", {"a": "0x_", "b": "="}),
        ("a: " + "9" * 200, {"a": "9" * 200}),
        ("a: &x [1, 2]\nb: *x\n", {"a": [1, 2], "b": [1, 2]}),
        ("k: &x a\n*x : 1\n", {"k": "a", "a": 1}),
    ],
)
def test_values(text: str, value: object) -> None:
    """Scalars resolve as in YAML 1.1, keys and dates stay as written, and what JSON can't hold stays text."""
    document = read(text, file="f.yaml")
    assert document.value == value
    assert document.problems == ()
    assert document.complete


def test_merge_keys_fill_in_what_is_missing() -> None:
    """Own keys win over merged ones, in a list of mappings the earlier wins, and positions lead to the origin."""
    document = read("a: &a {p: 1, q: 2}\nb: &b {q: 3, r: 4}\nc: {q: 0, <<: [*a, *b]}\nd: {<<: *b}\n", file="f")
    assert document.problems == ()
    assert document.value["c"] == {"q": 0, "p": 1, "r": 4}
    assert document.value["d"] == {"q": 3, "r": 4}
    assert document.at(("c", "r")) == (2, 17)


def test_the_written_text_is_kept() -> None:
    """`1.10` can be quoted back as it was written, although its value is 1.1."""
    document = read("a: 1.10\nb: [x]\n", file="f")
    assert (document.text(("a",)), document.text(("b",)), document.text(("c",))) == ("1.10", None, None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", [("metadata.duplicate_key", 3, 1)]),
        (
            "a: {b: 1, b: {c: 2}}\nd: {e: 1, e: 2}\n",
            [("metadata.duplicate_key", 1, 11), ("metadata.duplicate_key", 2, 11)],
        ),
        ("a: {{ x }}\n", [("metadata.invalid_yaml", 1, 5)]),
        ("? [a]\n: 1\n", [("metadata.invalid_yaml", 1, 3)]),
        ("a: [1, 2\nb: 3\n", [("metadata.invalid_yaml", 1, 4)]),
        ("x: 1\na: 'open\nb: 3\n", [("metadata.invalid_yaml", 2, 4)]),
        ("a:\n\tb: 1\n", [("metadata.invalid_yaml", 2, 1)]),
        ("a: b: c\n", [("metadata.invalid_yaml", 1, 5)]),
        ("a: @x\n", [("metadata.invalid_yaml", 1, 4)]),
        ("a: 1\nb\nc: 2\n", [("metadata.invalid_yaml", 2, 1)]),
        ("a: [1]\nb\n", [("metadata.invalid_yaml", 2, 1)]),
        ('a: "x\n  C:\\dir"\n', [("metadata.invalid_yaml", 2, 5)]),
        ("a: *.py\n", [("metadata.invalid_yaml", 1, 4)]),
        ("a: >=1.2\n", [("metadata.invalid_yaml", 1, 4)]),
        ("a: |\n  x\n\ty: 1\n", [("metadata.invalid_yaml", 3, 1)]),
        ("a:\n  - x\n - y\n", [("metadata.invalid_yaml", 3, 2)]),
        ("a: !!int x\n", [("metadata.invalid_yaml", 1, 4)]),
        ('a: "x\\0y"\n', [("metadata.invalid_yaml", 1, 4)]),
        (
            "a: !!python/object/apply:os.system [id]\nb: !x y\n",
            [("metadata.unsupported_tag", 1, 4), ("metadata.unsupported_tag", 2, 4)],
        ),
        ("a: !!set {x}\n", [("metadata.unsupported_tag", 1, 4)]),
        ("a: &x [*x]\n", [("metadata.invalid_alias", 1, 8)]),
        ("a: *nowhere\n", [("metadata.invalid_alias", 1, 4)]),
        ("a: {<<: 3}\n", [("metadata.invalid_merge", 1, 9)]),
        ("a: 1\n---\nb: 2\n", [("metadata.several_documents", 2, 1)]),
        (b"a: 1\nb: \xff\n", [("metadata.unreadable", 2, 4)]),
        (b"\xff\xfea\x00:\x00", [("metadata.unreadable", 1, 1)]),
        ("a: 1\n".encode("utf-16-le"), [("metadata.unreadable", 1, 1)]),
        ("a: 1\n".encode("utf-32-be"), [("metadata.unreadable", 1, 1)]),
        ("a: 1\nb: x\x00y\x1b\n", [("metadata.unreadable", 2, 5), ("metadata.unreadable", 2, 7)]),
        ("a: 1\n\ufeffb: 2\n", [("metadata.unreadable", 2, 1)]),
        ("a: \ud800\n", [("metadata.unreadable", 1, 4)]),
    ],
)
def test_mistakes_have_a_code_and_a_place(text: bytes | str, found: list[tuple[str, int, int]]) -> None:
    """Each mistake in the text has its code, line and column; more than one is found where reading can go on."""
    assert complaints(text) == found


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a:\n\tb: 1\n", "spaces"),
        ("a: 1\n\tb: 1\n", "spaces"),
        ("a: @x\n", "quotes"),
        ("a: *.py\n", "quotes"),
        ("a: >=1.2\n", "quotes"),
        ('a: !"x\n', "quotes"),
        ("a: ? x\n", "quotes"),
        ("%a\n", "quotes"),
        ("a: - x\n", "below its key"),
        ('a: "C:\\dir"\n', "backslash"),
        ('a: "C:\\Users"\n', "backslash"),
        ('a: "\\ud800"\n', "backslash"),
        ("  a: 1\nb: 2\n", "same column"),
        ("a: [1,,2]\n", "','"),
        ("a:1\nb: 2\n", "key above"),
        ("- a\n-b\n", "'-'"),
        ("a: 'x\n--- y\n", "not closed"),
        ("a: 'x\n", "not closed"),
        ("a: {{ x }}\n", "{{"),
        ("a: 1\n b: 2\n", "indentation"),
        (b"\xff\xfea\x00", "UTF-8"),
        ("a: 1\n".encode("utf-16-le"), "UTF-8"),
        (b"\0\0\0\0a: 1\n", "U+0000"),
        ("a: 1\na: 2\n", "line 1"),
    ],
)
def test_messages_say_the_way_out(text: bytes | str, word: str) -> None:
    """A message names what to change, in words that need no YAML specification."""
    assert word in read(text, file="f").problems[0].message


def test_what_came_before_a_mistake_is_kept() -> None:
    """A broken file still gives the values above the mistake, and says that it is not complete."""
    document = read("ref: demo\nlist: [1, 2\nb: c: d\n", file="f")
    assert document.value["ref"] == "demo"
    assert not document.complete
    assert not read(b"ref: demo\nx: \xff", file="f").complete


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: " + "[" * 500_000, "limits.metadata_depth_exceeded"),
        ("{a: " * 200_000, "limits.metadata_depth_exceeded"),
        ("- " * 200_000, "limits.metadata_depth_exceeded"),
        ("a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 100)), "limits.metadata_depth_exceeded"),
        ("a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)), "limits.metadata_values_exceeded"),
        ("a: &a {" + ",".join(f"k{i}: 1" for i in range(1000)) + "}\n" + "".join(f"b{i}: {{<<: *a}}\n" for i in range(500)), "limits.metadata_values_exceeded"),
        ("[" + "a," * 300_000 + "]", "limits.metadata_values_exceeded"),
        ("".join(f"%TAG !{i:x}! x\n" for i in range(62_000)) + "---\na: 1\n", "metadata.unsupported_tag"),
    ],
    ids=["brackets", "braces", "dashes", "alias chain", "alias bomb", "merge bomb", "many values", "tag lines"],
)  # fmt: skip
def test_bombs_are_refused_quickly(text: str, code: str) -> None:
    """Depth and values are capped with aliases and merges expanded, and reading stops at the cap."""
    started = time.process_time()
    problems = read(text, file="f").problems
    assert time.process_time() - started < 5  # measured: 0.5 s at most
    assert code in {problem.code for problem in problems}


def test_nesting_up_to_the_cap_is_fine() -> None:
    """The cap itself is allowed; one more is not."""
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH, file="f").problems == ()
    assert read("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), file="f").problems[0].column == MAX_DEPTH + 1


@pytest.mark.parametrize(("opening", "columns"), [("[", 1), ("{a: ", 4), ("- ", 2)])
@pytest.mark.parametrize("levels", [70, 990, 3_000])
def test_what_is_too_deep_is_shown_at_the_first_level_too_many(opening: str, columns: int, levels: int) -> None:
    """However far the parser looked ahead before it told of it."""
    problems = read("ä: 1\nb:\n  " + opening * levels, file="f").problems
    assert [(problem.code, problem.line, problem.column) for problem in problems] == [
        ("limits.metadata_depth_exceeded", 3, 3 + columns * (MAX_DEPTH - 1))
    ]


def test_thousands_of_mistakes_are_cut_short() -> None:
    """A file of nothing but duplicates does not make as many problems."""
    assert len(read("a: 1\n" * 5000, file="f").problems) == 100


def test_without_libyaml_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pure Python parser gives the same values and places."""
    texts = [
        "a: {b: [1, 'x', ~]}\nc: &x {d: e}\nf: {<<: *x}\n",
        "a: 1\na: 2\n",
        "a: [1\nb: 2\n",
        "a:\n\tb: 1\n",
        "x: @y",
        "a: *.py\n",
        "a: [1]\nb\n",
    ]
    before = [(read(text, file="f").value, complaints(text)) for text in texts]
    monkeypatch.setattr(yaml_compose, "_EventParser", yaml_compose._PythonParser)
    assert [(read(text, file="f").value, complaints(text)) for text in texts] == before


def test_the_c_parser_is_in_use() -> None:
    """Where PyYAML has libyaml, it is libyaml that reads."""
    assert yaml_compose._EventParser.__name__ == ("CParser" if yaml.__with_libyaml__ else "_PythonParser")
