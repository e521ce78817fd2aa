"""Real packages, from the registries that this machine is set up with. Skipped, loudly, where there is no way to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from packd.domain.manifest import Suite
from packd.testrun.environments.origins import Origins
from tests.unit.environments_ground import made_ground, needs_registry
from tests.unit.testrun_ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import Report

PYPI = "https://pypi.org/simple/six/"
NPM = "https://registry.npmjs.org/is-number"


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    yield from made_ground(tmp_path, Origins())


def names(found: tuple[str, ...]) -> set[str]:
    return {package.replace("==", "@").rpartition("@")[0] for package in found}


def test_packages_of_pypi(ground: Ground) -> None:
    """A pack that declares packages of PyPI gets them, and pytest beside them."""
    needs_registry(PYPI)
    ground.write("requirements.txt", "six==1.16.0\n")
    ground.write("test_a.py", "import attr, six\ndef test_it(): assert six.__version__ == '1.16.0'\n")
    suite = Suite(name="p", runner_type="pytest", entry_point="test_a.py")
    report = ground.run(suite, python_dependencies=("attrs>=22",))
    assert report.status == "passed", report.to_dict()
    assert report.environment is not None
    assert "six==1.16.0" in report.environment.packages
    assert {"attrs", "six", "pytest"} <= names(report.environment.packages)


def node_pack(ground: Ground, **sections: dict[str, str]) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("NO NODE: npm packages are not tested here")
    needs_registry(NPM)
    ground.write("package.json", json.dumps({"name": "pack", "version": "1.0.0", **sections}))


def run(ground: Ground, runner_type: str, entry_point: str) -> Report:
    return ground.run(
        Suite(name="s", runner_type=runner_type, entry_point=entry_point),  # type: ignore[arg-type]
        timeout_s=60.0,
    )


def test_packages_of_npm(ground: Ground) -> None:
    """A pack that declares packages of npm gets them, and what they bring lies on PATH; the report lists them."""
    node_pack(ground, dependencies={"is-number": "7.0.0"}, devDependencies={"semver": "7.6.0"})
    ground.write(
        "tests/a.test.js",
        "const n = require('is-number');\nrequire('node:test')('five', () => require('node:assert').ok(n(5)));\n",
    )
    report = run(ground, "node", "tests")
    assert report.status == "passed", report.to_dict()
    assert report.environment is not None
    assert {"is-number@7.0.0", "semver@7.6.0"} <= set(report.environment.node_packages)
    assert report.environment.node
    assert ground.shell("semver 1.2.3").output_tail.strip() == "1.2.3"


def test_a_package_that_npm_does_not_have(ground: Ground) -> None:
    """The pack's fault, with npm's own words."""
    node_pack(ground, dependencies={"is-number": "999.0.0"})
    ground.write("a.test.js", "")
    report = run(ground, "node", "a.test.js")
    assert (report.status, report.reason) == ("error", "unavailable")
    assert report.environment is not None
    assert report.environment.failed == "pack", report.detail
    assert "is-number" in (report.detail or "")


def test_an_npm_registry_that_is_not_there(tmp_path: Path) -> None:
    """The network's fault, told apart in npm's words too."""
    if shutil.which("npm") is None:
        pytest.skip("NO NODE: npm packages are not tested here")
    for ground in made_ground(
        tmp_path, Origins(npm_registry="http://127.0.0.1:9/", environ={"npm_config_fetch_retries": "0"})
    ):
        ground.write("package.json", json.dumps({"name": "x", "version": "1.0.0", "dependencies": {"is-number": "7"}}))
        ground.write("a.test.js", "")
        environment = run(ground, "node", "a.test.js").environment
        assert environment is not None
        assert environment.failed == "network"


def test_jest(ground: Ground) -> None:
    """Where it is declared, jest runs and tells of each case: passed, failed with the reason, skipped, not loadable."""
    node_pack(ground, devDependencies={"jest": "^29.7.0"})
    ground.write(
        "tests/a.test.js",
        """
        test("good", () => expect(1).toBe(1));
        describe("group", () => {
          test("bad", () => expect(1).toBe(2));
          test.skip("later", () => {});
          test.todo("some day");
        });
        """,
    )
    ground.write("tests/broken.test.js", "require('./nothing-here');\n")
    report = run(ground, "jest", "tests")
    cases = {case.name: case for case in report.test_suites[0].test_cases}
    assert {name: case.status for name, case in cases.items()} == {
        "tests/a.test.js > good": "passed",
        "tests/a.test.js > group bad": "failed",
        "tests/a.test.js > group later": "skipped",
        "tests/a.test.js > group some day": "skipped",
        "tests/broken.test.js": "error",
    }
    assert "Expected: 2" in (cases["tests/a.test.js > group bad"].error_message or "")
    assert report.reason == "failures"
    assert ground.told
