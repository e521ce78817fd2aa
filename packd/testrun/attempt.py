"""One suite: planned, run, read, judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packd.domain.reports import Environment
from packd.testrun.environment import environment
from packd.testrun.judge import Finding, judge, not_run, suite_report, whole_as_case
from packd.testrun.mark import Mark
from packd.testrun.parsers.case_stream import CaseStream
from packd.testrun.parsers.console import recognise
from packd.testrun.parsers.tally import unreadable
from packd.testrun.results import ReportPlace, parse_text
from packd.testrun.runner import Ground, Unavailable, plan
from packd.testrun.sandbox import Order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packd.domain.manifest import Suite
    from packd.domain.reports import Case, SuiteReport
    from packd.testrun.cancel import CancelToken
    from packd.testrun.environments.equip import Equipment
    from packd.testrun.parsers.tally import Tally
    from packd.testrun.request import RunRequest
    from packd.testrun.runner import Plan
    from packd.testrun.sandbox import Fill
    from packd.testrun.supervisor import Ending, Supervisor
    from packd.testrun.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What it takes to run one suite of a run."""

    suite: Suite
    request: RunRequest
    workspace: Workspace
    equipment: Equipment  # what it runs with
    supervisor: Supervisor
    cancel: CancelToken
    tell: Callable[[Case], None]  # of each case, as soon as it is known
    leaves_copy: bool = False  # what it does to the copy of the pack is for the suites after it
    fill: Fill | None = None  # makes the copy of the pack where the suite runs; None: it is on the disk
    alone: bool = True  # no other suite of the run at the same time

    def carry_out(self) -> SuiteReport:
        """The suite's part of the report, whatever happens."""
        if self.cancel.reason is not None:
            return not_run(self.suite, "cancelled", self.cancel.reason)
        planned = plan(self.suite, self._ground())
        if isinstance(planned, Unavailable):
            return not_run(self.suite, "unavailable", planned.sentence)
        try:
            report = self._case_by_case(planned) if planned.reading == "cases" else self._by_report(planned)
            return replace(report, network=self._network, network_denied=self.suite.network and not self._network)
        except ValueError as trouble:  # a NUL in a command or in the environment; more was written than can be read
            return not_run(self.suite, "unavailable", f"it could not be run: {trouble}")
        except OSError as trouble:
            report = not_run(self.suite, "unavailable", f"it could not be started: {trouble}")
            return replace(report, environment=Environment(failed="machine"))

    # --- running -----------------------------------------------------------------------------------------------------

    def _case_by_case(self, planned: Plan) -> SuiteReport:
        """By packd's own runner, which tells of each case while it runs."""
        stream = CaseStream()

        def take(data: bytes) -> None:
            for case in stream.feed(data):
                self.tell(case)

        end = self._run(planned, on_events=take)
        if stream.unavailable is not None and end.stopped is None:
            finding = Finding(status="error", reason="unavailable", detail=stream.unavailable)
            return suite_report(self.suite, end, stream.tally(), finding)
        interrupted = "it was running when the suite " + (f"was stopped ({end.stopped})" if end.stopped else "ended")
        tally = stream.tally() if stream.ended else stream.interrupted(interrupted)
        return suite_report(self.suite, end, tally, self._judge(end, tally, complete=stream.ended))

    def _by_report(self, planned: Plan) -> SuiteReport:
        """By a program that reports in its own way, or only by its exit status."""
        place = None
        if planned.format is not None and planned.path is not None:
            place = ReportPlace.look(self.workspace.pack, planned.path, planned.format, content=self.workspace.content)
        end = self._run(planned, on_events=None, returns=place.roots() if place else ())
        tally = _read(planned, place, end)
        finding = self._judge(end, tally, complete=True)
        shown = tally if tally is not None else whole_as_case(self.suite, end, finding)
        for case in shown.cases:
            self.tell(case)
        return suite_report(self.suite, end, shown, finding)

    def _run(
        self, planned: Plan, *, on_events: Callable[[bytes], None] | None, returns: tuple[Path, ...] = ()
    ) -> Ending:
        order = Order(
            argv=planned.argv,
            cwd=self.workspace.pack,
            env=self._environment(planned),
            limits=self.request.limits,
            given=self.request.tree,
            mark=Mark.of(self.workspace.folder),
            network=self._network,
            separate_stdout=planned.reads_stdout,
            private=self.workspace.folder,
            fill=self.fill,
            returns=(self.workspace.folder,) if self.leaves_copy else returns,
            readable=(*self.equipment.readable, *planned.readable),
            alone=self.alone,
        )
        return self.supervisor.run(order, timeout_s=self._timeout_s, cancel=self.cancel, on_events=on_events)

    def _environment(self, planned: Plan) -> dict[str, str]:
        request = self.request
        shared = environment(
            self.suite,
            self.workspace,
            ref=request.ref,
            version=request.version,
            run_id=request.run_id,
            search=self.equipment.search,
        )
        given = shared | dict(planned.env)
        return given | {f"PACKD_{name}": given.pop(name) for name in planned.for_tests}

    def _ground(self) -> Ground:
        return Ground(
            workspace=self.workspace,
            python=self.equipment.python,
            search=self.equipment.search,
            modules=self.equipment.modules(self.workspace),
            result_format=self.request.result_format,
            result_path=self.request.result_path,
        )

    # --- judging -----------------------------------------------------------------------------------------------------

    @property
    def _network(self) -> bool:
        return self.suite.network and self.request.allow_network

    @property
    def _timeout_s(self) -> float:
        return self.suite.timeout_s or self.request.default_timeout_s

    def _judge(self, end: Ending, tally: Tally | None, *, complete: bool) -> Finding:
        return judge(
            end,
            tally,
            complete=complete,
            timeout_s=self._timeout_s,
            limits=self.request.limits,
            cancel_reason=self.cancel.reason,
        )


def _read(planned: Plan, place: ReportPlace | None, end: Ending) -> Tally | None:
    """What the suite reported; None when its exit status is all there is."""
    written = place.read() if place else None
    if written is not None:
        return written
    if planned.format is None or planned.format == "simple":
        return recognise(end.output)
    if place is None and end.stdout.strip():
        tally = parse_text(end.stdout, planned.format)
    elif place is None:
        tally = unreadable(f"it promised a {planned.format} report, and printed none")
    else:
        tally = unreadable(f"it promised a {planned.format} report at {place.path!r}, and wrote none")
    if tally.trouble and not planned.required:
        return recognise(end.output)
    return tally
