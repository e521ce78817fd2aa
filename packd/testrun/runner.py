"""From a suite to a command line, and to how its results are read."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from packd.testrun import shebang
from packd.testrun.environment import ROOTS
from packd.testrun.harness import HARNESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.domain.manifest import ResultFormat, Suite
    from packd.testrun.workspace import Workspace

_SHELL: Final = "/bin/sh"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a suite is run and read."""

    argv: tuple[str, ...]
    reading: Literal["cases", "report"]  # by packd's own runner, case by case; or from what the suite writes
    format: ResultFormat | None = None  # of the report; None: whatever is recognised in the output
    path: str | None = None  # where the report is; None: it is what the suite prints
    required: bool = False  # the suite itself promised this report; otherwise its output will do
    env: tuple[tuple[str, str], ...] = ()  # variables that its runner needs
    for_tests: tuple[str, ...] = ()  # variables that its runner gives to the tests, and is not to start with itself
    readable: tuple[Path, ...] = ()  # what its runner needs to be seen

    @property
    def reads_stdout(self) -> bool:
        """Is stdout the report, which stderr must not be mixed into?"""
        return self.reading == "report" and self.path is None and self.format in ("json", "junit-xml", "tap")


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """The suite can't be run here."""

    sentence: str  # what is missing, and the way out


_NO_NODE: Final = Unavailable(sentence="node is not installed on this machine; install Node.js 20 or later")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What suites of one run have in common."""

    workspace: Workspace
    python: Path  # the interpreter that runs Python tests
    search: str  # $PATH
    modules: Path | None  # the pack's npm packages
    result_format: ResultFormat | None  # for suites that do not say their own
    result_path: str | None

    @property
    def pack(self) -> Path:
        """The private copy."""
        return self.workspace.pack

    def find(self, path: str) -> Path | None:
        """Where packd can look at the pack's file or folder `path`; None when it is missing or, by its links, outside."""
        return inside(self.workspace.content, path)


def plan(suite: Suite, ground: Ground) -> Plan | Unavailable:
    """How to run this suite, or why it can't be."""
    return _PLANS[suite.runner_type](suite, ground)


def inside(pack: Path, path: str) -> Path | None:
    """The file or folder `path` of the pack, or None when it is missing or, by its links, somewhere else."""
    try:
        found = (pack / path).resolve(strict=True)
        root = pack.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # missing, a loop of links, a NUL
        return None
    return pack / path if found.is_relative_to(root) else None


# --- one plan for each runner type -----------------------------------------------------------------------------------


def _script(suite: Suite, ground: Ground) -> Plan | Unavailable:
    if suite.entry_point is None:
        return _no_entry_point(suite) if suite.command is None else _command(suite, ground)
    entry = ground.find(suite.entry_point)
    if entry is None or not entry.is_file():
        return _missing(suite)
    script = ground.pack / suite.entry_point
    started = shebang.command_line(script, lies_at=entry, python=ground.python, search=ground.search)
    return Unavailable(sentence=started) if isinstance(started, str) else _reporting(suite, ground, started)


def _command(suite: Suite, ground: Ground) -> Plan | Unavailable:
    if suite.command is None:
        return (
            _script(suite, ground) if suite.entry_point else Unavailable(sentence="it has no command; add `command:`")
        )
    return _reporting(suite, ground, (_SHELL, "-c", suite.command))


def _tap(suite: Suite, ground: Ground) -> Plan | Unavailable:
    planned = _command(suite, ground)
    if isinstance(planned, Unavailable):
        return planned
    return Plan(argv=planned.argv, reading="report", format="tap", path=suite.result_path, required=True)


def _unittest(suite: Suite, ground: Ground) -> Plan | Unavailable:
    entry = suite.entry_point or _usual_folder(ground)
    if ground.find(entry) is None and not _is_module(ground, entry):
        return _missing(suite)
    return _python(ground, "unittest_cases.py", entry)


def _pytest(suite: Suite, ground: Ground) -> Plan | Unavailable:
    # An empty cache: one that the pack brought along would have a say in which tests are run.
    arguments = ["-o", f"cache_dir={ground.workspace.tmp / 'pytest-cache'}", f"--rootdir={ground.pack}"]
    if suite.config is not None:
        if ground.find(suite.config) is None:
            return _missing(suite, suite.config)
        arguments += ["-c", str(ground.pack / suite.config)]
    if suite.entry_point is not None:
        if ground.find(suite.entry_point.partition("::")[0]) is None:
            return _missing(suite)
        arguments += ["--", suite.entry_point]
    return _python(ground, "pytest_cases.py", *arguments, env=_pytest_fallback())


