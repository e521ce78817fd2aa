"""When which webhook reached the receiver, by the clock that all processes of the machine share."""

from __future__ import annotations

import threading
import time
from typing import Any

from receiver import Receiver

_DEADLINE_S = 120.0


class Arrivals:
    """The receiver of the end-to-end tests, noting `time.monotonic()` of every event that verified."""

    def __init__(self) -> None:
        self._receiver = Receiver()
        self._receiver.answer = self._note
        self._changed = threading.Condition()
        self._at: dict[tuple[str, str], float] = {}  # (type, ref) → seconds

    @property
    def url(self) -> str:
        return self._receiver.url

    def wait(self, event_type: str, refs: list[str]) -> float:
        """When the last of these was told of for the first time."""
        wanted = [(event_type, ref) for ref in refs]

        def all_there() -> bool:
            return all(one in self._at for one in wanted)

        with self._changed:
            if not self._changed.wait_for(all_there, _DEADLINE_S):
                missing = [ref for kind, ref in wanted if (kind, ref) not in self._at]
                raise TimeoutError(f"no {event_type} of {len(missing)} packs, among them {missing[0]}")
            return max(self._at[one] for one in wanted)

    def close(self) -> None:
        self._receiver.close()
        assert not self._receiver.unverified, self._receiver.unverified[0]

    def _note(self, event: dict[str, Any]) -> int:
        at = time.monotonic()
        ref = event["data"].get("pack", {}).get("ref", "")
        with self._changed:
            self._at.setdefault((event["type"], ref), at)
            self._changed.notify()
        return 204
