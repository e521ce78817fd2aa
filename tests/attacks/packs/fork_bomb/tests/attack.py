#!/usr/bin/env python3
"""Two hundred processes at most, each in a session of its own."""
import os
import time

for _ in range(200):
    try:
        if os.fork() == 0:
            os.setsid()
            time.sleep(30)
            os._exit(0)
    except BlockingIOError as refused:
        raise SystemExit(f"fork: {refused.strerror}, fork: Resource temporarily unavailable")
time.sleep(15)
