"""A server that is not there yet: waited for under a service manager, and no reason to stay down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from packd.flow import server_start
from packd.flow.server_start import await_server
from packd.registry.broken import DatabaseAway
from packd.registry.database import Database
from tests.unit.registry_ground import made_url

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")


@pytest.fixture
def nobody() -> str:
    """The address of a server that does not answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"postgresql+psycopg://ada:hunter2@127.0.0.1:{server.getsockname()[1]}/packd"


def test_a_server_that_comes_later_is_waited_for(tmp_path: Path, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, without the password."""
    monkeypatch.setattr(server_start, "_EVERY_S", 0.0)
    with made_url("postgresql", tmp_path) as url:
        answers, asked = Database(url), []

        def schema(self: Database) -> str | None:
            asked.append(self)
            return as_it_is(self if len(asked) < 3 else answers)

        as_it_is = Database.schema
        monkeypatch.setattr(Database, "schema", schema)
        with closing(answers), capture_logs() as logged:
            await_server(nobody)
    assert len(asked) == 3
    (line,) = logged
    assert line["event"] == "database.awaited"
    assert "can't be used" in line["detail"]
    assert "hunter2" not in line["detail"]


def test_one_that_does_not_come_is_given_up(nobody: str) -> None:
    """Before systemd would lose its patience."""
    with pytest.raises(DatabaseAway):
        await_server(nobody, most_s=0)


def test_the_unit_starts_packd_again_for_a_server_that_is_away(tmp_path: Path, nobody: str) -> None:
    """The exit status is not the one that keeps it down, which is for what a person has to put right."""
    unit = (Path(__file__).parents[2] / "systemd" / "packd.service").read_text()
    (keeps_down,) = (line for line in unit.splitlines() if line.startswith("RestartPreventExitStatus="))
    done = subprocess.run(
        [sys.executable, "-m", "packd", "run", str(tmp_path / "packs"), "--state-dir", str(tmp_path / "state")],
        env=os.environ | {"PACKD_DATABASE_URL": nobody}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert "can't start: the database" in done.stderr
    assert done.returncode != 0
    assert str(done.returncode) not in keeps_down.partition("=")[2].split()
