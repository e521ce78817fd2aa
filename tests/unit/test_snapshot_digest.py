"""The digest: what counts, and that anybody can compute it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from packd.snapshot import digest as digest_module
from packd.snapshot.digest import digest, file, folder, hex_of, link
from tests.unit.snapshot_ground import Ground, made_tree


def test_the_digest_of_nothing_and_of_a_small_pack_never_change() -> None:
    """Digests are kept in registries for years: the form of the listing is for ever."""
    known = file(
        "a", executable=False, size=0, sha256_hex="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert digest([]) == "sha256:4092675c593d23d96fbf6e054c255cfc865fd3047f9f1ef920a29f4ede2e4e16"
    assert digest([known, folder("b"), link("c", "a")]) == (
        "sha256:be08b985264eea574fffd22923e947991d6ad4dbbe79bce12b98f4bb1e35de89"
    )


def test_the_documented_commands_compute_the_same_digest(tmp_path: Path) -> None:
    """find, sort, sha256sum and a loop, exactly as the module's text says, agree with packd."""
    ground = Ground(tmp_path)
    shape = {"pack.yaml": "x", "a/b.sh": "#!", "a-b": "", "a/c": "-> ../pack.yaml", "empty": None, "ä ö/%s": "1\n2"}
    taken = ground.snapshot(made_tree(tmp_path / "p", shape))
    script = re.search(r"sake\):\n\n(.*)", str(digest_module.__doc__), re.DOTALL)
    assert script is not None
    said = subprocess.run(["bash", "-c", script[1]], cwd=taken.path, capture_output=True, text=True, check=True)
    assert f"sha256:{said.stdout.split()[0]}" == taken.digest
    assert said.stderr == ""


def test_only_content_counts(tmp_path: Path) -> None:
    """Times, owners, group and other bits, and hard links make no difference; the owner's execute bit does."""
    ground = Ground(tmp_path)
    one, other = ground.drop({"a": "1", "b": "1"}, "one"), ground.drop({"a": "1"}, "other")
    os.link(other / "a", other / "b")
    (other / "a").chmod(0o606)
    os.utime(other / "a", ns=(1, 1))
    assert ground.snapshot(one).digest == ground.snapshot(other).digest
    (other / "a").chmod(0o100)
    assert ground.snapshot(one).digest != ground.snapshot(other).digest


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "../" * 22, "sha256:" + "0" * 64 + "\n", "0" * 64]
)
def test_nothing_but_a_digest_becomes_part_of_a_path(text: str) -> None:
    """Whatever else it is, it is refused with what it should be."""
    with pytest.raises(ValueError, match="is not a digest: it must be"):
        hex_of(text)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_a_path_that_no_file_can_have_has_no_digest(path: str) -> None:
    """NUL ends a record; a name with one in it could stand for two."""
    with pytest.raises(ValueError, match="can't be a path"):
        digest([folder(path)])
