"""Which processors an entry goes through, and where it ends."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import structlog

from packd.domain.failures import Failure
from packd.domain.moments import rfc3339
from packd.logs.console import Console
from packd.logs.journal import SOCKET, Journal, is_journal
from packd.logs.library import route_libraries
from packd.logs.output import Entry, JsonLines, Output
from packd.logs.redact import redact

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

Format = Literal["auto", "console", "json", "journal"]
Level = Literal["debug", "info", "warning", "error"]

log = structlog.get_logger(__name__)

_SAME_LEVEL: Final = {"warn": "warning", "exception": "error", "fatal": "critical"}
_NUMBERS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_OURS: Final = ("structlog", "packd.logs", "logging")  # frames between the caller and here


class _Outlet:
    """What structlog takes for the logger proper. There is one, so that loggers that are cached follow `configure`."""

    output: Output = JsonLines(sys.stderr)
    least: int = 20  # the least level that is shown

    def say(self, entry: Entry) -> None:
        self.output.write(entry)

    debug = info = warning = error = critical = msg = say


_OUTLET: Final = _Outlet()
_CHAIN: Final[list[Processor]] = []  # changed in place, for the same reason


def configure(
    format: Format = "auto",  # noqa: A002  the setting's own name
    level: Level = "info",
    stream: TextIO | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    journal_socket: str = SOCKET,
) -> Format:
    """Send every entry of at least `level` to `stream` (stderr). Returns the format that was chosen for `auto`.

    Libraries that use the standard library's logging are heard from `warning` on. Calling it again redirects all
    loggers, those already used as well. `journal` without a journal gives JSON lines.
    """
    stream = sys.stderr if stream is None else stream
    chosen = _chosen(stream, environ, journal_socket) if format == "auto" else format
    if chosen == "journal" and not Journal.answers(journal_socket):
        chosen = "json"
    before, _OUTLET.output = _OUTLET.output, _output(chosen, stream, environ, journal_socket)
    before.close()
    _OUTLET.least = _NUMBERS[level]
    _CHAIN[:] = _processors(with_site=chosen == "journal")
    structlog.configure(
        processors=_CHAIN,
        wrapper_class=structlog.make_filtering_bound_logger("debug"),  # cached loggers keep it; _heard knows the level
        logger_factory=lambda *_: _OUTLET,
        cache_logger_on_first_use=True,
    )
    route_libraries()
    threading.excepthook = _thread_died
    return chosen


def _thread_died(died: threading.ExceptHookArgs) -> None:
    """Nobody caught it. Python itself would print a traceback between the entries."""
    if died.exc_type is not SystemExit:
        log.error(
            "thread.died",
            thread=died.thread.name if died.thread is not None else None,
            exc_info=(died.exc_type, died.exc_value, died.exc_traceback),
        )


def _chosen(stream: TextIO, environ: Mapping[str, str], journal_socket: str) -> Format:
    if is_journal(stream, environ) and Journal.answers(journal_socket):
        return "journal"
    return "console" if _is_terminal(stream) else "json"


def _output(chosen: Format, stream: TextIO, environ: Mapping[str, str], journal_socket: str) -> Output:
    if chosen == "console":
        plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or not _is_terminal(stream)
        return Console(stream, colours=not plain)
    lines = JsonLines(stream)
    return Journal(journal_socket, otherwise=lines) if chosen == "journal" else lines


def _processors(*, with_site: bool) -> list[Processor]:
    return [
        _heard,
        structlog.contextvars.merge_contextvars,
        _stamp,
        *([_add_site] if with_site else []),
        _say_refusal,
        structlog.processors.format_exc_info,
        lambda _logger, _method, entry: ((_ordered(entry),), {}),
    ]


def _heard(_logger: Any, method: str, entry: EventDict) -> EventDict:
    if _NUMBERS[_SAME_LEVEL.get(method, method)] < _OUTLET.least:
        raise structlog.DropEvent
    return entry


def _stamp(_logger: Any, method: str, entry: EventDict) -> EventDict:
    entry["timestamp"] = rfc3339(time.time())
    entry["level"] = _SAME_LEVEL.get(method, method)
    return entry


def _say_refusal(_logger: Any, _method: str, entry: EventDict) -> EventDict:
    """What was refused has its sentence; where in the code that happened helps nobody."""
    if entry.get("exc_info") is True and isinstance(refusal := sys.exc_info()[1], Failure):
        del entry["exc_info"]
        entry.setdefault("detail", refusal.sentence)
    return entry


def _add_site(_logger: Any, _method: str, entry: EventDict) -> EventDict:
    """Where in the code it was said; a library's own record already knows."""
    if "site" not in entry:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
            frame = frame.f_back
        entry["site"] = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
    return entry


def _ordered(entry: EventDict) -> Entry:
    """When, how bad and what come first, about whom next; without secrets."""
    first = {key: entry.pop(key) for key in ("timestamp", "level", "event", "pack", "revision") if key in entry}
    return redact(first | dict(entry))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
