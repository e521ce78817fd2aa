"""One run: a private copy of the pack, its suites, a report. Nothing stays behind."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from packd.domain.reports import Environment, Report
from packd.testrun.attempt import Attempt
from packd.testrun.environments.equip import Unequipped
from packd.testrun.judge import Finding, not_run, overall
from packd.testrun.parsers.text import ending
from packd.testrun.progress import nobody
from packd.testrun.workspace import fill, furnish, remove_folder, workspace_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from packd.domain.manifest import Suite
    from packd.domain.reports import Case, SuiteReport
    from packd.testrun.cancel import CancelToken
    from packd.testrun.environments.equip import Equipment, Outfitter
    from packd.testrun.progress import OnSuite, Tell
    from packd.testrun.request import RunRequest
    from packd.testrun.slots import Slots
    from packd.testrun.supervisor import Supervisor
    from packd.testrun.workspace import Workspace

    Equipped = tuple[Suite, Equipment | Unequipped]

_TAIL: Final = 16_384  # characters of an installer's output that go into the report
_LOOK_S: Final = 0.1  # for the stop button, while waiting for a turn


@dataclass(kw_only=True)
class Run:
    """One request, to be carried out in the thread that calls it."""

    request: RunRequest
    work_dir: Path  # where its folders are made
    outfitter: Outfitter
    copy_tree: Callable[[Path, Path], None]  # (snapshot, folder to make): a copy that its owner may write to
    supervisor: Supervisor
    slots: Slots  # as many suites as may run at the same time, in all runs
    isolation: str
    not_contained: tuple[str, ...]  # what that leaves open, as sentences
    furnishes: bool  # its folders are made on the disk; otherwise the sandbox fills them
    cancel: CancelToken
    on_case: Callable[[str, Case], None] | None  # (suite, case), as soon as a case is known
    on_suite: OnSuite = nobody
    tell: Tell = nobody  # a few words while packages are installed
    _made: list[Path] = field(default_factory=list, init=False)  # folders of this run

    def report(self) -> Report:
        """Run it. Whatever a pack does, and a machine that lacks something, is in the report; nothing is raised for it."""
        began = time.monotonic()
        suites: list[SuiteReport] = []
        shared = trouble = None
        with self.outfitter.equipped(self.request, self.cancel, tell=self.tell) as equipped:
            shared = _shared(equipped)
            try:
                suites = self._together(equipped) if self._is_parallel else self._in_turn(equipped)
            except OSError as error:
                trouble = f"the run's folder could not be made: {error}"
                shared = replace(shared or Environment(), failed="machine")
        own = dict(_own(equipped, shared))
        suites = [replace(suite, environment=suite.environment or own.get(suite.name)) for suite in suites]
        duration_s = time.monotonic() - began
        made = report_of(self.request, suites, self.isolation, duration_s=duration_s, trouble=trouble)
        return replace(made, environment=shared, not_contained=self.not_contained)

    def clean_up(self) -> str | None:
        """Remove the run's folders; a sentence when one can't be."""
        for folder in self._made:
            try:
                remove_folder(folder)
            except OSError as error:
                return f"the folder of {self.request.run_id} can't be removed: {error}"
        return None

    # --- in turn, or together ----------------------------------------------------------------------------------------

    @property
    def _is_parallel(self) -> bool:
        return self.request.parallel and len(self.request.suites) > 1

    def _in_turn(self, equipped: Sequence[Equipped]) -> list[SuiteReport]:
        """All in the same copy."""
        workspace = self._workspace(self.request.run_id)
        last = len(equipped) - 1
        reports = []
        for number, (suite, equipment) in enumerate(equipped):
            if workspace.pack.is_dir():  # what the suite before has left
                workspace = replace(workspace, content=workspace.pack)
            reports.append(self._attempt(suite, equipment, workspace, leaves_copy=number < last))
        return reports

    def _together(self, equipped: Sequence[Equipped]) -> list[SuiteReport]:
        """Each in a copy of its own, and with a mark of its own: what one leaves behind is not another's."""
        names = (f"{self.request.run_id}.{number}" for number in range(1, len(equipped) + 1))
        workspaces = [self._workspace(name) for name in names]
        with ThreadPoolExecutor(len(equipped), thread_name_prefix="suite") as threads:
            answers = [
                threads.submit(self._attempt, suite, equipment, workspace)
                for (suite, equipment), workspace in zip(equipped, workspaces, strict=True)
            ]
        return [answer.result() for answer in answers]

    def _workspace(self, name: str) -> Workspace:
        if not self.furnishes:
            workspace = workspace_at(self.work_dir, name, self.request.tree)
            self._made.append(workspace.folder)  # of what suites leave
            return workspace
        workspace = workspace_at(self.work_dir, name)
        try:
            furnish(workspace, self.request.tree, self.copy_tree)
        except FileExistsError as error:
            if error.filename != str(workspace.folder):  # that one would be another's
                self._made.append(workspace.folder)
            raise
        except OSError:
            self._made.append(workspace.folder)
            raise
        self._made.append(workspace.folder)
        return workspace

    def _attempt(
        self, suite: Suite, equipment: Equipment | Unequipped, workspace: Workspace, *, leaves_copy: bool = False
    ) -> SuiteReport:
        report = self._in_its_turn(suite, equipment, workspace, leaves_copy=leaves_copy)
        self.on_suite(report.bare())
        return report

    def _in_its_turn(
        self, suite: Suite, equipment: Equipment | Unequipped, workspace: Workspace, *, leaves_copy: bool
    ) -> SuiteReport:
        if isinstance(equipment, Unequipped):
            return _unequipped(suite, equipment)
        while not self.slots.acquire(_LOOK_S):
            if self.cancel.reason is not None:
                return not_run(suite, "cancelled", self.cancel.reason)
        try:
            return self._carried_out(suite, equipment, workspace, leaves_copy=leaves_copy)
        finally:
            self.slots.release()

    def _carried_out(
        self, suite: Suite, equipment: Equipment, workspace: Workspace, *, leaves_copy: bool
    ) -> SuiteReport:
        links = {"node_modules": equipment.node_modules} if equipment.node_modules is not None else {}
        if workspace.is_furnished:
            for name, target in links.items():
                if not (workspace.pack / name).is_symlink():
                    (workspace.pack / name).symlink_to(target)
        attempt = Attempt(
            suite=suite,
            request=self.request,
            workspace=workspace,
            equipment=equipment,
            supervisor=self.supervisor,
            cancel=self.cancel,
            tell=partial(self.on_case, suite.name) if self.on_case else _nobody,
            leaves_copy=leaves_copy,
            fill=None if workspace.is_furnished else partial(fill, workspace.content, links),
            alone=not self._is_parallel,
        )
        return attempt.carry_out()


