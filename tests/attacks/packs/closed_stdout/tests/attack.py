#!/usr/bin/env python3
"""Whoever waits for the end of the output learns nothing."""
import os
import time

for descriptor in range(64):
    try:
        os.close(descriptor)
    except OSError:
        pass
time.sleep(0.1)
os._exit(3)
