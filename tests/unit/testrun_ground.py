"""What the tests of the room `testrun` share: a pack written in a line, and an executor."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packd.domain.manifest import Suite
from packd.testrun.executor import CancelToken, Limits, LocalExecutor, RunRequest
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import Case, Report, SuiteReport
    from packd.testrun.sandbox import Sandbox

_NUMBERS = itertools.count(1)


def copy_tree(source: Path, target: Path) -> None:
    """The private copy, as the store makes it."""
    shutil.copytree(source, target, symlinks=True)


@dataclass
class Ground:
    """A pack in the making and an executor to run it on."""

    tree: Path
    executor: LocalExecutor
    work_dir: Path
    told: list[tuple[str, Case]] = field(default_factory=list)

    def write(self, path: str, text: str, *, mode: int = 0o644) -> Path:
        target = self.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text).lstrip("\n"))
        target.chmod(mode)
        return target

    def use_python(self, python: Path) -> None:
        """Tests of Python run on this one from now on."""
        self.remake(python=python)

    def remake(self, **more: object) -> None:
        """Another executor takes the place of this one."""
        self.executor.close(0)
        self.executor = made_executor(self.work_dir, **more)

    def request(
        self, *suites: Suite, timeout_s: float = 30.0, limits: Limits | None = None, **more: object
    ) -> RunRequest:
        return RunRequest(
            run_id=f"run_{next(_NUMBERS)}",
            ref="mypack",
            version="1.2.3",
            tree=self.tree,
            suites=suites,
            default_timeout_s=timeout_s,
            limits=limits or Limits(),
            started_at="2024-05-01T10:00:00Z",
            **more,  # type: ignore[arg-type]
        )

    def run(self, *suites: Suite, **more: object) -> Report:
        request = self.request(*suites, **more)  # type: ignore[arg-type]
        future = self.executor.submit(request, cancel=CancelToken(), on_case=lambda *said: self.told.append(said))
        return future.result(timeout=60)

    def shell(self, command: str, **more: object) -> SuiteReport:
        """Run one shell command as a suite."""
        return self.run(shell(command), **more).test_suites[0]


def shell(command: str, **more: object) -> Suite:
    return Suite(name="shell", runner_type="command", command=textwrap.dedent(command), **more)  # type: ignore[arg-type]


def made_ground(tmp_path: Path, workers: int = 2, sandbox: Sandbox | None = None) -> Iterator[Ground]:
    tree = tmp_path / "tree"
    tree.mkdir()
    ground = Ground(
        tree=tree, executor=made_executor(tmp_path / "work", workers, sandbox=sandbox), work_dir=tmp_path / "work"
    )
    yield ground
    ground.executor.close(0)


def made_executor(work_dir: Path, workers: int = 2, **more: object) -> LocalExecutor:
    return LocalExecutor(work_dir, workers, **{"copy_tree": copy_tree, "grace_s": 0.3, **more})  # type: ignore[arg-type]


def number_in(path: Path) -> int:
    """The number in a file, once it is there."""
    wait_until(lambda: path.exists() and path.read_text().strip() != "")
    return int(path.read_text())
