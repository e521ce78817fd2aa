"""A receiver that does as little as a receiver can: `python sink.py`, in a process of its own.

It prints its port, answers every POST with 204, and notes when the first byte of each came, by the clock that all processes
share. A line on stdin is a question: `reset`, `count`, or `times`, which is answered with {"path id": seconds} as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

_ANSWER = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """The other process, seen from here."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def reset(self) -> None:
        self._ask("reset")

    def wait(self, count: int, timeout_s: float = 120.0) -> None:
        """Until so many came."""
        deadline = time.monotonic() + timeout_s
        while (came := int(self._ask("count"))) < count:
            assert time.monotonic() < deadline, f"{came} of {count} came"
            time.sleep(0.002)

    def times(self) -> dict[str, float]:
        """`<path> <webhook-id>` → when its first byte came."""
        found: dict[str, float] = json.loads(self._ask("times"))
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _ask(self, word: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


class _Protocol(asyncio.Protocol):
    """One request after the other; the bodies are counted and thrown away."""

    def __init__(self, came: dict[str, float]) -> None:
        self._came = came
        self._buffer = b""
        self._began = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._began = time.monotonic()
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            length = int(_header(head, b"content-length"))
            if len(rest) < length:
                return
            path = head.split(b" ", 2)[1].decode()
            self._came.setdefault(f"{path} {_header(head, b'webhook-id').decode()}", self._began)
            self._buffer = rest[length:]
            self._transport.write(_ANSWER)
            self._began = time.monotonic()


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().index(b"\r\n" + name + b":") + len(name) + 3
    return head[at:].split(b"\r\n", 1)[0].strip()


async def serve() -> None:
    came: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(came), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        if line == b"reset\n":
            came.clear()
        print(json.dumps(came) if line == b"times\n" else len(came), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
