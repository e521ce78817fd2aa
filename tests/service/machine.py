"""A machine with a real systemd of its own, in throw-away namespaces, and packd installed in it as its service."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY.parent / "shared" / "tools" / "boot-systemd.sh"
DEADLINE_S = 90.0
PYTHON, SITE = "/opt/packd-test/python", "/opt/packd-test/site"  # where the interpreter and the libraries appear inside

INSTALL = f"""
set -e
chmod 755 /opt /opt/packd-test
echo {PYTHON}/lib > /etc/ld.so.conf.d/packd-test.conf; ldconfig
$1 -m venv --without-pip /opt/packd
site=$(echo /opt/packd/lib/python3.*/site-packages)
cp -a /opt/packd-test/repository/packd "$site"/  # with the times, by which Python knows its compiled files
mkdir -p "$site"/packd/service/shipped  # as the wheel has it
cp -r /opt/packd-test/repository/systemd /opt/packd-test/repository/config "$site"/packd/service/shipped/
echo "import site; site.addsitedir('{SITE}')" > "$site"/packd-test.pth
printf '#!/opt/packd/bin/python3\\nfrom packd.__main__ import main\\nmain()\\n' > /opt/packd/bin/packd
chmod 755 /opt/packd/bin/packd
"""


def what_is_missing() -> str | None:
    """Why no machine can be booted here; None when it can."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    if not TOOL.is_file():
        return f"the tool that boots a systemd is missing: {TOOL}"
    missing = [name for name in ("unshare", "nsenter", "setpriv", "pivot_root", "ip", "dbus-daemon", "bwrap")
               if shutil.which(name) is None]  # fmt: skip
    if not any(Path(path).exists() for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")):
        missing.append("systemd")
    return f"not installed: {', '.join(missing)}" if missing else None


def places() -> tuple[dict[Path, str], Path]:
    """What of this machine appears inside, and where; and the interpreter that is used there."""
    binds = {REPOSITORY: "/opt/packd-test/repository", Path(sysconfig.get_path("purelib")): SITE}
    python = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    if python.exists():
        return binds, python
    return binds | {Path(sys.base_prefix): PYTHON}, Path(PYTHON, "bin", "python3")  # it may lie in somebody's home


class Machine:
    """Boot it with `start`; `run` is a command as root inside."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self) -> None:
        binds, python = places()
        options = [part for source, place in binds.items() for part in ("--ro-bind", f"{source}:{place}")]
        self._tool("start", "--name", self.name, "--tmp-size", "1g", *options)
        self.run("bash", "-c", INSTALL, "install", str(python))

    def stop(self) -> None:
        self._tool("stop", self.name, check=False)

    def run(self, *command: str, check: bool = True, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """As root inside; with `check`, a failure is told with everything that was said."""
        return self._tool("exec", self.name, "--", *command, check=check, input=input)

    def shell(self, script: str, *, check: bool = True) -> str:
        return self.run("bash", "-ec", script, check=check).stdout

    def write(self, path: str, text: str, mode: str = "644") -> None:
        self.run("bash", "-ec", f'mkdir -p "$(dirname "{path}")"; cat > "{path}"; chmod {mode} "{path}"', input=text)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """What systemd knows about a unit."""
        told = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)

    def packd(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command line, over the service's socket."""
        return self.run("env", "PACKD_SOCKET=/run/packd/packd.sock", "/opt/packd/bin/packd", *arguments, check=check)

    def journal(self, *arguments: str) -> list[dict[str, Any]]:
        """Entries, as journald has them."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--output=json", "--all", "--no-pager", *arguments).stdout.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def drop(self, pack: Path, folder: str = "/var/lib/packd/packs") -> None:
        """Copy a pack in beside the packs directory and rename it into place."""
        packed = subprocess.run(
            ["tar", "-c", "-C", str(pack.parent), pack.name], capture_output=True, check=True
        ).stdout
        self.run(
            "bash",
            "-ec",
            'd=$(mktemp -d "$1/.drop.XXXX"); base64 -d | tar -x --no-same-owner -C "$d"; chmod -R a+rX "$d"; '
            'rm -rf "$1/$2"; mv "$d/$2" "$1/"; rmdir "$d"',
            "drop",
            folder,
            pack.name,
            input=base64.b64encode(packed).decode(),
        )

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        def journal() -> str:
            return self.run("journalctl", "-u", "packd", "-n", "40", "--no-pager", check=False).stdout

        wait_until(condition, lambda: f"{what}; the journal ends with\n{journal()}", deadline_s=DEADLINE_S)

    def wait_active(self, ref: str, version: str) -> None:
        """Until this version of the pack is the one in use."""

        def active() -> bool:
            answer = self.packd("show", ref, "--json", check=False)
            if answer.returncode:
                return False
            in_use = json.loads(answer.stdout)["active"]
            return bool(in_use) and in_use["version"] == version

        self.wait_until(active, f"{ref} {version} to be active")

    def _tool(self, *arguments: str, check: bool = True, input: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(TOOL), *arguments], capture_output=True, text=True, input=input, timeout=180, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done
