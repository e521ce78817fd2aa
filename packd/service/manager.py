"""Asking systemd to do something: its own command lines, one at a time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 180.0
_BOOTED: Final = Path("/run/systemd/system")  # there where systemd runs the machine (sd_booted(3)), installed or not


class Refused(Exception):
    """systemd would not; the message is its own."""


def runs_this_machine() -> bool:
    """Is there anybody to ask?"""
    return _BOOTED.is_dir()


def call(command: Sequence[str], *, needed: bool = True) -> bool:
    """Run it. False when it is not `needed` and is missing or failed; raises Refused when it is needed."""
    if shutil.which(command[0]) is None:
        return _refuse(f"{command[0]} is not installed: this machine is not run by systemd", needed)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return _refuse(f"`{' '.join(command)}` did not end within {_PATIENCE_S:g} s", needed)
    if done.returncode == 0:
        return True
    said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
    return _refuse(f"`{' '.join(command)}` failed: {said}", needed)


def _refuse(sentence: str, needed: bool) -> bool:
    if needed:
        raise Refused(sentence)
    return False