def _node(suite: Suite, ground: Ground) -> Plan | Unavailable:
    node = shutil.which("node", path=ground.search)
    if node is None:
        return _NO_NODE
    entries = [suite.entry_point] if suite.entry_point else []
    if suite.entry_point is not None:
        entry = ground.find(suite.entry_point)
        if entry is None:
            return _missing(suite)
        if entry.is_dir():  # node takes files; what it would find in a folder differs between its versions
            entries = sorted(str(path.relative_to(ground.workspace.content)) for path in _node_tests(entry))
            if not entries:  # without a file node would search the whole pack
                return Unavailable(sentence=f"{suite.entry_point!r} holds no *.test.js, *.test.mjs or *.test.cjs")
    # One reporter for people, and packd's own, which prints nothing.
    reporters = ("spec", "stdout"), (HARNESS / "node_cases.mjs", "stderr")
    options = [
        option
        for reporter, destination in reporters
        for option in (f"--test-reporter={reporter}", f"--test-reporter-destination={destination}")
    ]
    return Plan(argv=(node, "--test", *options, *entries), reading="cases", readable=(HARNESS,))


def _jest(suite: Suite, ground: Ground) -> Plan | Unavailable:
    node = shutil.which("node", path=ground.search)
    if node is None:
        return _NO_NODE
    jest = ground.modules / "jest" / "bin" / "jest.js" if ground.modules is not None else None
    if jest is None or not ground.workspace.at(jest).is_file():
        return Unavailable(
            sentence="jest is not among the pack's packages; add it to `devDependencies` in package.json, "
            "or use `type: node` (node --test)"
        )
    arguments = ["--ci", "--no-cache", "--reporters=default", f"--reporters={HARNESS / 'jest_cases.cjs'}"]
    if suite.config is not None:
        if ground.find(suite.config) is None:
            return _missing(suite, suite.config)
        arguments.append(f"--config={suite.config}")
    if suite.entry_point is not None:
        entry = ground.find(suite.entry_point)
        if entry is None:
            return _missing(suite)
        # A pattern unless jest is told that they are paths, and paths are files.
        arguments += ["--rootDir=.", *(["--runTestsByPath"] if entry.is_file() else ["--roots"]), suite.entry_point]
    return Plan(argv=(node, str(jest), *arguments), reading="cases", readable=(HARNESS,))


_PLANS: Final[dict[str, Callable[[Suite, Ground], Plan | Unavailable]]] = {
    "script": _script,
    "command": _command,
    "tap": _tap,
    "unittest": _unittest,
    "pytest": _pytest,
    "node": _node,
    "jest": _jest,
}


# --- what they share -------------------------------------------------------------------------------------------------


def _reporting(suite: Suite, ground: Ground, argv: tuple[str, ...]) -> Plan:
    """A program that tells its results by itself: in the format that the suite, or else the pack, speaks of."""
    return Plan(
        argv=argv,
        reading="report",
        format=suite.result_format or ground.result_format,
        path=suite.result_path or ground.result_path,
        required=suite.result_format is not None,
    )


def _python(ground: Ground, program: str, *arguments: str, env: tuple[tuple[str, str], ...] = ()) -> Plan | Unavailable:
    if shutil.which(ground.python) is None:
        return Unavailable(sentence=f"there is no Python interpreter at {ground.python}; set tests.python to one")
    lent = tuple(Path(folder) for _, folder in env)
    argv = (str(ground.python), str(HARNESS / program), *arguments)
    return Plan(argv=argv, reading="cases", env=env, for_tests=("PYTHONPATH",), readable=(HARNESS, *lent))


def _pytest_fallback() -> tuple[tuple[str, str], ...]:
    """Where packd's own interpreter has pytest from, for packs whose interpreter has none."""
    found = importlib.util.find_spec("pytest")
    if found is None or found.origin is None:
        return ()
    return (("PACKD_PYTEST_FALLBACK", str(Path(found.origin).parent.parent)),)


def _is_module(ground: Ground, name: str) -> bool:
    """Is it a dotted name (`tests.test_actions.Cases`) that begins with a module or folder of the pack?"""
    first, _, rest = name.partition(".")
    places = (f"{root}{first}{ending}" for root in ("", *(f"{root}/" for root in ROOTS)) for ending in ("", ".py"))
    return first.isidentifier() and bool(rest) and any(ground.find(place) is not None for place in places)


def _usual_folder(ground: Ground) -> str:
    return "tests" if (ground.workspace.content / "tests").is_dir() else "."


def _node_tests(folder: Path) -> list[Path]:
    found = (path for ending in ("js", "mjs", "cjs") for path in folder.rglob(f"*.test.{ending}"))
    return [path for path in found if path.is_file() and "node_modules" not in path.parts]


def _missing(suite: Suite, path: str | None = None) -> Unavailable:
    wanted = path or suite.entry_point
    return Unavailable(sentence=f"{wanted!r} is not in the pack (or is a link that leads out of it)")


def _no_entry_point(suite: Suite) -> Unavailable:
    return Unavailable(
        sentence=f"a {suite.runner_type} suite needs an `entry_point:`, the path of its script in the pack"
    )
