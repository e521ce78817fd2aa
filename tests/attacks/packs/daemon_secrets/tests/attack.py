#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

for process in Path("/proc").glob("[0-9]*"):
    try:
        if TARGETS["daemon"] not in (process / "cmdline").read_text(errors="replace"):
            continue
    except OSError:
        continue
    print("REACHED the daemon's command line")
    for name in ("environ", "maps"):
        try:
            said = (process / name).read_text(errors="replace")
            print("REACHED", name, [word for word in said.split("\0") if "hush" in word])
        except OSError as refused:
            print("refused:", refused)
    try:
        with open(process / "mem", "rb"):
            print("REACHED the daemon's memory")
    except OSError as refused:
        print("refused:", refused)
