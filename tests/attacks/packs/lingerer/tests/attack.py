#!/usr/bin/env python3
"""Not an attack: something to be in the middle of when the daemon is killed."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())
LINGER = [sys.executable, "-c", "import time; time.sleep(60)", TARGETS["token"]]

subprocess.Popen(LINGER)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, LINGER, {})
    os._exit(0)
os.wait()
time.sleep(60)
