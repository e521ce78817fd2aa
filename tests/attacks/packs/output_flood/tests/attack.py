#!/usr/bin/env python3
"""As fast as it is read."""
import os

line = b"x" * 65535 + b"\n"
for _ in range(1024**3 // len(line)):
    os.write(1, line)
print("REACHED 1 GiB")
