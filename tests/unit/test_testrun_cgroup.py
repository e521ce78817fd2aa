"""Control groups: what is written to them, what is read from them, and which part of the tree is packd's to divide.

The files are ordinary ones here; the rung `bwrap+cgroup` of the other tests is the real thing, where there is one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from packd.testrun import cgroup
from packd.testrun.cgroup import Delegated, Group, NoCgroup
from packd.testrun.limits import Limits

MIB = 1024 * 1024


def made_group(folder: Path, **files: str) -> Group:
    folder.mkdir(exist_ok=True)
    for name in ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cgroup.procs", "cgroup.kill"):
        (folder / name).touch()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return Group(path=folder)


def test_limits(tmp_path: Path) -> None:
    """Of all together: memory without swap, ended as one; processes."""
    group = made_group(tmp_path)
    group.limit(Limits(memory_mb=100), 40)
    group.add(4711)
    said = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert said == {
        "memory.max": str(100 * MIB), "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "40",
        "cgroup.procs": "4711", "cgroup.kill": "",
    }  # fmt: skip


def test_what_was_spent(tmp_path: Path) -> None:
    """What the kernel counted; what it does not count is nothing."""
    group = made_group(
        tmp_path, memory_events="low 0\noom 3\noom_kill 2\n", pids_events="max 7\n", memory_peak="123456\n"
    )
    spent = group.spent()
    assert (spent.oom_kills, spent.forks_refused, spent.memory_peak) == (2, 7, 123456)
    bare = made_group(tmp_path / "bare").spent()
    assert (bare.oom_kills, bare.forks_refused, bare.memory_peak) == (0, 0, None)


def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, procs: str, controllers: str = "cpu memory pids") -> Path:
    folder = tmp_path / "unit"
    folder.mkdir()
    (folder / "cgroup.procs").write_text(procs)
    (folder / "cgroup.controllers").write_text(controllers)
    (folder / "cgroup.subtree_control").touch()
    (folder / "daemon").mkdir()
    (folder / "daemon" / "cgroup.procs").touch()
    monkeypatch.setattr(cgroup, "own_group", lambda: folder)
    monkeypatch.setattr(cgroup, "_is_delegated", lambda path: True)
    return folder


def test_packd_moves_into_a_leaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives the controllers to the groups beside it; what a killed daemon left is removed."""
    folder = tree(tmp_path, monkeypatch, procs=f"{os.getpid()}\n")
    (folder / "run-old").mkdir()
    assert Delegated.take().path == folder
    assert (folder / "daemon" / "cgroup.procs").read_text() == str(os.getpid())
    assert (folder / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert not (folder / "run-old").exists()


def test_processes_of_others_are_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that is shared with a shell is left as it is."""
    folder = tree(tmp_path, monkeypatch, procs="1\n")
    with pytest.raises(NoCgroup, match="process 1, which is none of packd's, is in it"):
        Delegated.take()
    assert (folder / "cgroup.subtree_control").read_text() == ""


def test_controllers_have_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names what is missing."""
    tree(tmp_path, monkeypatch, procs="", controllers="cpu io")
    with pytest.raises(NoCgroup, match="no memory and no pids controller"):
        Delegated.take()


def test_a_group_that_was_not_given_to_us_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by root, who could."""
    tree(tmp_path, monkeypatch, procs="")
    monkeypatch.undo()
    monkeypatch.setattr(cgroup, "own_group", lambda: tmp_path)
    monkeypatch.setattr(cgroup.os, "access", lambda *_: False)
    with pytest.raises(NoCgroup, match="Delegate=yes"):
        Delegated.take()
