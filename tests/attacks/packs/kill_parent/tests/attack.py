#!/usr/bin/env python3
import json
from pathlib import Path

TARGETS = json.loads(Path('targets.json').read_text())

import os
import signal
import time


def is_daemon(pid):
    try:
        return TARGETS["daemon"] in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return False


for pid in {os.getppid(), TARGETS["pid"]}:
    if is_daemon(pid) or pid == os.getppid() != 1:
        try:
            os.kill(pid, signal.SIGKILL)
            if is_daemon(pid):
                print("REACHED", pid)
        except OSError as refused:
            print("refused:", refused)
time.sleep(0.2)
