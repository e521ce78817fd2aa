"""Where runs are carried out: in the thread that asks for it, one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from packd.testrun.environments.build import Builder
from packd.testrun.environments.equip import Outfitter
from packd.testrun.processes import adopt_orphans, can_list_children
from packd.testrun.run import Run
from packd.testrun.supervisor import Supervisor
from packd.testrun.workspace import workspace_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packd.domain.reports import Case, Report
    from packd.testrun.cancel import CancelToken
    from packd.testrun.environments.cache import Environments
    from packd.testrun.environments.origins import Origins
    from packd.testrun.interpreters import Interpreters
    from packd.testrun.progress import OnSuite, Tell
    from packd.testrun.request import RunRequest
    from packd.testrun.sandbox import Sandbox
    from packd.testrun.slots import Slots


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A run to be carried out, and who is told what of it."""

    request: RunRequest
    cancel: CancelToken
    on_case: Callable[[str, Case], None] | None
    on_suite: OnSuite
    on_progress: Tell
    answer: Callable[[Report], None]


class Station(Protocol):
    """One that carries out runs, one at a time."""

    def begin(self, errand: Errand) -> None:
        """Called before `carry_out`, from any thread: what can be done at once, such as handing the request over."""
        ...

    def carry_out(self, errand: Errand) -> str | None:
        """Answers as soon as nothing of the run is alive any more, then removes its folder; a sentence when it can't be.

        Raises ValueError when the request's id can't be the name of a folder.
        """
        ...

    def close(self) -> None:
        """Let go of what is kept for the thread that calls it, which asks for no more."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What every run is carried out with."""

    work_dir: Path  # where runs have their folders
    copy_tree: Callable[[Path, Path], None]  # (snapshot, folder to make): a copy that its owner may write to
    sandbox: Sandbox
    interpreters: Interpreters
    environments: Environments | None
    origins: Origins
    grace_s: float
    slots: Slots


class Bench:
    """The tools, taken up by the process that uses them: what a run's processes leave behind becomes its own."""

    def __init__(self, tools: Tools) -> None:
        adopting = adopt_orphans() and can_list_children()
        self._tools = tools
        self._sandbox = tools.sandbox.lasting()
        self._supervisor = Supervisor(self._sandbox, adopting=adopting, grace_s=tools.grace_s)
        self._outfitter = Outfitter(
            interpreters=tools.interpreters,
            environments=tools.environments,
            builder=Builder(supervisor=self._supervisor, work_dir=tools.work_dir, origins=tools.origins),
        )

    def begin(self, errand: Errand) -> None:
        """See Station. All of it is the thread's that carries it out."""

    def carry_out(self, errand: Errand) -> str | None:
        """See Station."""
        workspace_at(self._tools.work_dir, errand.request.run_id)  # raises ValueError
        run = Run(
            request=errand.request,
            work_dir=self._tools.work_dir,
            outfitter=self._outfitter,
            copy_tree=self._tools.copy_tree,
            supervisor=self._supervisor,
            slots=self._tools.slots,
            isolation=self._sandbox.isolation,
            not_contained=self._sandbox.shortcomings,
            furnishes=not self._sandbox.fills,
            cancel=errand.cancel,
            on_case=errand.on_case,
            on_suite=errand.on_suite,
            tell=errand.on_progress,
        )
        try:
            errand.answer(run.report())
        except BaseException:
            run.clean_up()
            raise
        # Nothing of the run is alive any more; nobody has to wait until a busy disk has let go of its files.
        return run.clean_up()

    def close(self) -> None:
        """See Station."""
        self._sandbox.close()
