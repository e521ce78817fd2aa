"""systemd's journal, by its own datagrams: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/"""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

from packd.logs.catalog import message_id
from packd.logs.output import Entry, Output
from packd.logs.words import sentence

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "packd"

_PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # syslog(3)
_NOT_IN_NAME: Final = re.compile(r"[^A-Z0-9_]")
_NAME_LENGTH: Final = 64
_PATIENCE_S: Final = 2.0  # for a journal that does not read
_TOO_LARGE: Final = (errno.EMSGSIZE, errno.ENOBUFS)


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Is this stream what systemd connected to the journal? `$JOURNAL_STREAM`, systemd.exec(5)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Journal:
    """Entries with all their fields; when the journal is away, `otherwise` gets them."""

    def __init__(self, path: str = SOCKET, *, otherwise: Output) -> None:
        self._path = path
        self._otherwise = otherwise
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_PATIENCE_S)

    @staticmethod
    def answers(path: str) -> bool:
        """Is anybody listening there?"""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(path)
            except OSError:
                return False
        return True

    def write(self, entry: Entry) -> None:
        try:
            with self._lock:
                self._send(datagram(entry))
        except OSError:
            self._otherwise.write(entry)

    def close(self) -> None:
        """Close the socket; whoever still writes gets through by `otherwise`."""
        with self._lock:
            self._socket.close()

    def _send(self, payload: bytes) -> None:
        try:
            self._socket.sendto(payload, self._path)
        except OSError as failure:
            if failure.errno not in _TOO_LARGE:
                raise
            self._send_by_file(payload)

    def _send_by_file(self, payload: bytes) -> None:
        """What no datagram holds goes as a sealed file in memory, attached to an empty one."""
        memory = os.memfd_create("packd-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(memory, "wb", closefd=False) as stream:
                stream.write(payload)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
            attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))]
            self._socket.sendmsg([], attached, 0, self._path)
        finally:
            os.close(memory)


def datagram(entry: Entry) -> bytes:
    """One journal entry."""
    return b"".join(_field(name, value) for name, value in fields(entry))


def fields(entry: Entry) -> Iterator[tuple[str, str]]:
    """The journal's own fields, then ours: every key of the entry as `PACKD_<KEY>`."""
    message = sentence(entry)
    yield "MESSAGE", f"{message}\n{entry['exception']}" if entry.get("exception") else message
    yield "PRIORITY", str(_PRIORITIES.get(str(entry.get("level")), 6))
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    if identity := message_id(str(entry.get("event"))):
        yield "MESSAGE_ID", identity
    if site := entry.get("site"):
        yield from zip(("CODE_FILE", "CODE_LINE", "CODE_FUNC"), map(str, site), strict=True)
    for key, value in entry.items():
        if key not in ("timestamp", "level", "site", "exception") and value is not None:
            yield _name(key), value if isinstance(value, str) else _json(value)


def _name(key: str) -> str:
    return f"PACKD_{_NOT_IN_NAME.sub('_', key.upper())}"[:_NAME_LENGTH]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
