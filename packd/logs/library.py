"""Libraries speak through the standard library's logging; what they say goes where everything goes."""

from __future__ import annotations

import logging
from typing import Final

import structlog

LIBRARIES: Final = (
    "sqlalchemy",
    "alembic",
    "apscheduler",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "aiohttp",
    "asyncio",
)

# Its warnings grow with the number of watches and cost more to format than to know; the watch room has its own ear.
_NOT_HEARD: Final = ("watchdog",)


class LibraryHandler(logging.Handler):
    """A record as an entry: `library.warned` with `logger` and `message`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises; a record that cannot be formatted is shown as it came."""
        try:
            message = record.getMessage()
        except Exception:
            message = f"{record.msg!r} {record.args!r}"
        log = structlog.get_logger()
        log.log(
            max(logging.DEBUG, min(record.levelno // 10 * 10, logging.CRITICAL)),
            "library.warned",
            logger=record.name,
            message=message,
            site=(record.pathname, record.lineno, record.funcName),
            **({"exc_info": record.exc_info} if record.exc_info else {}),
        )


def route_libraries() -> None:
    """Hear every library from `warning` on, and nobody twice."""
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, LibraryHandler)]
    root.addHandler(LibraryHandler())
    root.setLevel(logging.WARNING)
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
    for name in _NOT_HEARD:
        library = logging.getLogger(name)
        library.propagate = False
        if not library.handlers:
            library.addHandler(logging.NullHandler())  # without any, Python prints to stderr itself
    logging.captureWarnings(capture=True)
