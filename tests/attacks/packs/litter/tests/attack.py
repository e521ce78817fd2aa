#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

import os

for place in ("/tmp", "/var/tmp", "/dev/shm", TARGETS["home"]):
    try:
        Path(place, TARGETS["token"]).write_text("litter")
        print("wrote", place)
    except OSError as refused:
        print("refused:", refused)
