"""The line that says what is going on: on a terminal only, on one line, and gone afterwards."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from packd.cli.live import Progress
from packd.cli.registering import fetching

_WAITING = """
import sys
from packd.cli.live import progress
with progress("testing core") as line:
    line.on_case("test_\\x1b[2Jgreets", "passed")
    line.on_case("test_other", "error")
    sys.stdin.read()
print("after")
"""


def seen(until: bytes, **environ: str) -> str:
    """What a terminal gets of it; what is waited for ends when `until` was shown."""
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-c", _WAITING],
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **environ},
    )
    os.close(theirs)
    assert run.stdin is not None
    text = b""
    with suppress(OSError):  # Linux says so when the last writer has gone
        while True:
            if until in text:
                run.stdin.close()
            text += os.read(ours, 4096)
    os.close(ours)
    assert run.wait() == 0
    return text.decode()


def test_on_a_terminal() -> None:
    """What was counted so far, the time and the latest case; taken away before anything else is printed."""
    text = seen(b"1 failed", TERM="xterm")
    assert "testing core · 1 passed · 1 failed · " in text
    assert text.endswith("\r\x1b[Kafter\r\n")
    assert "\n" not in text[: text.index("after")]


def test_without_colours() -> None:
    """Where nobody wants them the line only erases itself."""
    assert "\x1b[36m" in seen(b"1 failed", TERM="xterm", NO_COLOR="")
    assert "\x1b" not in seen(b"1 failed", TERM="xterm", NO_COLOR="1").replace("\r\x1b[K", "")


def test_not_on_a_dumb_one() -> None:
    """A terminal that can't erase gets nothing of it."""
    assert seen(b"", TERM="dumb") == "after\r\n"


def test_not_in_a_pipe() -> None:
    """Nor does a file."""
    run = subprocess.run(
        [sys.executable, "-c", _WAITING], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == ("after\n", "")


def test_a_suite_without_cases_counts_by_its_totals() -> None:
    """One whose cases were told is not counted again, nor are totals taken for cases that were told."""
    line = Progress("testing core")
    line.on_message("suite", {"suite": "shell", "status": "failed", "total": 5, "passed": 4, "failed": 1, "skipped": 0})
    line.on_message("case", {"suite": "python", "name": "test_a", "status": "passed"})
    line.on_message(
        "suite", {"suite": "python", "status": "passed", "total": 1, "passed": 1, "failed": 0, "skipped": 0}
    )
    assert line.text().startswith("testing core · 5 passed · 1 failed · ")
    assert line.told == 1


@pytest.mark.parametrize("status", ["passed", "failed", "error", "skipped"])
def test_every_status_counts(status: str) -> None:
    """Errors count as failed, as in reports."""
    line = Progress("x")
    line.on_case("a", status)
    assert f"1 {'failed' if status == 'error' else status}" in line.text()


def test_names_are_safe() -> None:
    """A case's name can't steer the terminal."""
    line = Progress("x")
    line.on_case("a\x1b[2J\nb", "passed")
    assert "\x1b" not in line.text()
    assert "\n" not in line.text()


def test_what_is_done_changes() -> None:
    """While a pack is fetched the line says how far, and then what is tested."""
    line = Progress("installing netops")
    line.at(fetching("fetching core from https://h", "fetched 1.0 of 4.0 MiB (25 %)"))
    assert line.text().startswith("███░░░░░░░░░ fetched 1.0 of 4.0 MiB (25 %) · fetching core from https://h · ")
    assert fetching("fetching core", "Receiving objects: 100% (3/3)").startswith("████████████ Receiving")
    assert fetching("fetching core", "writing out") == "writing out · fetching core"
    line.at("testing core#1")
    line.on_case("test_greets", "passed")
    assert line.text().startswith("testing core#1 · 1 passed")
