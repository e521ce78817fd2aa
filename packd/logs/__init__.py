"""Logs: one line for everything that happens, on stderr; for people on a terminal, for machines everywhere else.

Only the daemon and the offline commands call `configure`, once. Everybody else says `structlog.get_logger(__name__)`.
"""

import sys

if "rich" not in sys.modules:
    # structlog would load it, where it is installed, for renderers that are not used here: a tenth of a start.
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]

from packd.logs.setup import Format, Level, configure

__all__ = ["Format", "Level", "configure"]
