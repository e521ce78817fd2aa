"""The benchmarks' command: `python tests/benchmarks/run.py [a b c d e f g h] [--json FILE] [--quick]`. See README.md."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent / "e2e"))  # how a daemon is started, how one listens to it

from table import Figure, table, to_dict

_BENCHES: dict[str, str] = {  # letter → module
    "a": "drop",
    "b": "start",
    "c": "throughput",
    "d": "idle",
    "e": "runs",
    "f": "commands",
    "g": "answers",
    "h": "hooks",
}


def main() -> None:
    asked = _arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is not compiled anew at every start
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # daemons and folders do not stay behind
    machine = _machine(asked.folder)
    print(_in_words(machine), flush=True)
    figures: list[Figure] = []
    failed: list[str] = []
    try:
        for bench in asked.benches or sorted(_BENCHES):
            print(f"({bench}) …", file=sys.stderr, flush=True)
            try:
                figures += _measured(bench, asked)
            except Exception:  # the others took their time, and take theirs, too
                traceback.print_exc()
                failed.append(bench)
    finally:
        print(table(figures))
        if asked.json is not None:
            found = {"machine": machine, "quick": asked.quick, "figures": [to_dict(figure) for figure in figures]}
            asked.json.write_text(json.dumps(found, indent=2) + "\n")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}; what went wrong is said above")


def _measured(bench: str, asked: argparse.Namespace) -> list[Figure]:
    """Imported when it is asked for: one that can't be imported leaves the others alone."""
    measure: Callable[..., list[Figure]] = importlib.import_module(_BENCHES[bench]).measure
    with tempfile.TemporaryDirectory(prefix="packd-bench-", dir=asked.folder) as folder:
        return measure(Path(folder), quick=asked.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benches", nargs="*", metavar="LETTER", help="which; without, all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single value there as well")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and no 10,000 packs: does it work at all")
    parser.add_argument("--folder", type=Path, help="measure on the file system of this folder (default: $TMPDIR)")
    asked = parser.parse_args()
    unknown = sorted(set(asked.benches) - _BENCHES.keys())
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}: choose from {', '.join(_BENCHES)}")
    return asked


def _machine(folder: Path | None) -> dict[str, Any]:
    """What the figures depend on, to be named beside them."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model[0].partition(":")[2].strip() if model else platform.machine(),
        "processors": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "kernel": platform.release(),
        "file_system": _file_system(folder or Path(tempfile.gettempdir())),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),  # of the last minute, before measuring
    }


def _file_system(folder: Path) -> str:
    """The type of the mount that the folder is on."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    on = [(len(mount[1]), mount[2]) for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    return max(on)[1]


def _in_words(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processors']} × {machine['processor']}, {machine['memory_gb']} GB, {machine['file_system']}, "
        f"Linux {machine['kernel']}, Python {machine['python']}, load {machine['load']} before"
    )


if __name__ == "__main__":
    main()
