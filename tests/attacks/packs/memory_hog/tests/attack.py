#!/usr/bin/env python3
"""All at once, and when that is refused piece by piece: up to 1 GiB, which is more than it may have."""
try:
    whole = bytearray(10 * 1024**3)
    print("REACHED 10 GiB", len(whole))
except MemoryError:
    pieces = []
    for number in range(32):
        pieces.append(b"x" * (32 * 1024**2 + number))
    print("REACHED 1 GiB")
