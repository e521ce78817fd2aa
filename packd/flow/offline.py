"""The same stages as in the pipeline, for one folder or archive and without a daemon: fix, check, run.

Everything happens in a temporary store that is gone afterwards; nothing is registered and nobody is told.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packd.domain.failures import Code, Failure
from packd.domain.ignore import Ignore
from packd.domain.manifest import Testing
from packd.domain.problems import errors
from packd.domain.refs import archive_suffix
from packd.domain.verdict import verdict
from packd.flow.clock import Clock
from packd.flow.refusals import no_pack
from packd.flow.requirements import untested
from packd.flow.told import on_case, on_progress, on_suite
from packd.snapshot.limits import Limits as TreeLimits
from packd.snapshot.store import Snapshot, Store, StoreFull, StoreUnwritable, Taken, Unsettled
from packd.testrun.environments.cache import Environments
from packd.testrun.environments.origins import Origins
from packd.testrun.executor import CancelToken, LocalExecutor, RunRequest
from packd.testrun.interpreters import Interpreters, node_version, python_path
from packd.testrun.ladder import Footing, NoRung, choose, suite_user
from packd.testrun.limits import Limits as RunLimits
from packd.validate.findings import Runtime
from packd.validate.load import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packd.domain.manifest import Manifest, Suite
    from packd.domain.problems import Problem
    from packd.domain.reports import Report
    from packd.domain.verdict import Verdict
    from packd.flow.told import Say
    from packd.testrun.ladder import Wanted
    from packd.testrun.sandbox import Sandbox


_ENVIRONMENTS_KEPT_S: Final = 14 * 86_400.0  # since they were last used
_READINGS: Final = 3  # of a folder that somebody writes to meanwhile


def usual_environments(environ: Mapping[str, str]) -> Path:
    """Where a person's runs keep the environments that packs ask for."""
    cache = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME') or tempfile.gettempdir()}/.cache"
    return Path(cache, "packd", "environments")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The conditions that a daemon would set; by default those of a daemon without a configuration."""

    ignore: tuple[str, ...] = ()  # names that are left out, beside the usual ones
    limits: TreeLimits = field(default_factory=TreeLimits)
    tests_required: bool = True
    suite_timeout_s: float = 300.0  # for suites that do not say their own
    run_limits: RunLimits = field(default_factory=RunLimits)
    allow_network: bool = False  # suites that ask for the network get it
    isolation: Wanted = "auto"
    user: str | None = None  # whom suites run as where this is run by root
    python: Path | None = None  # runs the tests; None: the one that runs packd
    grace_s: float = 2.0  # between asking a suite to end and ending it
    origins: Origins = field(default_factory=Origins)  # where packages come from
    environments: Path = field(default_factory=lambda: usual_environments(os.environ))  # kept between runs


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What validation says of it."""

    name: str  # of the folder or archive
    ref: str | None  # as far as it could be read
    version: str | None
    problems: tuple[Problem, ...]
    manifest: Manifest | None  # None when any problem is an error

    @property
    def good(self) -> bool:
        return self.manifest is not None and not errors(self.problems)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What validation says, and if it has no objection, what the tests say."""

    checked: Checked
    report: Report | None = None  # None: nothing was run
    judged: Verdict | None = None

    @property
    def accepted(self) -> bool:
        """A daemon would go on with it."""
        return self.judged is not None and self.judged.accepted


def check_path(path: Path, *, terms: Terms) -> Checked:
    """Validate the folder or archive at `path`.

    Raises Failure BAD_REQUEST when there is none.
    """
    with _workshop() as folder:
        return _check(path, _store(folder, terms), terms)[0]


def run_path(
    path: Path, *, terms: Terms, runner: str | None = None, rebuild: bool = False, say: Say | None = None
) -> Tried:
    """Validate the folder or archive at `path` and run its suites, or only the one called `runner`.

    With `rebuild` its environments are built anew.
    `say` gets what the run tells, from another thread, and before that a `warning` in words where suites run as root. An interruption ends the suites first. Raises Failure:
    BAD_REQUEST when there is nothing to run or no isolation to run it in, NOT_FOUND for an unknown runner.
    """
    with _workshop() as folder:
        store = _store(folder, terms)
        checked, digest = _check(path, store, terms)
        if not checked.good or digest is None or checked.manifest is None:
            return Tried(checked=checked)
        testing = _chosen(checked.manifest, runner)
        manifest = replace(checked.manifest, testing=testing)
        report = _run(folder / "work", store, digest, manifest, terms, say or _nobody, rebuild=rebuild)
        judged = verdict(report, min_pass_rate=testing.min_pass_rate, on_failure=testing.on_failure)
        return Tried(checked=checked, report=report, judged=judged)


def _check(path: Path, store: Store, terms: Terms) -> tuple[Checked, str | None]:
    """The findings, and the digest of what they are about."""
    name = _name(path)
    taken = _take(path.resolve(), store, terms)
    if not isinstance(taken, Snapshot):
        problems = (taken.problem,) if isinstance(taken, Unsettled) else taken.problems
        return Checked(name=name, ref=None, version=None, problems=problems, manifest=None), None
    findings = check(store.path(taken.digest), name=name, runtime=_runtime(terms))
    checked = Checked(
        name=name,
        ref=findings.ref,
        version=findings.version,
        problems=(*untested(findings, required=terms.tests_required), *findings.problems, *taken.warnings),
        manifest=findings.manifest,
    )
    return checked, taken.digest


def _take(path: Path, store: Store, terms: Terms) -> Taken:
    """Once more when somebody wrote to it meanwhile."""
    taken = store.take(path, Ignore(terms.ignore))
    for _ in range(_READINGS - 1):
        if not isinstance(taken, Unsettled):
            return taken
        taken = store.take(path, Ignore(terms.ignore))
    return taken


def _name(path: Path) -> str:
    """As it would be called in the packs directory."""
    name = path.resolve().name
    if path.is_dir() or (path.is_file() and archive_suffix(name)):
        return name
    if not path.exists():
        raise Failure(Code.BAD_REQUEST, f"there is no folder and no archive {path}")
    raise Failure(Code.BAD_REQUEST, no_pack(path))


def _runtime(terms: Terms) -> Runtime:
    interpreters = Interpreters(python_path(terms.python))
    return Runtime(python=interpreters.default.version, node=node_version(), other_pythons=interpreters.versions)


def _chosen(manifest: Manifest, runner: str | None) -> Testing:
    testing = manifest.testing
    if testing is None or not testing.enabled or not testing.suites:
        raise Failure(Code.BAD_REQUEST, f"No testing configuration found in pack.yaml for pack '{manifest.ref}'")
    suites = testing.suites if runner is None else tuple(suite for suite in testing.suites if suite.name == runner)
    if not suites:
        raise Failure(
            Code.NOT_FOUND, f"'{manifest.ref}' has no suite called '{runner}'; it has: {_names(testing.suites)}"
        )
    return replace(testing, suites=suites)


def _names(suites: tuple[Suite, ...]) -> str:
    return ", ".join(suite.name for suite in suites)


def _run(
    work: Path,
    store: Store,
    digest: str,
    manifest: Manifest,
    terms: Terms,
    say: Say,
    *,
    rebuild: bool,
) -> Report:
    clock, cancel = Clock(), CancelToken()
    testing = manifest.testing or Testing()
    sandbox = _sandbox(work.parent, terms)
    if sandbox.as_root:
        say("warning", {"text": f"suites run as root: {sandbox.as_root}"})
    environments = Environments(_environments(work.parent, sandbox, terms))
    executor = LocalExecutor(
        work,
        workers=1,
        copy_tree=store.copy_tree,
        sandbox=sandbox,
        python=python_path(terms.python),
        environments=environments,
        origins=terms.origins,
        grace_s=terms.grace_s,
    )
    request = RunRequest(
        run_id=clock.new_id("run"),
        ref=manifest.ref,
        version=manifest.version,
        tree=store.path(digest),
        suites=testing.suites,
        default_timeout_s=terms.suite_timeout_s,
        limits=terms.run_limits,
        result_format=testing.result_format,
        result_path=testing.result_path,
        started_at=clock.iso(),
        allow_network=terms.allow_network,
        parallel=testing.parallel,
        python_version=manifest.python_version,
        python_dependencies=manifest.python_dependencies,
        rebuild=rebuild,
    )
    try:
        report = executor.submit(
            request, cancel=cancel, on_case=on_case(say), on_suite=on_suite(say), on_progress=on_progress(say)
        )
        return report.result()
    except BaseException:
        cancel.cancel("interrupted")
        raise
    finally:
        executor.close(terms.grace_s)
        environments.sweep(_ENVIRONMENTS_KEPT_S)


def _sandbox(folder: Path, terms: Terms) -> Sandbox:
    try:
        footing = Footing(
            folder=folder / "sandbox",
            someone=suite_user(terms.user),
            hidden=(folder,),
            state=folder,
            python=python_path(terms.python),
            must_become=terms.user is not None,
        )
        return choose(terms.isolation, footing)[0]
    except NoRung as refusal:
        raise Failure(Code.BAD_REQUEST, str(refusal)) from refusal


def _environments(folder: Path, sandbox: Sandbox, terms: Terms) -> Path:
    """Those that are kept, but for suites that run on the machine itself as one who may not get at root's cache."""
    as_someone = os.geteuid() == 0 and sandbox.as_root is None
    return folder / "environments" if sandbox.isolation == "basic" and as_someone else terms.environments


def _store(folder: Path, terms: Terms) -> Store:
    return Store(folder / "store", terms.limits)


def _nobody(_name: str, _said: dict[str, Any]) -> None:
    """Nobody wants to know."""


@contextmanager
def _workshop() -> Iterator[Path]:
    """A private folder that is gone afterwards, read-only snapshots in it too."""
    folder = Path(tempfile.mkdtemp(prefix="packd-"))
    try:
        yield folder
    except (StoreFull, StoreUnwritable) as failure:
        raise Failure(Code.BAD_REQUEST, f"{failure}; $TMPDIR says where to work instead") from failure
    finally:
        _discard(folder)


def _discard(folder: Path) -> None:
    """An ordinary user can't remove what is in a read-only folder, but can make his own folders writable."""
    for inside, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(inside, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
