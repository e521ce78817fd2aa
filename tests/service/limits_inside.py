"""Runs inside the guest: drops packs that take too much, and writes down what became of them and of the daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

DEADLINE_S = 100.0
PACKS = Path("/var/lib/packd/packs")
CONFIG = (
    f"packs_dir: {PACKS}\nwatch: {{quiet_ms: 100}}\ntests: {{workers: 1, limits: {{memory_mb: 100, processes: 12}}}}\n"
)


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"{command} ended with {done.returncode}: {done.stderr}"


def packd(*arguments: str) -> dict:
    return json.loads(said("env", "PACKD_SOCKET=/run/packd/packd.sock", "/opt/packd/bin/packd", *arguments, "--json"))


def unit() -> dict[str, str]:
    told = said("systemctl", "show", "packd", "--property=MainPID,NRestarts,ActiveState,ControlGroup,OOMPolicy")
    return dict(line.split("=", 1) for line in told.splitlines())


def drop(pack: Path) -> None:
    fresh = PACKS / f".{pack.name}"
    shutil.copytree(pack, fresh)
    fresh.rename(PACKS / pack.name)


def main(folder: Path) -> None:
    Path("/etc/packd/packd.yaml").write_text(CONFIG)
    said("systemctl", "start", "packd")
    before = unit()
    answers = {"before": before, "isolation": packd("status")["isolation"], "runs": {}}
    refs = sorted(pack.name for pack in (folder / "packs").iterdir())
    for ref in refs:
        drop(folder / "packs" / ref)
    deadline = time.monotonic() + DEADLINE_S
    while len(answers["runs"]) < len(refs) and time.monotonic() < deadline:
        told = packd("events", "--type", "pack.test_*")
        ended = [event for event in told if event["type"] != "pack.test_started"]
        answers["runs"] = {event["data"]["pack"]["ref"]: event["data"] for event in ended}
        time.sleep(0.5)
    answers["reports"] = {ref: packd("tests", ref) for ref in refs}
    group = Path(f"/sys/fs/cgroup{before['ControlGroup']}")
    answers |= {
        "after": unit(),
        "groups": sorted(path.name for path in group.iterdir() if path.is_dir()),
        "daemon_in": Path(f"/proc/{before['MainPID']}/cgroup").read_text().strip(),
        "kernel": (group / "memory.events").read_text(),
        "journal": said("journalctl", "-u", "packd", "--no-pager", "-n", "60"),
    }
    (folder / "answers.json").write_text(json.dumps(answers))


main(Path(sys.argv[1]))
