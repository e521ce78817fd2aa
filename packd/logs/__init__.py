"""Logs: one line for everything that happens, on stderr; for people on a terminal, for machines everywhere else.

Only the daemon and the offline commands call `configure`, once. Everybody else says `structlog.get_logger(__name__)`.
"""

from packd.logs.setup import Format, Level, configure

__all__ = ["Format", "Level", "configure"]
