"""A Linux of its own, whose control groups are all of version 2: User-Mode Linux, booted with systemd for one program."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from machine import INSTALL, TOOL, places

BOOTER = TOOL.with_name("boot-systemd-uml.sh")
_OWN = "/tmp"  # of which the guest has one of its own
_NEVER_RAN = 125  # its exit status when the guest did not get as far as the program

_BOOT = """
set -e
{mounts}
bash install.sh {python}
/opt/packd/bin/packd service install --no-start
systemd-sysusers packd.conf; systemd-tmpfiles --create packd.conf; systemctl daemon-reload
exec /usr/bin/python3 /opt/packd-test/repository/tests/service/{program} "$PWD"
"""


class CanNotBoot(Exception):
    """There is no such guest on this machine; the message says why."""


def run(program: str, folder: Path, *, timeout_s: int) -> Any:
    """Boot, install packd as its service, run a program of this folder as root; returns what it left in `answers.json`.

    The program gets `folder`, which it shares with us, as its argument, and must do without libraries. Raises
    CanNotBoot; AssertionError with all that was said when anything fails inside.
    """
    if not BOOTER.is_file():
        raise CanNotBoot(f"the tool that boots it is missing: {BOOTER}")
    binds, python = places()
    mounts = "\n".join(f"mkdir -p {place}; mount --bind {source} {place}" for source, place in binds.items())
    (folder / "install.sh").write_text(INSTALL)
    (folder / "boot.sh").write_text(_BOOT.format(mounts=mounts, python=python, program=program))
    shared = [folder, *(source for source in binds if source.is_relative_to(_OWN))]
    options = [part for place in shared for part in ("--bind", str(place))]
    command = [str(BOOTER), *options, "--timeout", str(timeout_s), "--", "bash", "boot.sh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode == _NEVER_RAN:
        raise CanNotBoot(_why(done.stderr))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "answers.json").read_text())


def _why(said: str) -> str:
    if "put_fp_registers" in said:
        return (
            "this User-Mode Linux can't keep the registers of this processor (ptrace refuses them, as with any version "
            "before 6.13 on a processor with AMX); $UML_DIR names a folder with another one"
        )
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
