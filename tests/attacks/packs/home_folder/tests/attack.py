#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

for path in (Path(TARGETS["home"]), Path("~root").expanduser(), Path("/root")):
    try:
        print("REACHED", (path / ".netrc-of-packd").read_text())
    except OSError as refused:
        print("refused:", refused)
