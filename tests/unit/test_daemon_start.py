"""What a daemon loads before it is ready: what is not needed for that comes later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from packd.daemon import _say_isolation

_LATER = {
    "aiohttp",
    "alembic",
    "apscheduler",
    "cryptography",
    "fastapi",
    "pathspec",
    "rich",
    "starlette",
    "sqlalchemy.dialects.postgresql",
}

_RUN = """
import os, signal, sys
from packd.cli import run
from packd.cli.app import cli

def ready(parts, front):
    print(*sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)

def observed(*arguments, **more):
    from packd import logs, daemon
    daemon._complete = ready
    return as_it_is(*arguments, **more)

as_it_is, run._load_and_run = run._load_and_run, observed
cli(["run", *sys.argv[1:]])
"""


def test_a_daemon_is_ready_before_it_loads_what_it_needs_later(tmp_path: Path) -> None:
    """Nothing heavy is imported until the folder was compared, where no endpoint and no PostgreSQL is configured."""
    (tmp_path / "packs" / "empty").mkdir(parents=True)
    arguments = [str(tmp_path / "packs"), "--state-dir", str(tmp_path / "state")]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "packd.daemon" in done.stdout.split()
    assert set(done.stdout.split()) & _LATER == set()


def test_the_scout_looks_before_the_daemon_could_have_loaded() -> None:
    """It loads nothing of what the daemon takes its time for: what a log, a registry, settings and a server are made of."""
    script = "import sys, packd.ahead; from packd.extent import Extent; Extent(None).folder(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "packd.flow.scouting" in loaded
    assert loaded & {*_LATER, "asyncio", "pydantic", "sqlalchemy", "structlog", "watchdog", "yaml"} == set()


@pytest.mark.parametrize(("as_root", "level"), [(None, "info"), ("setpriv is missing", "warning")])
def test_suites_that_run_as_root_are_a_warning(as_root: str | None, level: str) -> None:
    """A log that is filtered by level does not hide it."""
    executor = SimpleNamespace(isolation="basic", shortcomings=("it is open",), as_root=as_root)
    with structlog.testing.capture_logs() as logged:
        _say_isolation(executor, ())  # type: ignore[arg-type]
    assert [(line["event"], line["log_level"], line["not_contained"]) for line in logged] == [
        ("isolation.chosen", level, ["it is open"])
    ]
