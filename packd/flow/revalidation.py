"""Are the packs in use still good? Their tests are run again on the schedule; what is in use is not touched by it.

What fails is told as `pack.test_failed` and shown by `packd status`. Only where the policy says so is it rolled back, and
never because its tests could not be run.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.failures import Failure, for_log
from packd.registry import queries

if TYPE_CHECKING:
    from packd.flow.commands import Commands
    from packd.registry.registry import Registry
    from packd.registry.rows import Run

log = structlog.get_logger("packd")

ACTOR: Final = "schedule"
_SAYS_NOTHING: Final = ("error", "skipped")  # it was not the pack that failed


class Revalidation:
    """One pack after another, in a thread of its own, so that it takes nobody's turn."""

    def __init__(self, *, registry: Registry, commands: Commands, roll_back: bool) -> None:
        self._registry = registry
        self._commands = commands
        self._roll_back = roll_back
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, *, roll_back: bool) -> None:
        """Go by this from now on."""
        self._roll_back = roll_back

    def request(self) -> None:
        """Begin, unless one is under way."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="revalidate", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Begin no other pack; the run under way is ended by whoever ends runs."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            self.run()
        except Exception as failure:
            log.error("revalidation.failed", **for_log(failure))  # the next one comes by the clock

    def run(self) -> dict[str, str]:
        """Test every pack in use again; returns how each run ended."""
        with self._registry.read() as connection:
            refs = sorted(queries.active_digests(connection))
        ended = {ref: run.status or "error" for ref in refs if (run := self._test(ref)) is not None}
        failed = sorted(ref for ref, status in ended.items() if status not in ("passed", *_SAYS_NOTHING))
        log.info("revalidation.done", packs=len(ended), failed=failed)
        return ended

    def _test(self, ref: str) -> Run | None:
        if self._stopping.is_set():
            return None
        try:
            run = self._commands.run_tests(ref, runner=None, actor=ACTOR, source="schedule", reason="validation")
            if not run.accepted and run.status not in _SAYS_NOTHING:
                self._failed(ref, run)
        except Failure as refusal:  # it has no tests, or is gone since
            log.info("revalidation.skipped", pack=ref, why=refusal.sentence)
            return None
        return run

    def _failed(self, ref: str, run: Run) -> None:
        log.error("revalidation.not_passed", pack=ref, revision=run.number, run_id=run.id, detail=run.verdict)
        if not self._roll_back:
            return
        try:
            withdrawn, restored = self._commands.rollback(
                ref, to=None, only=run.number, actor=ACTOR, reason="tests_failed"
            )
            log.warning("revalidation.rolled_back", pack=ref, revision=withdrawn.number, restored=restored.number)
        except Failure as refusal:  # there is nothing good to go back to
            log.error("revalidation.stays", pack=ref, revision=run.number, why=refusal.sentence)
