"""What the scout's own process does, see `packd.scout`. Nothing here ever returns to the daemon's code."""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import traceback
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from packd.api.porch import Porch
from packd.flow.scouting import Surveyor
from packd.flow.targets import Targets
from packd.forked import stand_alone
from packd.orders import LONGEST_ORDERS, MOST_HANDED_ON, RELIEVED, SURVEYED, WAITING
from packd.registry.glimpse import glimpse
from packd.snapshot.digest import hex_of
from packd.watch.queue import watch

if TYPE_CHECKING:
    from packd.extent import Extent
    from packd.flow.scouting import Survey
    from packd.orders import Orders


def go_ahead(supposed: Extent, daemon: int, *, line: socket.socket, queue: int) -> NoReturn:
    """`daemon` is the process that this one was forked from; `line` leads there."""
    try:
        stand_alone("packd-scout", daemon, keep=(line.fileno(), queue))
        _scout(supposed, line, queue)
    except (BrokenPipeError, ConnectionResetError):
        pass  # nobody wants to know any more
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _scout(supposed: Extent, line: socket.socket, queue: int) -> None:
    """Most packs directories are as usual, and are looked at while the settings are still being read."""
    survey = Surveyor(supposed.folder(), partial(watch, queue)).survey()
    message, descriptors, _, _ = socket.recv_fds(line, LONGEST_ORDERS, 1)
    if not message:
        return
    orders: Orders = pickle.loads(message)  # noqa: S301  written by packd itself
    if orders.extent != supposed:
        survey = Surveyor(orders.extent.folder(), partial(watch, queue)).survey()
    survey = replace(survey, at_rest=_is_at_rest(survey, orders))
    _tell(survey, line)
    waiting = Porch(socket.socket(fileno=descriptors[0])).receive(until=line) if survey.at_rest else []
    line.recv(len(RELIEVED))  # closing a socket with something unread makes the other end fail before it has read all
    _hand_on(waiting, line)


def _is_at_rest(survey: Survey, orders: Orders) -> bool:
    """All is as it was, there is room for something new, and what is in use is where it is looked for."""
    before = glimpse(orders.state_dir / "packd.db")
    if before is None or not orders.may_vouch or not survey.is_as(before):
        return False
    if shutil.disk_usage(orders.state_dir).free < orders.floor_bytes:
        return False
    store = orders.state_dir / "store"
    return Targets(orders.state_dir / "active").are_right(
        {ref: store / hex_of(digest) for ref, digest in before.digests.items()}
    )


def _tell(survey: Survey, line: socket.socket) -> None:
    """In memory that is handed over: there may be more than a socket takes while nobody reads."""
    descriptor = os.memfd_create("survey", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        pickle.dump(survey, file, protocol=pickle.HIGHEST_PROTOCOL)
        file.flush()
        socket.send_fds(line, [SURVEYED], [descriptor])


def _hand_on(waiting: list[socket.socket], line: socket.socket) -> None:
    for first in range(0, len(waiting), MOST_HANDED_ON):
        some = waiting[first : first + MOST_HANDED_ON]
        socket.send_fds(line, [WAITING], [connection.fileno() for connection in some])
