#!/usr/bin/env python3
"""Each of them within the limit, all together far beyond it."""
import os
import time

children = []
for _ in range(14):
    pid = os.fork()
    if pid == 0:
        room = b"x" * (48 * 1024**2)
        time.sleep(1.0)
        os._exit(0 if room else 1)
    children.append(pid)
statuses = [os.waitpid(pid, 0)[1] for pid in children]
if any(statuses):
    raise SystemExit("some were stopped: out of memory")
print("REACHED 672 MiB")
