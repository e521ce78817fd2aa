"""What a start can't leave out, bare: stat everything below a folder, and have the kernel watch each folder.

A program for a fresh process: `python bare_start.py FOLDER` prints the seconds of both, and how much there was. With
`--stay` it then does what watching can't leave out: wait for the kernel, and see once a second that the folder is there.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import sys
import time
from pathlib import Path

# IN_MODIFY … IN_MOVE_SELF without IN_OPEN, IN_ACCESS and IN_CLOSE_NOWRITE, inotify(7): about what packd listens to.
_MASK = 0x00000002 | 0x00000004 | 0x00000008 | 0x000003C0 | 0x00000400 | 0x00000800


def stat_walk(top: str) -> tuple[list[str], int]:
    """Every folder, and how many entries were looked at."""
    folders, entries, todo = [], 0, [top]
    while todo:
        folder = todo.pop()
        folders.append(folder)
        with os.scandir(folder) as found:
            for entry in found:
                entry.stat(follow_symlinks=False)
                entries += 1
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return folders, entries


def watch(folders: list[str]) -> int:
    """Returns the inotify descriptor; the watches go with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    for folder in folders:
        if libc.inotify_add_watch(descriptor, os.fsencode(folder), _MASK) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    return int(descriptor)


def stay(top: str, descriptor: int) -> None:
    """For ever."""
    root = Path(top)
    while True:
        select.select([descriptor], [], [], 1.0)
        root.stat()


def main(top: str, *options: str) -> None:
    began = time.monotonic()
    folders, entries = stat_walk(top)
    walked = time.monotonic()
    descriptor = watch(folders)
    watched = time.monotonic()
    found = {"walk_s": walked - began, "watch_s": watched - walked, "folders": len(folders), "entries": entries}
    print(json.dumps(found), flush=True)
    if "--stay" in options:
        stay(top, descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
