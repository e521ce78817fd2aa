"""The journal's catalog: every event has a stable identity, and an explanation that says what to do."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from packd.cli.app import cli
from packd.domain.events import EVENT_TYPES
from packd.logs.catalog import described, message_id, text

CATALOG = Path(__file__).resolve().parents[2] / "systemd" / "catalog" / "packd.catalog"


def test_the_file_is_written_by_the_code() -> None:
    """`python -m packd.logs.catalog > systemd/catalog/packd.catalog` was run after the last change."""
    assert CATALOG.read_text() == text()


def test_every_event_is_described() -> None:
    """No type of the closed list is without an entry, and no two share an identity."""
    assert set(EVENT_TYPES) <= set(described())
    assert len({message_id(event) for event in described()}) == len(described())


@pytest.mark.parametrize("words", sorted(set(re.findall(r"`packd ([^`]*@[^`]*)`", text()))))
def test_every_command_can_be_typed_as_it_stands_there(words: str) -> None:
    """With what the entry fills in."""
    command: click.Command = cli
    args = shlex.split(words)
    while isinstance(command, click.Group):
        _, found, args = command.resolve_command(click.Context(command), args)
        assert found is not None
        command = found
    command.make_context(None, args)


def test_identities_stay() -> None:
    """What people filter by does not change from release to release."""
    assert message_id("pack.rolled_back") == "e0ce1e6f162d544dbf9b7168c4c6c988"
    assert message_id("drop.unsettled") is None
