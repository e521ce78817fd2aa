"""What `pip install .` brings: a wheel and a source distribution with everything inside."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from packd.cli.commands import COMMANDS
from packd.cli.manual import manual

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "uv", "build", "--out-dir", str(folder), str(REPOSITORY)],
        capture_output=True, text=True, check=False, env={**os.environ, "UV_NO_PROGRESS": "1"},
    )  # fmt: skip
    if done.returncode and ("Failed to fetch" in done.stderr or "error sending request" in done.stderr):
        pytest.skip(f"NOT TESTED: the build backend can't be fetched: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_is_whole(built: Path, tmp_path: Path) -> None:
    """It runs by itself, and holds units, example configuration, manual page and completions."""
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for shipped in ("systemd/packd.service", "systemd/drop-ins/network.conf", "config/packd.yaml"):
        assert f"packd/service/shipped/{shipped}" in names
    for installed in ("man/man1/packd.1", "bash-completion/completions/packd", "zsh/site-functions/_packd",
                      "fish/vendor_completions.d/packd.fish"):  # fmt: skip
        assert any(name.endswith(f".data/data/share/{installed}") for name in names), installed
    assert not any(name.startswith("tests/") for name in names)
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--offline", "--target", str(tmp_path), str(wheel)],
        check=True,
    )  # fmt: skip
    said = subprocess.run(
        [sys.executable, "-c", "import packd.service.shipped as s; print(s.__file__); print(s.shipped('systemd/packd.socket'))"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ).stdout  # fmt: skip
    assert said.startswith(str(tmp_path))
    assert "ListenStream=/run/packd/packd.sock" in said


def test_the_source_is_whole(built: Path) -> None:
    """What is needed to build, to test and to package it is in the source distribution."""
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "packd/cli/packaging.py", "README.md", "packd/daemon.py", "systemd/packd.service",
            "config/packd.yaml", "tests/README.md"} <= names  # fmt: skip


def test_the_manual_lists_every_command() -> None:
    """packd(1) is made from the list of commands; a word of theirs is never an instruction to roff."""
    page = manual()
    assert all(f".B packd {name}\n" in page for name in COMMANDS)
    assert not any(line.startswith("'") for line in page.splitlines())
