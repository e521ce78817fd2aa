"""Suites that nobody declared: what lies in the tests folder says how it is run. Pure."""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from packd.domain.manifest import RunnerType, Suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

LOOKED_FOR: Final = ("run_tests.sh", "test_*.py", "*.test.js", "*.test.mjs")

# What only pytest runs: its import, tests that are functions of the module, and classes that say by `__test__` whether
# they hold tests, which unittest does not ask.
_PYTEST: Final = re.compile(
    r"^(?:[ \t]*(?:import|from)[ \t]+pytest\b|(?:async[ \t]+)?def[ \t]+test|[ \t]+__test__[ \t]*=)", re.MULTILINE
)


def suites_by_convention(path: str, files: Sequence[str], source: Callable[[str], str]) -> tuple[Suite, ...]:
    """One suite for each way of running that the files below the folder `path` ask for.

    `files` are their paths inside the pack, at any depth; `source` gives the text of one of them.
    """
    return (*_shell(path, files), *_python(path, files, source), *_node(path, files))


def _shell(path: str, files: Sequence[str]) -> Iterable[Suite]:
    script = posixpath.join(path, "run_tests.sh")
    if script in files:
        yield Suite(name="shell", runner_type="script", entry_point=script)


def _python(path: str, files: Sequence[str], source: Callable[[str], str]) -> Iterable[Suite]:
    found = _matching(files, "test_*.py")
    if not found:
        return
    conftest = any(posixpath.basename(file) == "conftest.py" for file in files)
    for_pytest = conftest or any(_PYTEST.search(source(file)) for file in found)
    runner_type: RunnerType = "pytest" if for_pytest else "unittest"
    yield Suite(name="python", runner_type=runner_type, entry_point=path or ".")


def _node(path: str, files: Sequence[str]) -> Iterable[Suite]:
    found = _matching(files, "*.test.js", "*.test.mjs")
    if found:
        yield Suite(name="node", runner_type="node", entry_point=found[0] if len(found) == 1 else path or ".")


def _matching(files: Sequence[str], *patterns: str) -> list[str]:
    return [file for file in files if any(fnmatchcase(posixpath.basename(file), pattern) for pattern in patterns)]
