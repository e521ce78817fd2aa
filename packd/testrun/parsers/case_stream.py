"""The lines that packd's own runners write while tests run: one JSON object a line, one key each.

`{"start": name}` a test begins; `{"case": {...}}` it ended; `{"unavailable": sentence}` nothing could be run;
`{"end": true}` all was reported. A stream without its end belongs to a process that did not get there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from packd.domain.reports import Case
from packd.testrun.parsers.tally import CaseList
from packd.testrun.parsers.text import message_of, milliseconds, name_of, output_of

if TYPE_CHECKING:
    from packd.domain.reports import CaseStatus
    from packd.testrun.parsers.tally import Tally

_LONGEST_LINE: Final = 1024 * 1024  # bytes; the runners keep well below
_STATUSES: Final[dict[str, CaseStatus]] = {
    "passed": "passed",
    "failed": "failed",
    "error": "error",
    "skipped": "skipped",
}


@dataclass
class CaseStream:
    """Reads the stream piece by piece."""

    ended: bool = False  # the runner said that it was done
    unavailable: str | None = None  # why it could not run anything
    running: str | None = None  # the test that began and has not ended
    cases: CaseList = field(default_factory=CaseList)
    _rest: bytes = b""

    def feed(self, data: bytes) -> list[Case]:
        """Take the next bytes; the cases that they complete."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) <= _LONGEST_LINE else b""
        return [case for line in lines if (case := self._line(line)) is not None]

    def tally(self) -> Tally:
        """What is known so far. A test that never ended is no case yet."""
        return self.cases.tally()

    def interrupted(self, sentence: str) -> Tally:
        """The tally when the process ended before its tests did: the running one is an error."""
        if self.running is not None:
            self.cases.add(Case(name=self.running, status="error", error_message=sentence))
            self.running = None
        return self.tally()

    def _line(self, line: bytes) -> Case | None:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, dict):
            return None
        if "start" in said:
            self.running = name_of(said["start"])
        elif isinstance(said.get("case"), dict):
            return self._case(said["case"])
        elif "unavailable" in said:
            self.unavailable = message_of(said["unavailable"]) or "nothing could be run"
        elif said.get("end") is True:
            self.ended = True
        return None

    def _case(self, said: dict[str, Any]) -> Case | None:
        status = _STATUSES.get(str(said.get("status"))[:20])
        if status is None:
            return None
        case = Case(
            name=name_of(said.get("name")),
            status=status,
            duration_ms=milliseconds(said.get("duration_ms")),
            error_message=message_of(said.get("error_message")),
            stdout=output_of(said.get("stdout")),
            stderr=output_of(said.get("stderr")),
        )
        self.running = None
        self.cases.add(case)
        return case
