"""What is kept is compared with what it should be, and whatever is found is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest
from structlog.testing import capture_logs

from packd.registry import queries
from packd.snapshot.store import StoreFull
from tests.unit.flow_ground import MANIFEST, core, latest, looked_at, made_parts, told, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("failure", [StoreFull("the disk with the store is full"), OSError(5, "Input/output error")])
def test_what_a_failing_disk_keeps_from_being_put_right_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """Of every pack, and why in the log; put right it is when there is room again."""

    def failing(*_: object) -> NoReturn:
        raise failure

    with made_parts(tmp_path) as parts:
        for ref in ("core", "other"):
            written(parts, ref, MANIFEST.format(version="1.0.0", needs="").replace("core", ref))
            looked_at(parts, ref)
            tree = parts.store.path(latest(parts, ref).digest)
            tree.chmod(0o700)
            (tree / "more").mkdir()
        with monkeypatch.context() as full, capture_logs() as logs:
            full.setattr(parts.store, "take", failing)
            assert [(drift.ref, drift.repaired) for drift in parts.integrity.check()] == [
                ("core", False),
                ("other", False),
            ]
        assert [entry["error"] for entry in logs if entry["event"] == "store.failed"] == [str(failure)] * 2
        assert [event.type for event in told(parts)].count("pack.drifted") == 2
        assert all(drift.repaired for drift in parts.integrity.check())
        assert parts.integrity.check() == []


def test_what_is_swept_while_all_is_read_is_not_called_changed(tmp_path: Path) -> None:
    """`db check` may run beside a daemon."""
    with made_parts(tmp_path) as parts:
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            core(parts, version)

        def sweep(digest: str) -> None:
            if digest == oldest.digest:
                parts.store.remove(digest)

        with parts.registry.read() as connection:
            oldest = queries.revision(connection, "core", 1)
        assert oldest is not None
        result = parts.integrity._checkup.run(repair=False, on_snapshot=sweep)
        assert not parts.store.has(oldest.digest)
        assert result.findings == ()
