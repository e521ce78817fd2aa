"""What a suite prints: the beginning and the end are kept, the middle is let go, all of it is counted."""

from __future__ import annotations

from collections import deque
from typing import Final

from packd.testrun.parsers.text import decoded

_HEAD_SHARE: Final = 4  # a quarter of what is kept is the beginning


class Transcript:
    """Keeps at most `limit` bytes of a stream of any length."""

    def __init__(self, limit: int) -> None:
        self.written = 0  # bytes that came in
        self._head_limit = limit // _HEAD_SHARE
        self._tail_limit = limit - self._head_limit
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0

    def add(self, data: bytes) -> None:
        self.written += len(data)
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data)
            self._tail_size += len(data)
        while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_limit:
            self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """Plain text; a line in the middle says how much is missing, if anything is."""
        tail = b"".join(self._tail)[-self._tail_limit :]
        missing = self.written - len(self._head) - len(tail)
        if not missing:
            return decoded(bytes(self._head) + tail)
        return f"{decoded(bytes(self._head))}\n[… {missing} bytes are left out here …]\n{decoded(tail)}"
