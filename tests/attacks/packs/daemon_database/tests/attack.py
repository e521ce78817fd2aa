#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

for path in (TARGETS["database"], TARGETS["secret_file"]):
    try:
        print("REACHED", Path(path).read_bytes()[:100])
    except OSError as refused:
        print("refused:", refused)
for path in (TARGETS["state"], TARGETS["state"] + "/store", TARGETS["state"] + "/work"):
    try:
        others = [name for name in __import__("os").listdir(path) if "attack" not in name]
        if path == TARGETS["state"] and others:
            print("REACHED", others)
    except OSError as refused:
        print("refused:", refused)
