"""What one suite may use, and how to tell from its end which limit stopped it."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packd.domain.reports import Reason

MIB: Final = 1024 * 1024

# A shell reports a child that signal N ended as exit status 128 + N.
_SHELL_SIGNAL: Final = 128

# The last words of a process that was refused memory, a process or a file; most runtimes turn the refusal into one
# of their own errors and exit like any failing program.
_LAST_WORDS: Final[tuple[tuple[Reason, re.Pattern[str]], ...]] = (
    ("memory", re.compile(r"\bMemoryError\b|Cannot allocate memory|std::bad_alloc|heap out of memory|out of memory")),
    ("disk", re.compile(r"File too large|File size limit exceeded|EFBIG")),
    (
        "processes",
        re.compile(r"can't start new thread|[Cc]annot fork|fork: (retry|Resource)"),
    ),
    ("cpu", re.compile(r"CPU time limit exceeded")),
)
_LAST_WORDS_LENGTH: Final = 2048


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a suite may take; 0 sets no limit."""

    memory_mb: int = 2048  # data segment of each process, MiB (not address space: node and java reserve that freely)
    processes: int = 256  # processes of the suite alive at once
    disk_mb: int = 1024  # size of each file written, MiB
    output_kb: int = 1024  # kept of what it prints, KiB; a suite that prints sixteen times as much is stopped
    cpu_s: int = 600  # processor time of each process, seconds
    open_files: int = 1024  # descriptors of each process


def ending_signal(exit_code: int) -> signal.Signals | None:
    """The signal that ended a process, also when a shell in between reported it as 128 + N."""
    number = -exit_code if exit_code < 0 else exit_code - _SHELL_SIGNAL
    try:
        return signal.Signals(number)
    except ValueError:
        return None


def limit_reached(exit_code: int, last_words: str, limits: Limits) -> tuple[Reason, str] | None:
    """Which limit ended a process that failed, with a sentence; None when nothing points to one.

    A processor-time or file-size signal is proof; otherwise the end of the output is all there is to go by, and only
    limits that were set are considered.
    """
    by_signal = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "disk"}.get(ending_signal(exit_code) or signal.SIGKILL)
    sentences = _sentences(limits)
    for reason, words in _LAST_WORDS:
        if reason in sentences and (reason == by_signal or words.search(last_words[-_LAST_WORDS_LENGTH:])):
            return reason, sentences[reason]
    return None


def _sentences(limits: Limits) -> dict[Reason, str]:
    """One for each limit that is set and can stop a process from inside."""
    said: dict[Reason, tuple[int, str]] = {
        "memory": (limits.memory_mb, f"it seems to need more than {limits.memory_mb} MiB of memory in one process"),
        "disk": (limits.disk_mb, f"it tried to write a file larger than {limits.disk_mb} MiB"),
        "processes": (limits.processes, f"it seems to need more than {limits.processes} processes"),
        "cpu": (limits.cpu_s, f"it used more than {limits.cpu_s} s of processor time"),
    }
    return {
        reason: f"{sentence}; use less, or raise tests.limits.{_SETTINGS[reason]}"
        for reason, (limit, sentence) in said.items()
        if limit
    }


_SETTINGS: Final[dict[Reason, str]] = {
    "memory": "memory_mb",
    "disk": "disk_mb",
    "processes": "processes",
    "cpu": "cpu_s",
    "output": "output_kb",
}
