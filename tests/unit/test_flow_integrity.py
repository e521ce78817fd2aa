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

    from packd.bootstrap import Parts


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


def swept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all that is stored were older than an hour."""
    with monkeypatch.context() as later:
        later.setattr(parts.store, "age_s", lambda _: 1e9)
        parts.sweeper.run()


def test_what_was_swept_before_it_became_the_one_to_go_back_to_is_not_called_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody touched the files of the store. What was in use until what is in use came is never swept, and is lost when
    it is gone."""
    with made_parts(tmp_path, retention={"revisions": 1}) as parts:
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            core(parts, version)
        swept(parts, monkeypatch)
        parts.commands.rollback("core", to=None, actor="test")  # to 2, which leaves 1 to go back to
        with parts.registry.read() as connection:
            target = queries.rollback_target(connection, "core")
        assert target is not None
        assert not parts.store.has(target.digest)
        assert parts.integrity.check() == []
        assert parts.integrity._checkup.run(repair=False).findings == ()
        assert parts.integrity._checkup.missing() == []
        core(parts, "4.0.0")
        with parts.registry.read() as connection:
            before = queries.rollback_target(connection, "core")
        assert before is not None
        parts.store.remove(before.digest)
        assert [(drift.revision, drift.repaired) for drift in parts.integrity.check()] == [(2, False)]
        assert parts.integrity._checkup.missing() == ["core#2 (to go back to)"]
        assert [finding.severity for finding in parts.integrity._checkup.run(repair=False).findings] == ["error"]
        parts.availability.disable("core", actor="test")
        parts.store.remove(latest(parts).digest)
        written(parts, "core", MANIFEST.format(version="5.0.0", needs=""))  # which is not looked at
        assert [drift.revision for drift in parts.integrity.check()] == [4]
