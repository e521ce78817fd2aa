#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

for path in (TARGETS["drop"], TARGETS["packs"]):
    try:
        (Path(path) / "written").write_text("by the attack")
        print("REACHED", path)
    except OSError as refused:
        print("refused:", refused)
