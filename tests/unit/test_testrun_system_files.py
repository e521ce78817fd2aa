"""The /etc that contained programs see is made once, and anew when what it was made of has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from packd.testrun import system_files
from packd.testrun.system_files import Someone, prepare_system_files

NOBODY = Someone(uid=1234, gid=1234)


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's /etc."""
    etc = tmp_path / "etc"
    (etc / "ssl/certs").mkdir(parents=True)
    (etc / "ssl/certs/one.pem").write_text("one")
    (etc / "services").write_text("http 80/tcp\n")
    (etc / "shadow").write_text("secret")
    monkeypatch.setattr(system_files, "_ETC", etc)
    return etc


def test_what_was_made_of_the_same_files_serves_again(etc: Path, tmp_path: Path) -> None:
    """Nothing is copied a second time."""
    first = prepare_system_files(tmp_path / "sandbox", NOBODY)
    seen = first.stat()
    assert prepare_system_files(tmp_path / "sandbox", NOBODY) == first
    assert first.stat() == seen
    assert (first / "ssl/certs/one.pem").read_text() == "one"
    assert not (first / "shadow").exists()


@pytest.mark.parametrize("change", ["content", "new", "gone", "link", "someone"])
def test_what_changed_is_copied_anew(etc: Path, tmp_path: Path, change: str) -> None:
    """And what was made before is removed."""
    (tmp_path / "other.pem").write_text("other")
    (etc / "ssl/certs/link.pem").symlink_to(tmp_path / "other.pem")
    first = prepare_system_files(tmp_path / "sandbox", NOBODY)
    someone = NOBODY
    match change:
        case "content":
            (etc / "services").write_text("http 81/tcp\n")
        case "new":
            (etc / "ssl/certs/two.pem").write_text("two")
        case "gone":
            (etc / "ssl/certs/one.pem").unlink()
        case "link":
            (tmp_path / "other.pem").write_text("changed")
        case "someone":
            someone = Someone(uid=4321, gid=4321)
    second = prepare_system_files(tmp_path / "sandbox", someone)
    assert os.listdir(tmp_path / "sandbox") == [second.name]
    assert second != first
    assert (second / "services").read_text() == (etc / "services").read_text()
    assert (second / "ssl/certs/link.pem").read_text() == (tmp_path / "other.pem").read_text()
    assert f"packd:x:{someone.uid}" in (second / "passwd").read_text()


def test_what_was_broken_off_is_no_obstacle(etc: Path, tmp_path: Path) -> None:
    """It never got its final name, and is removed."""
    (tmp_path / "sandbox/new-1234").mkdir(parents=True)
    made = prepare_system_files(tmp_path / "sandbox", NOBODY)
    assert os.listdir(tmp_path / "sandbox") == [made.name]
