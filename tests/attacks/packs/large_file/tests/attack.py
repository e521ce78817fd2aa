#!/usr/bin/env python3
"""64 MiB in one."""
with open("large", "wb") as file:
    for _ in range(64):
        file.write(b"x" * 1024**2)
print("REACHED 64 MiB")
