"""Runs unittest tests and reports each of them: `python unittest_cases.py ENTRY`, in the pack's root.

ENTRY is a file, a folder (every test*.py below it) or a dotted name. A sub-test is a case of its own; the test around
it is one as well only when it fails outside of its sub-tests. An expected failure neither passed nor failed: skipped.
A file that can't be imported is a case with its traceback. Exit status 0: nothing failed; 1: something did; 5: no test.
"""

# Executed by the pack's interpreter: nothing newer than Python 3.8, nothing but the standard library.

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
import unittest
from pathlib import Path
from time import perf_counter  # by its name: tests put other clocks into the module
from traceback import format_exc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from packd.testrun.harness.packd_case_stream import CaseStream, before_installed, pass_for, take_python_path
else:
    from packd_case_stream import CaseStream, before_installed, pass_for, take_python_path


class Tee(io.StringIO):
    """Keeps what a test prints and lets it through: to the test it is the stream behind it, which stays open."""

    def __init__(self, through: Any) -> None:
        super().__init__()
        self._through = through

    def said(self) -> str:
        """What was printed; nothing where the test closed it."""
        return "" if self.closed else self.getvalue()

    def write(self, text: str) -> int:
        length = super().write(text)  # an error where it is closed
        self._through.write(text)
        return length

    def flush(self) -> None:
        self._through.flush()

    def fileno(self) -> int:
        return int(self._through.fileno())

    @property
    def encoding(self) -> Any:  # type: ignore[override]
        return self._through.encoding

    @property
    def errors(self) -> Any:  # type: ignore[override]
        return self._through.errors

    def __getattr__(self, name: str) -> Any:
        """What streams of text in memory have not: `buffer`, `reconfigure`, `name`."""
        return getattr(self._through, name)


class Reporter(unittest.TestResult):
    """Turns what unittest says of each test into cases."""

    def __init__(self, stream: CaseStream) -> None:
        super().__init__()
        self.stream = stream
        self.cases = 0
        self.failed = 0
        self._began = perf_counter()
        self._subtests = 0
        self._reported = False
        self._streams = (sys.stdout, sys.stderr)

    def startTest(self, test: Any) -> None:  # noqa: N802
        super().startTest(test)
        self.stream.start(test.id())
        self._subtests, self._reported = 0, False
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = Tee(sys.stdout), Tee(sys.stderr)
        self._began = perf_counter()

    def stopTest(self, test: Any) -> None:  # noqa: N802
        cut_short = sys.exc_info()[0] is not None  # such as by Ctrl-C: what was not done has not passed
        if not self._reported and not self._subtests and not cut_short:
            self._case(test.id(), "passed")
        sys.stdout, sys.stderr = self._streams
        super().stopTest(test)

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        super().addSuccess(test)
        if not self._subtests:
            self._case(test.id(), "passed")

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self._case(test.id(), "failed", self.failures[-1][1])

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self._case(test.id(), "error", self.errors[-1][1])

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self._case(test.id(), "skipped", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self._case(test.id(), "skipped", "expected failure\n" + self.expectedFailures[-1][1])

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self._case(test.id(), "failed", "unexpected success: it is marked as an expected failure, and passed")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        self._subtests += 1
        if err is None:
            self._case(subtest.id(), "passed")
        elif issubclass(err[0], test.failureException):
            self._case(subtest.id(), "failed", self.failures[-1][1])
        else:
            self._case(subtest.id(), "error", self.errors[-1][1])

    def _case(self, name: str, status: str, message: str = "") -> None:
        self._reported = True
        self.cases += 1
        self.failed += status in ("failed", "error")
        now = perf_counter()
        out, err = (each.said() if isinstance(each, Tee) else "" for each in (sys.stdout, sys.stderr))
        duration = round((now - self._began) * 1000, 3)
        self.stream.case(name, status, duration_ms=duration, error_message=message, stdout=out, stderr=err)
        sign = {"passed": "ok", "failed": "FAIL", "error": "ERROR", "skipped": "skipped"}[status]
        shown = f"\n{message}" if message and status in ("failed", "error") else ""
        say(f"{name} ... {sign}{shown}", self._streams[1])
        self._began = now


def say(words: str, where: Any) -> None:
    if where is not None:
        where.write(words + "\n")
        where.flush()


class Unloadable:
    """Stands in a suite for a file that could not be imported.

    No TestCase: those of this module are what an unguarded unittest.main() in a pack's file looks for.
    """

    def __init__(self, name: str, why: str, skipped: bool) -> None:
        self._name, self._why, self._skipped = name, why, skipped

    def id(self) -> str:
        return self._name

    def countTestCases(self) -> int:  # noqa: N802
        return 1

    def __call__(self, result: Any) -> None:
        result._streams = (sys.stdout, sys.stderr)
        result.testsRun += 1
        result._began = perf_counter()
        result._case(self._name, "skipped" if self._skipped else "error", self._why)


def load(entry: str) -> unittest.TestSuite:
    """The tests of a file, a folder or a dotted name."""
    loader, place = unittest.defaultTestLoader, Path(entry)
    if place.is_dir():
        return unittest.TestSuite(load_file(loader, path) for path in test_files(place))
    if place.is_file():
        return unittest.TestSuite([load_file(loader, place)])
    return guarded(entry, lambda: loader.loadTestsFromName(entry))


def test_files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each != "__pycache__")
        for name in sorted(files):
            if name.startswith("test") and name.endswith(".py"):
                yield Path(place, name)