def report_of(
    request: RunRequest, suites: Sequence[SuiteReport], isolation: str, *, duration_s: float, trouble: str | None = None
) -> Report:
    """The suites as one report; `trouble` is why none was run."""
    finding = Finding(status="error", reason="unavailable", detail=trouble) if trouble else overall(suites)
    return Report(
        pack_ref=request.ref,
        pack_version=request.version,
        status=finding.status,
        reason=finding.reason,
        detail=finding.detail,
        execution_time=request.started_at,
        duration_ms=round(duration_s * 1000, 3),
        isolation=isolation,
        test_suites=tuple(suites),
    )


def cancelled_report(request: RunRequest, isolation: str, why: str) -> Report:
    """Of a run that was stopped before it began."""
    return Report(
        pack_ref=request.ref,
        pack_version=request.version,
        status="error",
        reason="cancelled",
        detail=why,
        execution_time=request.started_at,
        duration_ms=0.0,
        isolation=isolation,
    )


def lost_report(request: RunRequest, isolation: str, why: str) -> Report:
    """Of a run whose end nobody saw."""
    lost = report_of(request, (), isolation, duration_s=0.0, trouble=why)
    return replace(lost, environment=Environment(failed="machine"))


def _shared(equipped: Sequence[Equipped]) -> Environment | None:
    """That of the first suite that has no requirements of its own, else of the first."""
    plain = [equipment.resolved for suite, equipment in equipped if suite.requirements is None]
    return next(iter([*plain, *(equipment.resolved for _, equipment in equipped)]), None)


def _own(equipped: Sequence[Equipped], shared: Environment | None) -> list[tuple[str, Environment]]:
    """Suites whose environment is another than the report's."""
    return [(suite.name, equipment.resolved) for suite, equipment in equipped if equipment.resolved != shared]


def _unequipped(suite: Suite, equipment: Unequipped) -> SuiteReport:
    trouble = equipment.trouble
    if trouble.cause == "cancelled":
        return not_run(suite, "cancelled", trouble.sentence)
    return replace(not_run(suite, "unavailable", trouble.sentence), output_tail=ending(trouble.output, _TAIL))


def _nobody(case: Case) -> None:
    """Nobody wants to know."""
