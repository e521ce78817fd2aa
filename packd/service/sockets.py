"""Sockets that were open before we started: systemd's socket activation, sd_listen_fds(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

_FIRST: Final = 3  # SD_LISTEN_FDS_START


def inherited(environ: Mapping[str, str], *, pid: int | None = None, first: int = _FIRST) -> list[socket.socket]:
    """The listening stream sockets that were handed over; none when the variables are meant for another process.

    Called once, early: the descriptors are ours from then on and no child gets them.
    """
    if environ.get("LISTEN_PID") != str(pid or os.getpid()) or not environ.get("LISTEN_FDS", "").isdigit():
        return []
    found = []
    for descriptor in range(first, first + int(environ["LISTEN_FDS"])):
        os.set_inheritable(descriptor, False)
        try:
            taken = socket.socket(fileno=descriptor)
        except OSError:  # no socket: something else that the unit stored
            continue
        if _listens(taken):
            found.append(taken)
        else:
            taken.detach()
    return found


def _listens(candidate: socket.socket) -> bool:
    try:
        return (
            candidate.type == socket.SOCK_STREAM and candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        )
    except OSError:
        return False
