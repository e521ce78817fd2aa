"""Whatever is written into a configuration, loading it ends in settings or in problems with a place."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from packd.config import BadConfig, effective, load
from packd.config.layers import leaves

LEAVES = sorted(".".join(map(str, place)) for place in leaves())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
KEYS = st.sampled_from(
    sorted({step for leaf in LEAVES for step in leaf.split(".")} | {"name", "url", "secret", "headers"})
)
MAPPINGS = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=4),
    lambda inner: st.dictionaries(KEYS, inner | VALUES | st.lists(inner, max_size=2), max_size=5),
    max_leaves=12,
)


def outcome(file: Path | None, environ: dict[str, str], flags: dict[str, Any]) -> None:
    try:
        loaded = load(file, {"HOME": "/home/ada"} | environ, flags)
    except BadConfig as failure:
        assert failure.problems
        assert all(problem.message and problem.file for problem in failure.problems)
    else:
        assert json.dumps(effective(loaded))


@settings(max_examples=150, deadline=None)
@given(MAPPINGS)
def test_any_mapping_in_the_file(said: dict[str, Any]) -> None:
    """JSON is YAML: any nesting of known keys and arbitrary values is settings or problems, never a crash."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packd.yaml"
        file.write_text(json.dumps(said), encoding="utf-8")
        outcome(file, {}, {})


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_in_the_file(said: bytes) -> None:
    """Also what is no YAML and no text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packd.yaml"
        file.write_bytes(said)
        outcome(file, {}, {})


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(LEAVES), st.text(max_size=20), max_size=5))
def test_any_text_in_variables(said: dict[str, str]) -> None:
    """A variable may hold anything."""
    outcome(None, {f"PACKD_{leaf.upper().replace('.', '__')}": text for leaf, text in said.items()}, {})


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(LEAVES), VALUES, max_size=5))
def test_any_value_in_flags(said: dict[str, Any]) -> None:
    """So may a flag."""
    outcome(None, {}, said)
