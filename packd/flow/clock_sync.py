"""Is the clock of this machine kept right? A receiver refuses a webhook whose timestamp is five minutes off.

The kernel knows: whoever keeps the clock (chrony, ntpd, systemd-timesyncd, a hypervisor's agent) tells it by adjtimex(2),
and it forgets after a while without news. Asking changes nothing and needs no right.
"""

from __future__ import annotations

import ctypes
from typing import Final

import structlog

log = structlog.get_logger("packd")

_TIME_ERROR: Final = 5  # what adjtimex(2) returns for a clock that is not synchronised
_STA_UNSYNC: Final = 0x0040
_STATUS_AT: Final = 40  # bytes into struct timex, where long has 8 bytes
_TIMEX_BYTES: Final = 208

WARNING: Final = (
    "the clock of this machine is not synchronised: receivers refuse webhooks when it is five minutes off; "
    "`timedatectl set-ntp true`, or start chrony"
)


def is_synchronised() -> bool | None:
    """What the kernel says; None where it can't be asked."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # all zero: `modes` says that nothing is to be changed
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:  # a container may forbid the question
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little")
    return state != _TIME_ERROR and not status & _STA_UNSYNC


class ClockWatch:
    """Asks now and then; the log has a line when the answer is another one."""

    def __init__(self) -> None:
        self._last: bool | None = True

    @property
    def known(self) -> bool | None:
        """What the kernel said when it was asked last; None: nobody knows."""
        return self._last

    @property
    def warning(self) -> str | None:
        """What was wrong when it was asked last; None: nothing, or nobody knows."""
        return WARNING if self._last is False else None

    def ask(self) -> None:
        now = is_synchronised()
        if now is False and self._last is not False:
            log.warning("clock.unsynchronised", detail=WARNING)
        elif now is True and self._last is False:
            log.info("clock.synchronised")
        self._last = now
