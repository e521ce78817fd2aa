"""What a suite runs with: an interpreter of the right version, and the environment that its pack declares."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packd.domain.reports import Environment
from packd.testrun.environment import search_path
from packd.testrun.environments.build import Unbuilt
from packd.testrun.environments.wanted import Undeclarable, Wanted, wanted
from packd.testrun.interpreters import has_module
from packd.testrun.progress import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.manifest import Suite
    from packd.testrun.cancel import CancelToken
    from packd.testrun.environments.build import Builder
    from packd.testrun.environments.cache import Built, Environments
    from packd.testrun.interpreters import Interpreter, Interpreters
    from packd.testrun.progress import Tell
    from packd.testrun.request import RunRequest
    from packd.testrun.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """What a suite runs with."""

    python: Path
    resolved: Environment
    node_modules: Path | None = None  # of an environment
    readable: tuple[Path, ...] = ()  # folders that it needs

    @property
    def search(self) -> str:
        """$PATH."""
        return search_path(self.python, [self.node_modules / ".bin"] if self.node_modules else [])

    def modules(self, workspace: Workspace) -> Path | None:
        """The npm packages: the environment's, or those that the pack brings along."""
        own = workspace.pack / "node_modules"
        return self.node_modules or (own if workspace.at(own).is_dir() else None)


@dataclass(frozen=True, kw_only=True)
class Unequipped:
    """Why a suite can't be run."""

    trouble: Unbuilt
    resolved: Environment


@dataclass(frozen=True, kw_only=True)
class Outfitter:
    """Equips the suites of runs."""

    interpreters: Interpreters
    environments: Environments | None  # None: what packs declare is not installed
    builder: Builder

    @contextlib.contextmanager
    def equipped(
        self, request: RunRequest, cancel: CancelToken, *, tell: Tell = nobody
    ) -> Iterator[list[tuple[Suite, Equipment | Unequipped]]]:
        """Every suite with what it runs with, for as long as the block is open. Equal needs are met once.

        `tell` gets a few words whenever something is built that takes its time.
        """
        with contextlib.ExitStack() as stack:
            met: dict[str, Equipment | Unequipped] = {}
            answers: list[tuple[Suite, Equipment | Unequipped]] = []
            for suite in request.suites:
                interpreter = self.interpreters.choose(request.python_version)
                if interpreter is None:
                    answers.append((suite, _no_python(request.python_version)))
                    continue
                needs = self._needs(request, suite, interpreter)
                if isinstance(needs, Unequipped):
                    answers.append((suite, needs))
                    continue
                key = needs.digest()
                if key not in met:
                    met[key] = self._meet(needs, interpreter, request, cancel, stack, tell)
                answers.append((suite, met[key]))
            yield answers

    def _needs(self, request: RunRequest, suite: Suite, interpreter: Interpreter) -> Wanted | Unequipped:
        if self.environments is None:
            return Wanted()
        try:
            needs = wanted(request.tree, suite, request.python_dependencies)
        except Undeclarable as wrong:
            return _unequipped(Unbuilt(sentence=str(wrong), cause="pack"), interpreter)
        if suite.runner_type == "pytest" and not needs.python and not _pytest_is_there(interpreter):
            return replace(needs, supplied=("pytest",))
        return needs

    def _meet(
        self,
        needs: Wanted,
        interpreter: Interpreter,
        request: RunRequest,
        cancel: CancelToken,
        stack: contextlib.ExitStack,
        tell: Tell,
    ) -> Equipment | Unequipped:
        if self.environments is None or not (needs.python or needs.node):
            resolved = Environment(python=interpreter.version)
            return Equipment(python=interpreter.path, resolved=resolved, readable=_homes(interpreter))
        rebuild = request.rebuild
        providing = self.environments.provide(needs, interpreter, self.builder, cancel, rebuild=rebuild, tell=tell)
        try:
            built = stack.enter_context(providing)
        except OSError as error:
            built = Unbuilt(sentence=f"its environment could not be built: {error}", cause="machine")
        return _unequipped(built, interpreter) if isinstance(built, Unbuilt) else _equipment(built, interpreter)


def _equipment(built: Built, interpreter: Interpreter) -> Equipment:
    return Equipment(
        python=built.python or interpreter.path,
        resolved=built.resolved,
        node_modules=built.node_modules,
        readable=(built.folder, *_homes(interpreter)),
    )


def _unequipped(trouble: Unbuilt, interpreter: Interpreter) -> Unequipped:
    failed = None if trouble.cause == "cancelled" else trouble.cause
    return Unequipped(trouble=trouble, resolved=Environment(python=interpreter.version, failed=failed))


def _no_python(wanted: str | None) -> Unequipped:
    sentence = f"there is no Python {wanted} on this machine; install one, or name it in tests.python"
    return Unequipped(
        trouble=Unbuilt(sentence=sentence, cause="machine"), resolved=Environment(python=None, failed="machine")
    )


def _homes(interpreter: Interpreter) -> tuple[Path, ...]:
    """Where an interpreter and its library lie."""
    return tuple(dict.fromkeys((interpreter.path.parent.parent, Path(interpreter.base or "/usr"))))


def _pytest_is_there(interpreter: Interpreter) -> bool:
    """In the interpreter itself, or lent by packd's own."""
    return _own_pytest() or has_module(interpreter.path, "pytest")


@functools.cache
def _own_pytest() -> bool:
    return importlib.util.find_spec("pytest") is not None
