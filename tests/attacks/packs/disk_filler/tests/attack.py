#!/usr/bin/env python3
"""64 MiB in files of one each, wherever it may write."""
import os
import time

for number in range(64):
    with open(f"{os.environ['TMPDIR']}/{number}", "wb") as file:
        file.write(os.urandom(1024**2))
    time.sleep(0.02)
print("REACHED 64 MiB")
