"""What the daemon is told by signals."""

from __future__ import annotations

import os
import select
import signal


class Signals:
    """SIGTERM and SIGINT: stop; SIGHUP: read the configuration again. A handler only sets a flag and writes a byte."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # wakes `wait` however the moment was chosen
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        signal.signal(signal.SIGHUP, self._asked_to_reload)

    def wait(self, timeout_s: float) -> None:
        """Until a signal came, or the time has passed."""
        if select.select([self._reader], [], [], timeout_s)[0]:
            os.read(self._reader, 4096)

    def _asked_to_stop(self, *_: object) -> None:
        self.stop = True

    def _asked_to_reload(self, *_: object) -> None:
        self.reload = True
