"""What one suite may use, and how to tell from its end which limit stopped it."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packd.domain.reports import Limit, Reason

MIB: Final = 1024 * 1024

_SIGNALS: Final[dict[signal.Signals, Reason]] = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "disk"}

# A shell reports a child that signal N ended as exit status 128 + N.
_SHELL_SIGNAL: Final = 128

# The words of a process that was refused memory, a process or a file; most runtimes turn the refusal into one of their
# own errors and exit like any failing program.
_WORDS: Final[tuple[tuple[Reason, re.Pattern[str]], ...]] = (
    (
        "processes",  # before memory, which some runtimes suspect as well
        re.compile(
            r"can't start new thread|cannot fork|fork: (?:retry|resource)|fork failed: resource|"
            r"\b(?:spawn|fork)\b.{0,200}\bEAGAIN\b|pthread_create failed|unable to create (?:native|new) thread|"
            r"BlockingIOError: \[Errno 11\] Resource temporarily unavailable$",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        "memory",
        re.compile(
            r"\bMemoryError\b|OutOfMemoryError|NoMemoryError|bad_alloc|ENOMEM|out of memory|cannot allocate memory|"
            r"failed to allocate memory|memory allocation of \d+ bytes failed|buffer allocation failed|"
            r"cannot allocate \d+ bytes|^[^\s:]+: \d+: out of space$",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        "disk",
        re.compile(
            r"file too large|file size limit exceeded|no space left on device|disk quota exceeded|"
            r"\b(?:EFBIG|ENOSPC|EDQUOT)\b",
            re.IGNORECASE,
        ),
    ),
    ("cpu", re.compile(r"cpu time limit exceeded", re.IGNORECASE)),
)
_LAST_WORDS_LENGTH: Final = 2048


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a suite may take; 0 sets no limit."""

    memory_mb: int = 2048  # data segment of each process, MiB (not address space: node and java reserve that freely)
    processes: int = 256  # processes of the suite alive at once
    disk_mb: int = 1024  # size of each file written, and of all that a run's folder holds beside the pack, MiB
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


def limit_reached(exit_code: int, last_words: str, limits: Limits, *, cpu_s: float = 0.0) -> tuple[Reason, str] | None:
    """Which limit ended a process that failed, with a sentence; None when nothing points to one.

    A processor-time or file-size signal is proof, and so is being killed when one of its processes had used up its
    processor time (`cpu_s`): who ignores the signal is killed a little later. Otherwise the end of the output is all
    there is to go by. Only limits that were set are considered.
    """
    number = ending_signal(exit_code)
    proven = _SIGNALS.get(number) if number is not None else None
    if number == signal.SIGKILL and limits.cpu_s and cpu_s >= limits.cpu_s:
        proven = "cpu"
    sentences = _sentences(limits)
    if proven in sentences:
        return proven, sentences[proven]
    return limit_named(last_words, limits)


def limit_named(words: str, limits: Limits) -> tuple[Reason, str] | None:
    """The limit that the end of an output or of a message speaks of, with a sentence; None when there is no such."""
    end, sentences = words[-_LAST_WORDS_LENGTH:], _sentences(limits)
    named = (reason for reason, pattern in _WORDS if reason in sentences and pattern.search(end))
    reason = next(named, None)
    return (reason, sentences[reason]) if reason is not None else None


def sentence(limit: Limit, limits: Limits) -> str:
    """What is said of one that was met; "" where it is not set."""
    return _sentences(limits).get(limit, "")


def _sentences(limits: Limits) -> dict[Reason, str]:
    """One for each limit that is set and can stop a process from inside."""
    said: dict[Reason, tuple[int, str]] = {
        "memory": (limits.memory_mb, f"it seems to need more than {limits.memory_mb} MiB of memory in one process"),
        "disk": (limits.disk_mb, f"it seems to write more than {limits.disk_mb} MiB"),
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
