#!/usr/bin/env python3
"""And ignores the signal that asks it to stop."""
import signal

signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True:
    pass
