"""Looking at a drop: what is found, what is refused, and when it counts as unchanged."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from packd.domain.ignore import Ignore
from packd.domain.problems import Problem
from packd.snapshot import tree as tree_module
from packd.snapshot.tree import Limits, look
from tests.unit.snapshot_ground import aged, codes, looked, made_tree, open_folder_of_all

# --- what is found ---


def test_everything_in_a_folder_is_listed_in_the_order_of_its_bytes(tmp_path: Path) -> None:
    """Files, folders and links, each with what it is; sorted as bytes, where "a-b" comes before "a/x"."""
    made_tree(tmp_path / "p", {"a/x.sh": "12345", "a-b": "", "ä": "", "z": "-> a/x.sh", "e": None})
    seen = looked(tmp_path / "p")
    assert [(entry.path, entry.kind, entry.link_target) for entry in seen.entries] == [
        ("a", "folder", None),
        ("a-b", "file", None),
        ("a/x.sh", "file", None),
        ("e", "folder", None),
        ("z", "link", "a/x.sh"),
        ("ä", "file", None),
    ]
    assert (seen.files, seen.bytes, seen.problems, seen.unsettled) == (3, 5, (), None)
    assert [entry.path for entry in seen.entries if entry.executable and entry.kind == "file"] == ["a/x.sh"]


def test_a_file_is_a_tree_of_one(tmp_path: Path) -> None:
    """An archive is looked at as what it is, one file; its name is no part of it."""
    path = tmp_path / "p.zip"
    path.write_bytes(b"12345")
    seen = looked(path)
    assert seen.is_file
    assert [(entry.path, entry.size) for entry in seen.entries] == [("", 5)]
    assert seen.newest_ns == path.stat().st_ctime_ns


def test_ignored_names_are_left_out_with_all_that_is_in_them(tmp_path: Path) -> None:
    """What version control and editors leave is no part of a pack, wherever it is."""
    made_tree(tmp_path / "p", {".git/config": "", "a/__pycache__/x.pyc": "", "a/b.swp": "", "a/c": "", "d~": ""})
    assert [entry.path for entry in looked(tmp_path / "p").entries] == ["a", "a/c"]


def test_a_pack_names_what_to_leave_out(tmp_path: Path) -> None:
    """`.packdignore` works by path, on top of the ignored names, and is itself a part of the pack."""
    shape = {".packdignore": "/build/\n*.log\n!keep.log\n", "build/x": "", "a/build": "", "a/b.log": "", "keep.log": ""}
    made_tree(tmp_path / "p", shape)
    assert [entry.path for entry in looked(tmp_path / "p").entries] == [".packdignore", "a", "a/build", "keep.log"]


def test_a_packdignore_only_counts_at_the_top_and_as_a_file(tmp_path: Path) -> None:
    """One further down is a file like any other; a folder of that name has no rules."""
    made_tree(tmp_path / "p", {"a/.packdignore": "*\n", "a/b": "", ".packdignore/c": ""})
    assert len(looked(tmp_path / "p").entries) == 5


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff\xfe\n", "packdignore.unusable"),
        (b"x\n" * 501, "packdignore.unusable"),
        (b"x" * 70_000, "packdignore.unusable"),
        (b"# fine: ****\n" + b"*a" * 20, "packdignore.too_many_stars"),
        (b"a/**/b/**/c/**/d/**/e", "packdignore.too_many_stars"),
    ],
)
def test_a_packdignore_that_cannot_be_followed_refuses_the_pack(tmp_path: Path, content: bytes, code: str) -> None:
    """Leaving out the wrong things silently would be worse; and no pattern may keep the daemon busy."""
    made_tree(tmp_path / "p", {".packdignore": content})
    assert codes(looked(tmp_path / "p")) == [code]


def test_a_packdignore_line_that_is_no_pattern_is_a_warning(tmp_path: Path) -> None:
    """As git does, it is skipped; and its line is told."""
    made_tree(tmp_path / "p", {".packdignore": "*.log\n!\n", "x.log": ""})
    seen = looked(tmp_path / "p")
    assert [(problem.code, problem.line, problem.severity) for problem in seen.problems] == [
        ("packdignore.invalid_line", 2, "warning")
    ]
    assert not seen.refused
    assert len(seen.entries) == 1


def test_patterns_that_take_too_long_refuse_the_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time spent on a pack's own patterns has a limit."""
    monkeypatch.setattr("packd.snapshot.own_ignore._MOST_MATCHING_S", 0.0)
    made_tree(tmp_path / "p", {".packdignore": "x\n", "a": ""})
    assert codes(looked(tmp_path / "p")) == ["packdignore.too_slow"]


