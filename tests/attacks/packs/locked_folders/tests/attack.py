#!/usr/bin/env python3
"""So that the clean-up fails: no modes, and deeper than a path can name."""
import os

top = os.getcwd()
for _ in range(400):
    os.mkdir("folder" * 3)
    os.chdir("folder" * 3)
os.chdir(top)
os.makedirs("a/b/c")
open("a/b/c/file", "w").close()
for path in ("a/b/c/file", "a/b/c", "a/b", "a", "tests", "."):
    os.chmod(path, 0)
print("Total Tests: 1 / Passed: 1 / Failed: 0")