def load_file(loader: unittest.TestLoader, path: Path) -> unittest.TestSuite:
    return guarded(str(path), lambda: loader.loadTestsFromModule(import_file(path)))


def guarded(name: str, loading: Any) -> unittest.TestSuite:
    """What `loading` yields, or the one case that says why it can't be had."""
    try:
        return alone(loading())
    except unittest.SkipTest as why:
        return alone(Unloadable(name, str(why), True))
    except SystemExit:
        why_not = (
            "it calls sys.exit(), or unittest.main(), while it is imported; keep that under "
            "`if __name__ == '__main__':`\n"
        )
        return alone(Unloadable(name, why_not + format_exc(), False))
    except Exception:
        return alone(Unloadable(name, format_exc(), False))


def alone(test: Any) -> unittest.TestSuite:
    """A suite of one."""
    return unittest.TestSuite([test])


def import_file(path: Path) -> ModuleType:
    """Import by name, so that tests can be pickled and relative imports work: as part of its package if it is in one."""
    path = Path.cwd() / path
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file() and root.parent != root:
        root, names = root.parent, [root.name, *names]
    prefer(str(root))
    if len(names) > 1 and str(path.parent) not in sys.path:
        sys.path.insert(before_installed(), str(path.parent))  # for neighbours, behind all that the pack calls so
    if all(name.isidentifier() for name in names):
        module = importlib.import_module(".".join(names))
        found = getattr(module, "__file__", None)
        if found and Path(found).resolve() == path.resolve():
            return module
    return import_alone(path)


def prefer(place: str) -> None:
    """Look there first."""
    if place in sys.path:
        sys.path.remove(place)
    sys.path.insert(0, place)


def import_alone(path: Path) -> ModuleType:
    """Import under a name of its own: another module has its name, or its name is none."""
    place = os.path.relpath(path)  # in the pack: the same in every run
    name = "packd_" + "".join(sign if sign.isalnum() else "_" for sign in place)
    spec = importlib.util.spec_from_file_location(name, str(path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(entry: str) -> int:
    sys.path[0] = str(Path.cwd())  # as `python -m unittest` has it, in place of this file's folder
    take_python_path()
    pass_for("unittest")
    sys.argv = [entry]
    reporter = Reporter(CaseStream())
    load(entry).run(reporter)
    reporter.stream.end()
    cases = "1 case" if reporter.cases == 1 else f"{reporter.cases} cases"
    say(f"\n{cases}, {reporter.failed} of them failed", sys.stderr)
    if not reporter.cases:
        return 5
    return 1 if reporter.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