# --- limits ---


def test_a_pack_of_too_many_files_is_refused_without_reading_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk ends at the limit; what comes after it is not even looked at."""
    for folder in ("a", "b"):
        made_tree(tmp_path / "p" / folder, {f"f{number}": "" for number in range(300)})
    made = []
    entry = tree_module.Entry
    monkeypatch.setattr(tree_module, "Entry", lambda *fields: made.append(fields) or entry(*fields))
    seen = looked(tmp_path / "p", files=100)
    assert codes(seen) == ["limits.traversed_entries_exceeded"]
    assert "100" in seen.problems[0].message
    assert len(made) == 101


@pytest.mark.parametrize(
    ("limits", "code", "number"),
    [
        ({"files": 6}, "limits.traversed_entries_exceeded", "6"),
        ({"bytes": 11}, "limits.bytes_exceeded", "11 bytes"),
        ({"depth": 2}, "limits.depth_exceeded", "2"),
        ({"path_length": 9}, "limits.path_too_long", "9"),
    ],
)
def test_each_limit_has_its_own_problem(tmp_path: Path, limits: dict[str, int], code: str, number: str) -> None:
    """One beyond a limit is refused with its number; exactly at the limit is fine."""
    made_tree(tmp_path / "p", {"a/b/c/four": "1234", "e": "12345678", "f": "", "gg": ""})
    seen = looked(tmp_path / "p", **limits)
    assert codes(seen) == [code]
    assert number in seen.problems[0].message
    assert not looked(tmp_path / "p", files=7, bytes=12, depth=3, path_length=10).problems


def test_limits_make_sense() -> None:
    """A limit of nothing would refuse everything, and says so where it is set; so does one that packd can't reach."""
    with pytest.raises(ValueError, match="'depth' must be positive"):
        Limits(depth=0)
    with pytest.raises(ValueError, match="'depth' can be 200 at most"):
        Limits(depth=201)


# --- what is refused ---


def test_special_files_are_refused_by_what_they_are(tmp_path: Path) -> None:
    """Devices, sockets and FIFOs: opening one may wait for ever, or do things."""
    folder = made_tree(tmp_path / "p", {"a": ""})
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "sock"))
        seen = looked(folder)
    assert sorted((problem.code, problem.file) for problem in seen.problems) == [
        ("tree.special_file", "pipe"),
        ("tree.special_file", "sock"),
    ]
    assert "FIFO" in " ".join(problem.message for problem in seen.problems)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused(tmp_path: Path) -> None:
    """Also one that is harmless."""
    folder = made_tree(tmp_path / "p")
    os.mknod(folder / "null", 0o020666, os.makedev(1, 3))
    assert codes(looked(folder)) == ["tree.special_file"]


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ({"l": "-> /etc/passwd"}, "tree.link_escapes"),
        ({"l": "-> ../outside"}, "tree.link_escapes"),
        ({"a/l": "-> ../../outside"}, "tree.link_escapes"),
        ({"a/b/up": "-> ../..", "l": "-> a/b/up/../x"}, "tree.link_escapes"),
        ({"l": "-> not/there/../../../outside"}, "tree.link_escapes"),
        ({"l": "-> m", "m": "-> l"}, "tree.link_loop"),
        ({"l": "-> l"}, "tree.link_loop"),
        ({"a/l": "-> ."}, "tree.link_loop"),
        ({"a/b/l": "-> ../../a"}, "tree.link_loop"),
        ({"l": "-> not/there"}, "tree.link_dangling"),
        ({"a": "", "l": "-> a/b"}, "tree.link_dangling"),
        ({"a/x": "", "l": "-> a/x"}, None),
        ({"a/x": "", "b/l": "-> .././a//x"}, None),
        ({"a/x": "", "b/l": "-> ../a", "m": "-> b/l/x"}, None),
    ],
)
def test_a_link_may_lead_to_what_is_inside(tmp_path: Path, shape: dict[str, str], code: str | None) -> None:
    """Out of the pack or round in circles is refused, also by way of other links; to nowhere inside is a warning."""
    seen = looked(made_tree(tmp_path / "p", shape))
    assert (code in codes(seen)) if code else codes(seen) == []
    assert seen.refused == (code in ("tree.link_escapes", "tree.link_loop"))


