"""The journal's catalog: every event has a stable identity, and an explanation that says what to do."""

from __future__ import annotations

from pathlib import Path

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


def test_identities_stay() -> None:
    """What people filter by does not change from release to release."""
    assert message_id("pack.rolled_back") == "e0ce1e6f162d544dbf9b7168c4c6c988"
    assert message_id("drop.unsettled") is None
