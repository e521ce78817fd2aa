"""`rollback.folder: restore`: the folder gets back what is in use, and never loses what is newer than the refused content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from packd.flow import restore
from tests.unit.flow_ground import core, looked_at, made_parts
from tests.unit.testrun_ground import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from packd.bootstrap import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Version 1.0.0 of `core` is in use."""
    with made_parts(tmp_path, rollback={"folder": "restore"}) as made:
        core(made)
        yield made


def version(folder: Path) -> str:
    return (folder / "pack.yaml").read_text().splitlines()[1]


def kept(parts: Parts) -> Path:
    return parts.settings.packs_dir / ".packd-failed" / "core-2"


def why(parts: Parts) -> str:
    return parts.commands.explain("core").text()


def write_more(parts: Parts) -> None:
    (parts.settings.packs_dir / "core" / "fix.txt").write_text("the fix")


def test_what_was_refused_is_kept_beside(parts: Parts) -> None:
    core(parts, "2.0.0", test="exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_the_marker_and_why_say_where_it_is(parts: Parts) -> None:
    """And not to change what lies there: that is what is in use."""
    core(parts, "2.0.0", test="exit 1")
    said = why(parts)
    assert "'core' holds the content of core#1 (version 1.0.0) again; core#2 is kept in '.packd-failed/core-2'" in said
    assert "Change what lies there" not in said
    assert (parts.settings.packs_dir / "core.failed").read_text().startswith(said)


def test_why_says_that_what_is_in_use_does_not_lie_there(parts: Parts) -> None:
    """`retry` takes the withdrawn content from the store, and leaves the folder as it is."""
    core(parts, "2.0.0")
    assert "warning" not in why(parts)
    parts.commands.rollback("core", to=None, actor="test")
    assert parts.lanes.wait_idle(30)
    parts.commands.retry("core", actor="test")
    assert parts.lanes.wait_idle(30)
    said = why(parts)
    assert said.startswith("core#2 (version 2.0.0) is active since ")
    assert "what lies in 'core' is not what is in use: it is the content of core#1 (version 1.0.0)" in said


def test_what_is_being_written_is_left_there_until_it_has_settled(parts: Parts) -> None:
    """Then it comes to its own verdict; and if it is the same after all, it is exchanged after all."""
    parts.settling.touched("core")
    core(parts, "2.0.0", test="exit 1")
    assert version(parts.settings.packs_dir / "core") == 'version: "2.0.0"'
    parts.settling.start(take=lambda *_: None, remove=lambda _: None)
    wait_until(lambda: not parts.settling.awaits("core"))
    parts.settling.stop()
    looked_at(parts, "core")
    assert version(parts.settings.packs_dir / "core") == 'version: "1.0.0"'
    assert version(kept(parts)) == 'version: "2.0.0"'


def test_what_was_written_while_the_copy_was_made_stays(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_out = parts.store.copy_out

    def slow(digest: str, destination: Path, **how: Any) -> None:
        copy_out(digest, destination, **how)
        if destination.name.startswith(".packd-restore"):
            write_more(parts)

    monkeypatch.setattr(parts.store, "copy_out", slow)
    core(parts, "2.0.0", test="exit 1")
    is_as_it_was(parts)


def test_what_was_written_in_the_last_moment_is_put_back(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be kept from writing between the last look and the exchange."""
    exchange = restore.exchange

    def late(one: Path, other: Path) -> None:
        write_more(parts)
        exchange(one, other)
        monkeypatch.setattr(restore, "exchange", exchange)

    monkeypatch.setattr(restore, "exchange", late)
    core(parts, "2.0.0", test="exit 1")
    is_as_it_was(parts)
    assert parts.settling.awaits("core"), "nobody would look at it"


def is_as_it_was(parts: Parts) -> None:
    packs_dir = parts.settings.packs_dir
    assert version(packs_dir / "core") == 'version: "2.0.0"'
    assert (packs_dir / "core" / "fix.txt").read_text() == "the fix"
    assert sorted(path.name for path in packs_dir.iterdir()) == ["core", "core.failed"]