def test_links_that_take_for_ever_to_follow_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Following all links of a pack takes a bounded number of steps."""
    monkeypatch.setattr("packd.snapshot.links._MOST_STEPS", 50)
    shape = {"a": "", **{f"l{number}": "-> a" for number in range(30)}}
    assert codes(looked(made_tree(tmp_path / "p", shape))) == ["tree.links_tangled"]


def test_names_that_are_not_utf8_are_refused_and_can_still_be_told(tmp_path: Path) -> None:
    """Names of files and in links; the problem's own text is always UTF-8."""
    folder = made_tree(tmp_path / "p", {"ok": ""})
    (folder / os.fsdecode(b"caf\xe9")).touch()
    (folder / "l").symlink_to(os.fsdecode(b"\xff"))
    seen = looked(folder)
    assert codes(seen) == ["tree.name_not_utf8", "tree.name_not_utf8"]
    assert {problem.file for problem in seen.problems} == {"caf\\udce9", "l"}
    assert all(str(problem).encode("utf-8") for problem in seen.problems)


def test_problems_are_told_together_and_only_so_many(tmp_path: Path) -> None:
    """All of them up to a hundred; the hundred and first would tell nobody anything."""
    folder = made_tree(tmp_path / "p")
    for number in range(150):
        os.mkfifo(folder / f"pipe{number}")
    assert codes(looked(folder)) == ["tree.special_file"] * 100


_AS_NOBODY = """
import os, sys
from pathlib import Path
from packd.domain.ignore import Ignore
from packd.snapshot.store import Store
from packd.snapshot.tree import Limits, look
os.setgid(65534); os.setuid(65534)
for problem in look(Path(sys.argv[1]), Ignore(), Limits()).problems:
    print("look", problem.code, problem.file)
taken = Store(Path(sys.argv[2]), Limits()).take(Path(sys.argv[1]), Ignore())
assert taken.fingerprint is None
for problem in taken.problems:
    print("take", problem.code, problem.file)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_what_may_not_be_read_is_refused_by_name() -> None:
    """A folder when it is looked at, files when they are read, all of them; and it is tried again at every look."""
    with open_folder_of_all() as base:
        folder = made_tree(base / "p", {"a/x": "", "b": "", "c": "", "d": ""})
        store = base / "store"
        store.mkdir()
        store.chmod(0o777)
        (folder / "b").chmod(0)
        (folder / "c").chmod(0)
        command = [sys.executable, "-c", _AS_NOBODY, str(folder), str(store)]
        assert _lines(command) == ["take tree.unreadable b", "take tree.unreadable c"]
        (folder / ".packdignore").touch(mode=0)
        assert _lines(command) == ["look tree.unreadable .packdignore", "take tree.unreadable .packdignore"]
        (folder / ".packdignore").unlink()
        (folder / "a").chmod(0)
        assert _lines(command) == ["look tree.unreadable a", "take tree.unreadable a"]
        folder.chmod(0)
        assert _lines(command) == ["look tree.unreadable None", "take tree.unreadable None"]


def _lines(command: list[str]) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


# --- what is not there (any more) ---


def test_a_drop_that_is_not_there_is_unsettled(tmp_path: Path) -> None:
    """It may be on its way back; nothing is wrong with it."""
    seen = looked(tmp_path / "p")
    assert seen.unsettled is not None
    assert (seen.unsettled.code, seen.problems, seen.entries, seen.newest_ns) == ("tree.vanished", (), (), 0)
    assert seen.fingerprint(time.time_ns()) is None


def test_a_folder_that_vanishes_under_our_eyes_is_unsettled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being listed and being opened it is removed, or replaced by a link: neither is followed nor fatal."""
    folder = made_tree(tmp_path / "p", {"a/x": "", "b": ""})
    opened = tree_module.open_folder
    for replacement in (None, "/etc"):

        def racing(path: str | Path, within: int | None = None, to: str | None = replacement) -> int:
            if path == "a":
                shutil.rmtree(folder / "a", ignore_errors=True)
                if to:
                    (folder / "a").symlink_to(to)
            return opened(path, within)

        monkeypatch.setattr(tree_module, "open_folder", racing)
        seen = looked(folder)
        assert seen.unsettled is not None
        assert (seen.unsettled.code, seen.unsettled.file) == ("tree.vanished", "a")
        assert not any(entry.path.startswith("a/") for entry in seen.entries)
        monkeypatch.undo()
        (folder / "a").unlink(missing_ok=True)
        made_tree(folder, {"a/x": ""})


