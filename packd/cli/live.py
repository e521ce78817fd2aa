"""One line on stderr that says what is going on while one waits; nothing where nobody looks."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from packd.cli.text import duration, fit, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_EVERY_S: Final = 0.1
_ERASE: Final = "\r\x1b[K"


class Progress:
    """What the line says. Cases may be told from any thread."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._counts = {"passed": 0, "failed": 0, "skipped": 0}
        self._latest = ""

    def on_message(self, name: str, said: dict[str, Any]) -> None:
        """What a run tells: a `case` that ended, or `progress` in words while something else takes its time."""
        if name == "case":
            self.on_case(str(said["name"]), str(said["status"]))
        elif name == "progress":
            with self._lock:
                self._latest = str(said["text"])

    def on_case(self, name: str, status: str) -> None:
        with self._lock:
            self._counts["failed" if status == "error" else status] += 1
            self._latest = name

    def text(self) -> str:
        """E.g. `testing core · 12 passed · 1.34 s · test_greets`."""
        with self._lock:
            counts = [f"{count} {name}" for name, count in self._counts.items() if count]
            latest = self._latest
        took = duration((time.monotonic() - self._began) * 1000)
        return one_line(" · ".join(part for part in (self._subject, *counts, took, latest) if part))


@contextmanager
def progress(subject: str) -> Iterator[Progress]:
    """Shows the line until the block is left, then takes it away."""
    shown = Progress(subject)
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield shown
        return
    stop = threading.Event()
    drawing = threading.Thread(target=_draw, args=(shown, stop), name="progress", daemon=True)
    drawing.start()
    try:
        yield shown
    finally:
        stop.set()
        drawing.join()


def _draw(shown: Progress, stop: threading.Event) -> None:
    frame = 0
    while not stop.wait(_EVERY_S):
        spinner = click.style(_FRAMES[frame % len(_FRAMES)], fg="cyan")
        _write(f"{_ERASE}{spinner} {fit(shown.text(), _columns() - 3)}")
        frame += 1
    _write(_ERASE)


def _write(text: str) -> None:
    click.echo(text, err=True, nl=False)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
