"""The runner's end of the pipe to packd; parsers/case_stream.py is the other end."""

# Executed by the pack's interpreter: nothing newer than Python 3.8, nothing but the standard library.

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from json import dumps
from os import fstat, getpid, write
from typing import Any

# Functions are taken by their names at the beginning: tests put others into the modules, and may forget them there.

_TEXT_LIMIT = 16384  # characters of a message or an output that are sent
_MUCH = 16 * 1024 * 1024  # bytes told in all, more than packd keeps of the cases of a suite; from then on:
_LITTLE = 200  # characters of each


def take_python_path() -> None:
    """The pack's own modules, behind those of Python and before what was installed: an action may be called email.py."""
    path = os.environ.pop("PACKD_PYTHONPATH", "")
    os.environ["PYTHONPATH"] = path  # for what the tests start
    at = before_installed()
    sys.path[at:at] = path.split(os.pathsep)


def before_installed() -> int:
    """The place in sys.path that is behind Python's own modules and before what was installed."""
    installed = (at for at, place in enumerate(sys.path) if place.endswith(("site-packages", "dist-packages")))
    return next(installed, len(sys.path))


def pass_for(module: str) -> None:
    """For `python -m module`, whose processes by multiprocessing do not import what runs them; this they could not."""
    sys.modules["__main__"].__spec__ = ModuleSpec(f"{module}.__main__", None)


class CaseStream:
    """Tells of cases as they end. Silent in processes that the tests fork, and when the tests closed the pipe."""

    def __init__(self) -> None:
        self._fd = int(os.environ.pop("PACKD_EVENTS_FD", "-1"))
        self._owner = getpid()
        self._pipe = self._identity()
        self._told = 0  # bytes
        if self._pipe is not None:
            os.set_inheritable(self._fd, False)

    def start(self, name: str) -> None:
        self._say({"start": name})

    def case(self, name: str, status: str, **details: Any) -> None:
        """`details`: duration_ms, error_message, stdout, stderr."""
        most = _TEXT_LIMIT if self._told < _MUCH else _LITTLE
        known = {key: _ending(value, most) for key, value in details.items() if value}
        self._say({"case": dict(known, name=name, status=status)})

    def unavailable(self, sentence: str) -> None:
        self._say({"unavailable": sentence})

    def end(self) -> None:
        self._say({"end": True})

    def _say(self, words: dict[str, Any]) -> None:
        # A test may close every descriptor and open its own under the same number.
        if getpid() != self._owner or self._pipe is None or self._identity() != self._pipe:
            return
        line = dumps(words).encode() + b"\n"
        self._told += len(line)
        try:
            while line:
                line = line[write(self._fd, line) :]
        except OSError:
            self._pipe = None

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = fstat(self._fd)
        except (OSError, OverflowError):
            return None
        return status.st_dev, status.st_ino


def _ending(value: Any, most: int) -> Any:
    return value[-most:] if isinstance(value, str) else value
