#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

for path in (TARGETS["database"], TARGETS["secret_file"]):
    try:
        print("REACHED", Path(path).read_bytes()[:100])
    except OSError as refused:
        print("refused:", refused)
for path, own in ((TARGETS["state"], "work"), (TARGETS["state"] + "/work", Path.cwd().parent.name)):
    try:
        others = [entry.name for entry in Path(path).iterdir() if entry.name != own]
        print("REACHED" if others else "empty:", path, others)
    except OSError as refused:
        print("refused:", refused)
