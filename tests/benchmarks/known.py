"""Packs directories full of packs that a daemon has seen before."""

from __future__ import annotations

import os
from pathlib import Path

from measured import MeasuredDaemon

FOLDERS = ("actions", "data", "docs", "lib", "scripts")
NO_TESTS = {"tests": {"required": False}}  # how they became active is not what is measured
_AT_ONCE = 1000  # packs for one `run --once`, which is given some minutes


def make_known(folder: Path, packs: int) -> None:
    """`packs` packs of 20 files in 5 folders, all of them active when this returns; `folder` is the daemon's."""
    folder.mkdir(exist_ok=True)
    daemon = MeasuredDaemon(folder, **NO_TESTS)
    for first in range(0, packs, _AT_ONCE):
        for number in range(first, min(first + _AT_ONCE, packs)):
            _write(daemon.packs / f"pack{number}", f"pack{number}")
        os.sync()
        assert daemon.once() == 0, daemon.tail()
    os.sync()


def _write(folder: Path, ref: str) -> None:
    """pack.yaml, an action of two files, and 17 files that are only there."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "pack.yaml").write_text(f'ref: {ref}\nversion: "1.0.0"\n')
    (folder / "actions" / "greet.yaml").write_text(
        f"ref: {ref}.greet\nlabel: Greet\ndescription: Says hello\nrunner_type: shell\nentry_point: greet.sh\n"
    )
    greet = folder / "actions" / "greet.sh"
    greet.write_text("#!/bin/sh\necho hello\n")
    greet.chmod(0o755)
    for number in range(17):
        (folder / FOLDERS[number % 5] / f"file{number}.txt").write_text(f"{ref} {number}\n" * 20)
