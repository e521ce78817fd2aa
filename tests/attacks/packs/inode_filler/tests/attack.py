#!/usr/bin/env python3
"""8,000 of them: none takes room, but each takes an inode."""
import os
import time

for folder in range(80):
    os.mkdir(f"many{folder}")
    for number in range(100):
        open(f"many{folder}/{number}", "w").close()
    time.sleep(0.01)
time.sleep(0.5)
print("REACHED 8,000 files")
