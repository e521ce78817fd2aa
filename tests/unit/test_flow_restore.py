"""`rollback.folder: restore`: the folder gets back what is in use, and never loses what is newer than the refused content."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packd.bootstrap import Parts, build
from packd.config import load
from packd.flow import restore
from packd.flow.occasion import Occasion

MANIFEST = """\
ref: core
version: "{}"
testing: {{enabled: true, runners: {{shell: {{type: script, entry_point: tests/run.sh}}}}}}
"""


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Version 1.0.0 of `core` is in use."""
    for name in ("packs", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "packd.yaml").touch(mode=0o600)
    flags = {
        "packs_dir": tmp_path / "packs",
        "state_dir": tmp_path / "state",
        "tests": {"isolation": "basic"},
        "rollback": {"folder": "restore"},
    }
    made = build(load(tmp_path / "packd.yaml", {}, flags))
    drop(made, "1.0.0", "exit 0")
    yield made
    made.lanes.stop(10)
    made.executor.close(0)
    made.database.close()


def drop(parts: Parts, version: str, test: str) -> None:
    folder = parts.settings.packs_dir / "core"
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text(MANIFEST.format(version))
    script = folder / "tests" / "run.sh"
    script.write_text(f"#!/bin/sh\n{test}\n")
    script.chmod(0o755)
    look(parts)


def look(parts: Parts) -> None:
    parts.intake.take_soon("core", Occasion(first_change_at_s=time.time()))
    assert parts.lanes.wait_idle(30)


def version(folder: Path) -> str:
    return (folder / "pack.yaml").read_text().splitlines()[1]


def kept(parts: Parts) -> Path:
    return parts.settings.packs_dir / ".packd-failed" / "core-2"


def write_more(parts: Parts) -> None:
    (parts.settings.packs_dir / "core" / "fix.txt").write_text("the fix")


def test_what_was_refused_is_kept_beside(parts: Parts) -> None:
    drop(parts, "2.0.0", "exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_what_is_being_written_is_left_there_until_it_has_settled(parts: Parts) -> None:
    """Then it comes to its own verdict; and if it is the same after all, it is exchanged after all."""
    parts.settling.touched("core")
    drop(parts, "2.0.0", "exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "2.0.0"'
    parts.settling.is_gone("core")
    look(parts)
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_what_was_written_while_the_copy_was_made_stays(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_out = parts.store.copy_out

    def slow(digest: str, destination: Path, **how: Any) -> None:
        copy_out(digest, destination, **how)
        if destination.name.startswith(".packd-restore"):
            write_more(parts)

    monkeypatch.setattr(parts.store, "copy_out", slow)
    drop(parts, "2.0.0", "exit 1")
    is_as_it_was(parts)


def test_what_was_written_in_the_last_moment_is_put_back(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be kept from writing between the last look and the exchange."""
    exchange = restore.exchange

    def late(one: Path, other: Path) -> None:
        write_more(parts)
        exchange(one, other)
        monkeypatch.setattr(restore, "exchange", exchange)

    monkeypatch.setattr(restore, "exchange", late)
    drop(parts, "2.0.0", "exit 1")
    is_as_it_was(parts)
    assert parts.settling.awaits("core"), "nobody would look at it"


def is_as_it_was(parts: Parts) -> None:
    packs_dir = parts.settings.packs_dir
    assert version(packs_dir / "core") == 'version: "2.0.0"'
    assert (packs_dir / "core" / "fix.txt").read_text() == "the fix"
    assert sorted(path.name for path in packs_dir.iterdir()) == ["core", "core.failed"]
