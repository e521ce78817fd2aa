"""One line on stderr that says what is going on while one waits; nothing where nobody looks."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from packd.cli.screen import wants_colour
from packd.cli.text import duration, fit, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_EVERY_S: Final = 0.1
_ERASE: Final = "\r\x1b[K"
_ENTER: Final = "\x1b[?1049h\x1b[?25l"  # another screen, no cursor (xterm's control sequences)
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_CLEAR: Final = "\x1b[H\x1b[2J"


class Progress:
    """What the line says. Cases may be told from any thread."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._counts = {"passed": 0, "failed": 0, "skipped": 0}
        self._told = 0
        self._told_of: set[str] = set()  # suites whose cases are counted
        self._latest = ""
        self._screen = threading.Lock()  # one writes at a time: the line, or what stands above it
        self._shown = False

    @property
    def told(self) -> int:
        """Cases so far."""
        with self._lock:
            return self._told

    def aside(self, tell: Callable[[], None]) -> None:
        """Print something above the line; `tell` does the printing."""
        with self._screen:
            if self._shown:
                _control(sys.stderr, _ERASE)
            tell()

    def draw(self, spinner: str) -> None:
        """Show the line as it is now."""
        with self._screen:
            self._shown = True
            _control(sys.stderr, _ERASE)
            click.echo(f"{spinner} {fit(self.text(), _columns() - 3)}", err=True, nl=False)

    def at(self, subject: str) -> None:
        """Something else is done now."""
        with self._lock:
            self._subject = subject

    def on_message(self, name: str, said: dict[str, Any]) -> None:
        """What a run tells: a `case` or `suite` that ended, or `progress` in words while something else takes its time."""
        if name == "case":
            self.on_case(str(said["name"]), str(said["status"]), suite=str(said["suite"]))
        elif name == "suite":
            self._on_suite(said)
        elif name == "progress":
            with self._lock:
                self._latest = str(said["text"])

    def on_case(self, name: str, status: str, *, suite: str = "") -> None:
        with self._lock:
            self._told += 1
            self._told_of.add(suite)
            self._counts["failed" if status == "error" else status] += 1
            self._latest = name

    def _on_suite(self, said: dict[str, Any]) -> None:
        """One that ended without telling of its cases counts by what it says in the end."""
        with self._lock:
            if said["suite"] not in self._told_of:
                for name in self._counts:
                    self._counts[name] += int(said[name])
                self._latest = str(said["suite"])

    def text(self) -> str:
        """E.g. `testing core · 12 passed · 1.34 s · test_greets`."""
        with self._lock:
            counts = [f"{count} {name}" for name, count in self._counts.items() if count]
            latest, subject = self._latest, self._subject
        took = duration((time.monotonic() - self._began) * 1000)
        return one_line(" · ".join(part for part in (subject, *counts, took, latest) if part))


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


@contextmanager
def full_screen() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Hands out a function that shows one frame after another; what was on the screen before comes back afterwards.

    In a pipe one frame follows the other, with an empty line between them.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield _one_below_the_other
        return
    _control(sys.stdout, _ENTER)
    try:
        yield _in_place
    finally:
        _control(sys.stdout, _LEAVE)


def _in_place(show: Callable[[], None]) -> None:
    _control(sys.stdout, _CLEAR)
    show()


def _one_below_the_other(show: Callable[[], None]) -> None:
    show()
    click.echo()
    sys.stdout.flush()


def _draw(shown: Progress, stop: threading.Event) -> None:
    frame, colour = 0, "cyan" if wants_colour() else None  # click's own setting is that of another thread
    while not stop.wait(_EVERY_S):
        shown.draw(click.style(_FRAMES[frame % len(_FRAMES)], fg=colour, reset=colour is not None))
        frame += 1
    _control(sys.stderr, _ERASE)


def _control(stream: TextIO, sequence: str) -> None:
    """Not by click, which takes control sequences for colours and drops them under NO_COLOR."""
    stream.write(sequence)
    stream.flush()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
