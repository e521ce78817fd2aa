"""What a change of one pack costs does not hang on how many packs there are."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from packd.bootstrap import Parts, build
from packd.config import load
from packd.flow.occasion import Occasion
from packd.registry import outbox, prepared, queries
from tests.unit.registry_ground import an_endpoint

_SCRIPT = "#!/bin/sh\nexit %d\n"
# Of few rows, however many packs there are: the endpoints, and packs that need or wait for others.
_FEW = re.compile(
    "SCAN (endpoints|revisions USING (COVERING )?INDEX ix_revisions_(needy|waiting)|[0-9]+ CONSTANT ROWS)"
)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    for name in ("packs", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "packd.yaml").touch(mode=0o600)
    flags = {"packs_dir": tmp_path / "packs", "state_dir": tmp_path / "state", "tests": {"isolation": "basic"}}
    made = build(load(tmp_path / "packd.yaml", {}, flags))
    yield made
    made.lanes.stop(10)
    made.executor.close(0)
    made.database.close()


def test_no_question_about_a_pack_is_answered_by_looking_at_all_packs(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its first drop over a new version and a failing one to its removal."""
    asked: dict[str, int] = {}

    def note(sql: str, parameters: Any) -> None:
        asked[sql] = len(parameters)

    def asking(driver: Any, connection: Any, sql: str, parameters: Any) -> Any:
        note(sql, parameters)
        return ask(driver, connection, sql, parameters)

    def executing(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        note(sql, parameters)

    ask = prepared._ask
    with parts.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint())
    monkeypatch.setattr(prepared, "_ask", asking)
    event.listen(Engine, "before_cursor_execute", executing)
    try:
        phases = [dropped(parts, version, exits) for version, exits in (("1.0.0", 0), ("1.1.0", 0), ("1.2.0", 1))]
        shutil.rmtree(parts.settings.packs_dir / "core")
        taken(parts)
        parts.intake.remove_soon("core")
        assert parts.lanes.wait_idle(30)
    finally:
        event.remove(Engine, "before_cursor_execute", executing)
    assert phases == ["active", "active", "failed"]
    assert len(asked) > 30
    assert looked_through(parts.settings.state_dir / "packd.db", asked) == {}


def dropped(parts: Parts, version: str, exits: int) -> str:
    """In which phase this version ends."""
    folder = parts.settings.packs_dir / "core"
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text(
        f'ref: core\nversion: "{version}"\ntesting: {{runners: {{shell: {{type: script, entry_point: tests/run.sh}}}}}}\n'
    )
    script = folder / "tests" / "run.sh"
    script.write_text(_SCRIPT % exits)
    script.chmod(0o755)
    taken(parts)
    with parts.registry.read() as connection:
        latest = queries.latest_revision(connection, "core")
    assert latest is not None
    assert latest.version == version
    return str(latest.phase)


def taken(parts: Parts) -> None:
    parts.intake.take_soon("core", Occasion(first_change_at_s=time.time()))
    assert parts.lanes.wait_idle(30)


def looked_through(file: Path, asked: dict[str, int]) -> dict[str, list[str]]:
    """Questions for which SQLite goes through a whole table, with its plan."""
    found = {}
    with closing(sqlite3.connect(file)) as connection:
        for sql, parameters in asked.items():
            if not sql.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
                continue
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * parameters)]
            if any(step.startswith("SCAN") and not _FEW.match(step) for step in steps):
                found[sql] = steps
    return found
