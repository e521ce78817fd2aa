"""The README says what is true, as far as that can be checked without reading it aloud."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from packd.cli.app import LazyGroup
from packd.domain.deliveries import SCHEDULE, wait_text
from packd.domain.lifecycle import picture

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_lifecycle_is_drawn_from_the_table() -> None:
    """Whoever changes the table draws the picture again: it is what `picture()` returns."""
    drawn = README.partition("<!-- lifecycle -->\n```mermaid\n")[2].partition("\n```\n")[0]
    assert drawn == picture()


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    """`.ci/run` takes it from the README, so there must be exactly one that it can find."""
    found = re.findall(r"^python3 -m venv .*pytest ", README, re.MULTILINE)
    assert len(found) == 1
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`packd ([a-z]+)", README))))
def test_every_command_that_is_named_exists(command: str) -> None:
    """Nobody is told to type something that is not there."""
    assert command in LazyGroup().list_commands(None)  # type: ignore[arg-type]


def test_the_schedule_is_the_one_that_is_told() -> None:
    """Consumers plan by these numbers."""
    told = ", ".join(wait_text(seconds) for seconds in SCHEDULE[1:-1])
    assert f"{told} and {wait_text(SCHEDULE[-1])}" in " ".join(README.split())


def test_the_receiver_example_is_python() -> None:
    """What people copy must at least compile."""
    example = README.partition("```python\n")[2].partition("```")[0]
    compile(example, "README.md", "exec")
    assert len(example.splitlines()) <= 36