def test_a_link_in_place_of_a_drop_is_not_followed(tmp_path: Path) -> None:
    """A drop is what lies in the packs directory, not what something there points to."""
    made_tree(tmp_path / "p")
    (tmp_path / "l").symlink_to("p")
    assert codes(looked(tmp_path / "l")) == ["tree.link_escapes"]


def test_running_out_of_descriptors_is_not_the_packs_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such trouble is raised, so that no pack is refused for it."""
    monkeypatch.setattr(tree_module, "open_folder", lambda *_: (_ for _ in ()).throw(OSError(24, "EMFILE")))
    monkeypatch.setattr(Path, "lstat", lambda _: (_ for _ in ()).throw(OSError(24, "EMFILE")))
    with pytest.raises(OSError, match="EMFILE"):
        looked(tmp_path)


# --- the fingerprint ---


def _fingerprint(folder: Path) -> str | None:
    aged(folder)
    return looked(folder).fingerprint(time.time_ns())


CHANGES = {
    "content": lambda p: (p / "pack.yaml").write_bytes((p / "pack.yaml").read_bytes().replace(b"demo", b"omed")),
    "content with the old mtime": lambda p: _rewritten(p / "pack.yaml"),
    "replaced by rename": lambda p: (shutil.copy2(p / "pack.yaml", p / "x"), (p / "x").rename(p / "pack.yaml")),
    "mode of a file": lambda p: (p / "pack.yaml").chmod(0o600),
    "mode of a folder": lambda p: (p / "docs").chmod(0o700),
    "new file": lambda p: (p / "new").touch(),
    "removed file": lambda p: (p / "pack.yaml").unlink(),
    "new folder": lambda p: (p / "new").mkdir(),
    "new FIFO": lambda p: os.mkfifo(p / "pipe"),
    "renamed file": lambda p: (p / "pack.yaml").rename(p / "pack.yml"),
    "other link": lambda p: ((p / "latest").unlink(), (p / "latest").symlink_to("pack.yaml")),
}


def _rewritten(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_changes_the_fingerprint(tmp_path: Path, change: str) -> None:
    """Whatever is done to a pack, a stat for each file is enough to see it."""
    folder = made_tree(tmp_path / "p")
    before = _fingerprint(folder)
    CHANGES[change](folder)
    after = _fingerprint(folder)
    assert None not in (before, after)
    assert before != after


@pytest.mark.parametrize("year", [-5, 2300])
def test_any_time_of_change_has_a_fingerprint(tmp_path: Path, year: int) -> None:
    """Files from before 1970 or far in the future, as broken clocks and archives make them."""
    folder = made_tree(tmp_path / "p")
    os.utime(folder / "pack.yaml", ((year - 1970 if year > 0 else year) * 31_557_600,) * 2)
    assert _fingerprint(folder) is not None


def test_what_does_not_touch_the_content_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    """Renaming the pack, reading it, and writing what is ignored: an unchanged pack is not read again."""
    folder = made_tree(tmp_path / "p")
    before = _fingerprint(folder)
    renamed = folder.rename(tmp_path / "q")
    (renamed / "pack.yaml").read_text()
    (renamed / "docs" / "x.swp").write_text("editing")
    assert _fingerprint(renamed) == before is not None


@pytest.mark.parametrize(("code", "is_kept"), [("tree.unreadable", False), ("tree.special_file", True)])
def test_what_may_pass_without_a_change_is_looked_at_again(tmp_path: Path, code: str, is_kept: bool) -> None:
    """Whoever was not allowed to read it may be by now, and nothing in the drop tells; a FIFO stays one until somebody
    removes it."""
    seen = looked(aged(made_tree(tmp_path / "p")))
    refused = replace(seen, problems=(Problem(code=code, message="no", file="a"),))
    assert (refused.fingerprint(time.time_ns()) is not None) is is_kept
    assert refused.fingerprint(time.time_ns()) != seen.fingerprint(time.time_ns())


def test_other_limits_are_another_fingerprint(tmp_path: Path) -> None:
    """What was refused for its size is read again when the limit is raised, and the other way round."""
    folder = aged(made_tree(tmp_path / "p"))
    assert looked(folder).fingerprint(time.time_ns()) != looked(folder, files=50).fingerprint(time.time_ns())


def test_fresh_changes_are_not_trusted(tmp_path: Path) -> None:
    """A file may change twice within one tick of the clock; only later can its timestamps be believed."""
    later = looked(aged(made_tree(tmp_path / "p")))
    newest = later.changed_ns
    early = replace(later, began_ns=newest + 1_000_000, ended_ns=newest + 2_000_000)
    assert early.fingerprint(time.time_ns()) is None, "it was looked at too early, whenever one asks"
    assert later.fingerprint(newest + 5_000_000) is None, "the caller read it too early"
    assert later.fingerprint(time.time_ns()) is not None


def test_a_clock_that_was_set_back_does_not_cost_trust_for_ever(tmp_path: Path) -> None:
    """A timestamp far ahead of the clock is as good as one far behind: the next change gets another."""
    seen = looked(aged(made_tree(tmp_path / "p")))
    assert seen.fingerprint(seen.changed_ns - 3600 * 10**9) is not None


def test_whole_seconds_need_a_longer_distance(tmp_path: Path) -> None:
    """Where no timestamp has a fraction, the file system keeps none, and two seconds must have passed."""
    seen = looked(aged(made_tree(tmp_path / "p", {"a": ""})))
    second = seen.changed_ns // 10**9 * 10**9
    entries = tuple(entry._replace(ctime_ns=second) for entry in seen.entries)
    coarse = tree_module.Tree(
        entries=entries, problems=(), unsettled=None, limits=Limits(), began_ns=second + 10**9,
        ended_ns=second + 10**9, newest_ns=second, files=1, bytes=0,
    )  # fmt: skip
    assert coarse.fingerprint(second + 10**9) is None
    assert coarse.margin_ns == 2 * 10**9


def test_the_newest_change_includes_what_was_removed(tmp_path: Path) -> None:
    """A file that is gone leaves its trace in its folder; a rename of the pack leaves none."""
    folder = aged(made_tree(tmp_path / "p"))
    before = looked(folder).newest_ns
    folder = folder.rename(tmp_path / "q")
    assert looked(folder).newest_ns == before
    (folder / "actions" / "run.yaml").unlink()
    assert looked(folder).newest_ns > before


def test_looking_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged pack costs a stat for each file: nothing is opened but folders."""
    folder = made_tree(tmp_path / "p")
    flags = []
    opened = os.open
    monkeypatch.setattr(os, "open", lambda *args, **more: flags.append(args[1]) or opened(*args, **more))
    look(folder, Ignore(), Limits())
    assert len(flags) == 3
    assert all(flag & os.O_DIRECTORY for flag in flags)


