#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

import os

results = Path("results")
results.mkdir()
os.symlink(TARGETS["foreign_report"], results / "file.xml")
os.symlink(os.path.dirname(TARGETS["foreign_report"]), results / "folder.xml")
os.symlink("/dev/zero", results / "endless.xml")
os.symlink("loop.xml", results / "loop.xml")
os.mkfifo(results / "pipe.xml")
os.mkdir(results / "folder")
os.symlink("../..", results / "folder" / "up")
