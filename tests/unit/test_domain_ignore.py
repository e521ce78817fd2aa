"""Which names are no part of a pack."""

from __future__ import annotations

import pytest

from packd.domain.ignore import Ignore, is_transfer


@pytest.mark.parametrize(
    "name",
    [
        ".git",
        ".hg",
        "__pycache__",
        "run.pyc",
        ".DS_Store",
        "pack.yaml~",
        "a.swp",
        ".pack.yaml.swp",
        "pack.zip.part",
        "x.tmp",
        ".~lock.notes#",
        ".#pack.yaml",
        "#pack.yaml#",
        ".nfs000000000123",
        ".pack.yaml.Ab12Cd",
        "..gitignore.x7Yz0Q",
        "line\nbreak.tmp",
        "\udcff.pyc",
    ],
)
def test_what_tools_leave_behind_is_ignored(name: str) -> None:
    """Names of version control, editors, browsers and rsync are ignored, whatever else is in the name."""
    assert Ignore().name(name)


@pytest.mark.parametrize(
    "name",
    [
        "pack.yaml",
        ".packdignore",
        ".gitignore",
        ".eslintrc.json",
        ".env.sample",
        ".env.Sample",
        ".env.README",
        ".sums.sha256",
        ".log.241103",
        "name.Ab12Cd",
        "tmp",
        "part",
        ".pytest_cache",
        "git",
    ],
)
def test_files_of_a_pack_are_not_ignored(name: str) -> None:
    """Ordinary files stay, also dot files whose ending has six letters or digits like rsync's."""
    assert not Ignore().name(name)


@pytest.mark.parametrize(
    "name", [".pack.yaml.Ab12Cd", "..gitignore.x7Yz0Q", ".~tmp~", "big.bin.part", ".syncthing.big.bin.tmp"]
)
def test_what_a_copying_tool_has_not_brought_whole_is_known_and_ignored(name: str) -> None:
    """Each file by rsync, KDE and Syncthing; and all of them by `rsync --delay-updates`."""
    assert is_transfer(name)
    assert Ignore().name(name)


@pytest.mark.parametrize("name", [".pack.yaml.swp", "x.tmp", ".env.sample", "tmp", ".~lock.notes#", "__pycache__"])
def test_other_names_are_no_transfer(name: str) -> None:
    """What lies there for long, such as an editor's, must not keep a pack from being read."""
    assert not is_transfer(name)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("x.tmp", "*.tmp"), ("m9~", "*~"), ("__pycache__", "__pycache__"), ("a.bak", "*.bak"), ("old", "old"),
     (".pack.yaml.Ab12Cd", ".NAME.XXXXXX"), ("pack.yaml", None)],
)  # fmt: skip
def test_the_rule_can_be_named(name: str, rule: str | None) -> None:
    """None for what is not ignored."""
    assert Ignore(["*.bak", "old"]).rule(name) == rule


def test_configured_names_and_patterns_are_added() -> None:
    """Extra names count exactly, extra patterns as the shell would match them, and the built-in ones stay."""
    ignore = Ignore(["node_modules", "*.bak", "cache?"])
    assert all(map(ignore.name, ["node_modules", "x.bak", "cache1", ".git"]))
    assert not any(map(ignore.name, ["node_modules2", "x.back", "cache"]))


@pytest.mark.parametrize("extra", ["", "build/out", "/"])
def test_an_extra_name_that_can_not_match_is_refused(extra: str) -> None:
    """A path or an empty text among the names is an error that says where paths belong."""
    with pytest.raises(ValueError, match=r"\.packdignore"):
        Ignore([extra])


def test_packdignore_follows_gitignore_syntax() -> None:
    """Comments, folders only, anchors, `**`, negation and the last match wins, as in gitignore(5)."""
    ignore = Ignore(packdignore="# notes\nbuild/\n*.log\n!keep.log\n/top.txt\ndocs/**/draft.md\r\n\n")
    assert ignore.path("build", True)
    assert not ignore.path("build", False)
    assert ignore.path("a/b/x.log", False)
    assert not ignore.path("a/keep.log", False)
    assert ignore.path("top.txt", False)
    assert not ignore.path("a/top.txt", False)
    assert ignore.path("docs/a/b/draft.md", False)


def test_without_packdignore_no_path_is_ignored() -> None:
    """Paths matter only where a pack has the file."""
    assert not Ignore().path("build", True)


def test_lines_that_are_no_pattern_are_named_and_skipped() -> None:
    """A broken line is listed by its number and spoils none of the others."""
    ignore = Ignore(packdignore="\ufeff*.log\n!\nbuild/\n")
    assert ignore.bad_lines == (2,)
    assert ignore.path("x.log", False)
    assert ignore.path("build", True)