# --- what is entered ---


def entered(folder: Path, **limits: int) -> tuple[list[str], tree_module.Tree]:
    names: list[str] = []
    seen = look(folder, Ignore(), Limits(**limits), names.append)
    return names, seen


def test_each_folder_is_told_before_its_content_is_listed(tmp_path: Path) -> None:
    """By its path from the drop's name on; what is made in it at that moment is found."""
    made_tree(tmp_path / "p", {"a/b/file": "", "c/file": "", ".git/config": ""})
    names: list[str] = []

    def entering(path: str) -> None:
        names.append(path)
        (tmp_path / path / "late").touch()

    seen = look(tmp_path / "p", Ignore(), Limits(), entering)
    assert names[0] == "p"
    assert sorted(names) == ["p", "p/a", "p/a/b", "p/c"]
    assert [entry.path for entry in seen.entries if entry.path.endswith("late")] == [
        "a/b/late",
        "a/late",
        "c/late",
        "late",
    ]
    assert seen.whole


@pytest.mark.parametrize("why", ["its own rules", "a limit", "a problem"])
def test_a_look_that_left_folders_out_says_so(tmp_path: Path, why: str) -> None:
    """Whoever relies on having been told of every folder has to know."""
    made_tree(tmp_path / "p", {"a/b/file": "", "c/file": ""})
    limits = {"depth": 1} if why == "a limit" else {}
    if why == "its own rules":
        (tmp_path / "p" / ".packdignore").write_text("c/\n")
    if why == "a problem":
        os.mkfifo(tmp_path / "p" / "fifo")
    assert not entered(tmp_path / "p", **limits)[1].whole
