"""The `testing:` section: what it says becomes suites, and every mistake has its code and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from packd.domain.manifest import Suite, Testing
from packd.validate.convention import suites_by_convention
from packd.validate.findings import Findings, Runtime
from packd.validate.load import check

HEAD = "ref: demo\nversion: 1.0.0\n"
FULL = """\
ref: demo
version: 1.0.0
testing:
  enabled: true
  discovery: {method: directory, path: tests}
  runners:
    shell:  {type: script,   entry_point: tests/run_tests.sh, timeout: 60, result_format: simple}
    python:
      type: unittest
      entry_point: ./tests/test_actions.py
      timeout: 1.5
      requirements: tests/requirements-test.txt
      config: tests/setup.cfg
      env: {MODE: fast, DEBUG: 1, LIVE: no}
      network: true
      result_path: out/
    make: {type: command, command: make test}
  result_format: junit-xml
  result_path: tests/results/
  min_pass_rate: 0.9
  on_failure: warn
  parallel: true
"""
FILES = ("tests/run_tests.sh", "tests/test_actions.py", "tests/requirements-test.txt", "tests/setup.cfg")


def checked(tree: Path, text: str, files: tuple[str, ...] = FILES) -> Findings:
    for name in files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tree / "pack.yaml").write_text(text)
    return check(tree, name="demo", runtime=Runtime(python="3.11.7", node="20.20.2"))


def places(findings: Findings) -> list[str]:
    """Each problem as `code line:column → suggestion`; all are in pack.yaml."""
    assert {problem.file for problem in findings.problems} <= {"pack.yaml"}
    return [
        f"{problem.code} {problem.line}:{problem.column}" + (f" → {problem.suggestion}" if problem.suggestion else "")
        for problem in findings.problems
    ]


def section_of(findings: Findings) -> Testing:
    assert findings.problems == ()
    assert findings.manifest is not None
    assert findings.manifest.testing is not None
    return findings.manifest.testing


def test_every_key_arrives(tmp_path: Path) -> None:
    """All that the section can say is in the value, paths in their shortest form, variables as they were written."""
    assert section_of(checked(tmp_path, FULL)) == Testing(
        enabled=True,
        method="directory",
        path="tests",
        suites=(
            Suite(
                name="shell",
                runner_type="script",
                entry_point="tests/run_tests.sh",
                timeout_s=60,
                result_format="simple",
            ),
            Suite(
                name="python",
                runner_type="unittest",
                entry_point="tests/test_actions.py",
                timeout_s=1.5,
                requirements="tests/requirements-test.txt",
                config="tests/setup.cfg",
                env=(("MODE", "fast"), ("DEBUG", "1"), ("LIVE", "no")),
                network=True,
                result_path="out",
            ),
            Suite(name="make", runner_type="command", command="make test"),
        ),
        parallel=True,
        min_pass_rate=0.9,
        on_failure="warn",
        result_format="junit-xml",
        result_path="tests/results",
    )


def test_no_section_is_no_testing(tmp_path: Path) -> None:
    """Whether a pack may go without tests is decided elsewhere."""
    for text in (HEAD, HEAD + "testing:\n"):
        findings = checked(tmp_path, text)
        assert findings.manifest is not None
        assert findings.manifest.testing is None


def test_a_disabled_section_may_point_at_nothing(tmp_path: Path) -> None:
    """Tests that nobody will run need not exist yet."""
    text = HEAD + "testing: {enabled: false, runners: {a: {type: script, entry_point: later.sh}}}\n"
    assert section_of(checked(tmp_path, text, ())).enabled is False
    assert section_of(checked(tmp_path, HEAD + "testing: {enabled: false}\n", ())).suites == ()


@pytest.mark.parametrize(
    ("section", "suite"),
    [
        ("{discovery: {method: executable, command: make test, timeout: 180}}",
         Suite(name="executable", runner_type="command", command="make test", timeout_s=180)),
        ("{discovery: {method: manifest, tests: [{name: Unit, runner: python, command: pytest -v, timeout: 60}]}}",
         Suite(name="Unit", runner_type="command", command="pytest -v", timeout_s=60)),
        ("{discovery: {method: manifest, tests: [{name: Unit, command: ./t}]}}",
         Suite(name="Unit", runner_type="command", command="./t")),
        ("{discovery: {method: manifest, tests: [{name: T, runner: tap, command: ./t}]}}",
         Suite(name="T", runner_type="tap", command="./t")),
        ("{discovery: {method: manifest, tests: [{name: U, runner: unittest, entry_point: tests/test_actions.py}]}}",
         Suite(name="U", runner_type="unittest", entry_point="tests/test_actions.py")),
        ("{discovery: {method: manifest, tests: [{name: U, runner: p, timeout: 9}]},"
         " runners: {p: {type: pytest, entry_point: tests, env: {A: b}, timeout: 5}}}",
         Suite(name="U", runner_type="pytest", entry_point="tests", env=(("A", "b"),), timeout_s=9)),
        ("{discovery: {method: manifest, tests: [{name: U, runner: p, command: ./x}]},"
         " runners: {p: {type: pytest, entry_point: tests, network: true, timeout: 5}}}",
         Suite(name="U", runner_type="command", command="./x", network=True, timeout_s=5)),
        ("{runners: {p: {type: pytest}}}", Suite(name="p", runner_type="pytest", entry_point="tests")),
        ("{runners: {p: {type: pytest, entry_point: 'tests/test_actions.py::T::test_a'}}}",
         Suite(name="p", runner_type="pytest", entry_point="tests/test_actions.py::T::test_a")),
        ("{runners: {p: {type: unittest, entry_point: tests.test_actions.Case}}}",
         Suite(name="p", runner_type="unittest", entry_point="tests.test_actions.Case")),
        ("{runners: {t: {type: tap, command: ./t}}}", Suite(name="t", runner_type="tap", command="./t")),
        ("{runners: {t: {type: tap, entry_point: tests/run_tests.sh}}}",
         Suite(name="t", runner_type="tap", entry_point="tests/run_tests.sh")),
        ("{discovery: {path: .}, runners: {}}",
         Suite(name="python", runner_type="unittest", entry_point=".")),
    ],
)  # fmt: skip
def test_ways_to_declare_a_suite(tmp_path: Path, section: str, suite: Suite) -> None:
    """Each discovery method and each way to say what runs gives one suite."""
    suites = section_of(checked(tmp_path, HEAD + f"testing: {section}\n")).suites
    assert suites == (suite,)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("yes", ["testing.invalid_field 3:10"]),
        ("{enabled: 1, runners: {a: {type: pytest}}}", ["testing.invalid_field 3:20 → true"]),
        ("{discovery: directory, runners: {a: {type: pytest}}}", ["testing.invalid_field 3:22"]),
        ("{discovery: {method: folder}}", ["testing.unknown_method 3:31"]),
        ("{discovery: {method: Manifest, tests: []}}", ["testing.unknown_method 3:31 → manifest"]),
        ("{discovery: {path: ../x}}", ["testing.invalid_path 3:29"]),
        ("{discovery: {path: none, method: manifst}}", ["testing.unknown_method 3:43 → manifest"]),
        ("{discovery: {path: none}, runners: [a]}", ["testing.invalid_field 3:45"]),
        ("{discovery: {path: none}}", ["testing.no_suites 3:29"]),
        ("{discovery: {method: manifest}}", ["testing.no_suites 3:22"]),
        ("{discovery: {method: manifest, tests: []}}", ["testing.no_suites 3:41"]),
        ("{discovery: {method: manifest, tests: a}}", ["testing.invalid_field 3:48"]),
        ("{discovery: {method: manifest, test: []}}", ["testing.no_suites 3:41 → tests", "testing.unknown_key 3:41 → tests"]),
        ("{discovery: {method: manifest, tests: [x]}}", ["testing.invalid_field 3:49"]),
        ("{discovery: {method: manifest, tests: [{command: x}]}}", ["testing.missing_name 3:49"]),
        ("{discovery: {method: manifest, tests: [{name: a, command: x}, {name: a, command: x}]}}", ["testing.duplicate_name 3:79"]),
        ("{discovery: {method: manifest, tests: [{name: a}]}}", ["testing.missing_command 3:49"]),
        ("{discovery: {method: manifest, tests: [{name: a, runner: python}]}}", ["testing.unknown_runner 3:67 → unittest"]),
        ("{discovery: {method: executable}}", ["testing.missing_command 3:22"]),
        ("{discovery: {method: executable, cmd: x}}", ["testing.missing_command 3:22", "testing.unknown_key 3:43"]),
        ("{discovery: {method: executable, command: ' '}}", ["testing.missing_command 3:52"]),
        ("{discovery: {method: executable, command: x}, runners: {a: {type: pytest}}}", ["testing.unknown_key 3:56"]),
        ("{runner: {a: {type: pytest}}}", ["testing.unknown_key 3:11 → runners"]),
        ('{runners: {"a\\e": {type: pytest}}}', ["testing.invalid_name 3:21"]),
        ("{runners: {'': {type: pytest}}}", ["testing.invalid_name 3:21"]),
        ("{discovery: {method: manifest, tests: [{name: %s, command: x}]}}" % ("n" * 101), ["testing.invalid_name 3:56"]),
        ("{runners: [a]}", ["testing.invalid_field 3:20"]),
        ("{runners: {a: pytest}}", ["testing.invalid_field 3:24"]),
        ("{runners: {a: }}", ["testing.invalid_field 3:24"]),
        ("{runners: {shell: {entry_point: tests/run_tests.sh}}}", ["testing.unknown_runner 3:28 → type: script"]),
        ("{runners: {a: {tpye: pytest}}}", ["testing.unknown_key 3:25 → type", "testing.unknown_runner 3:25 → type"]),
        ("{runners: {a: {type: pytests}}}", ["testing.unknown_runner 3:31 → pytest"]),
        ("{runners: {a: {type: shell, entry_point: tests/run_tests.sh}}}", ["testing.unknown_runner 3:31 → script"]),
        ("{runners: {a: {type: 3}}}", ["testing.unknown_runner 3:31"]),
        ("{runners: {a: {type: script}}}", ["testing.entry_point 3:24"]),
        ("{runners: {a: {type: script, entrypoint: tests/run_tests.sh}}}", ["testing.entry_point 3:39 → entry_point", "testing.unknown_key 3:39 → entry_point"]),
        ("{runners: {a: {type: script, entry_point: tests/run_test.sh}}}", ["testing.entry_point 3:52 → tests/run_tests.sh"]),
        ("{runners: {a: {type: script, entry_point: tests}}}", ["testing.entry_point 3:52"]),
        ("{runners: {a: {type: script, entry_point: /bin/true}}}", ["testing.entry_point 3:52"]),
        ("{runners: {a: {type: script, entry_point: tests/../../x}}}", ["testing.entry_point 3:52"]),
        ('{runners: {a: {type: script, entry_point: "a\\tb"}}}', ["testing.entry_point 3:52"]),
        ("{runners: {a: {type: unittest, entry_point: tests.test_nothing}}}", ["testing.entry_point 3:54"]),
        ("{runners: {a: {type: command}}}", ["testing.missing_command 3:24"]),
        ("{runners: {a: {type: pytest, command: make}}}", ["testing.invalid_field 3:39 → type: command"]),
        ("{runners: {a: {type: pytest, timeout: 0}}}", ["testing.invalid_timeout 3:48"]),
        ("{runners: {a: {type: pytest, timeout: -1}}}", ["testing.invalid_timeout 3:48"]),
        ("{runners: {a: {type: pytest, timeout: 60s}}}", ["testing.invalid_field 3:48 → 60"]),
        ("{runners: {a: {type: pytest, timeout: 1e3}}}", ["testing.invalid_field 3:48 → 1000"]),
        ("{runners: {a: {type: pytest, timeout: 2 min}}}", ["testing.invalid_field 3:48"]),
        ("{runners: {a: {type: pytest, result_format: junit}}}", ["testing.unknown_result_format 3:54 → junit-xml"]),
        ("{runners: {a: {type: pytest, result_path: /tmp}}}", ["testing.invalid_path 3:52"]),
        ("{runners: {a: {type: pytest, requirements: tests/requirement-test.txt}}}", ["testing.missing_file 3:53 → tests/requirements-test.txt"]),
        ("{runners: {a: {type: pytest, config: ../x}}}", ["testing.invalid_path 3:47"]),
        ("{runners: {a: {type: pytest, env: [A]}}}", ["testing.invalid_field 3:44"]),
        ("{runners: {a: {type: pytest, env: {1A: x}}}}", ["testing.invalid_env 3:45"]),
        ("{runners: {a: {type: pytest, env: {PACKD_RUN_ID: x}}}}", ["testing.invalid_env 3:45"]),
        ("{runners: {a: {type: pytest, env: {A: [x]}}}}", ["testing.invalid_env 3:48"]),
        ("{runners: {a: {type: pytest, network: maybe}}}", ["testing.invalid_field 3:48"]),
        ("{runners: {a: {type: pytest}}, min_pass_rate: 95}", ["testing.invalid_pass_rate 3:56 → 0.95"]),
        ("{runners: {a: {type: pytest}}, min_pass_rate: -0.1}", ["testing.invalid_pass_rate 3:56"]),
        ("{runners: {a: {type: pytest}}, min_pass_rate: .nan}", ["testing.invalid_field 3:56"]),
        ("{runners: {a: {type: pytest}}, on_failure: bloc}", ["testing.unknown_on_failure 3:53 → block"]),
        ("{runners: {a: {type: pytest}}, result_format: xml}", ["testing.unknown_result_format 3:56"]),
        ("{runners: {a: {type: pytest}}, result_path: ..}", ["testing.invalid_path 3:54"]),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, section: str, expected: list[str]) -> None:
    """Each mistake in the section gives its code, its place and, where there is one, what was meant."""
    assert places(checked(tmp_path, HEAD + f"testing: {section}\n")) == expected


def test_an_entry_point_that_leads_out_is_refused(tmp_path: Path) -> None:
    """A link to a program outside is as much outside as `..`."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/out.sh").symlink_to("/bin/sh")
    text = HEAD + "testing: {runners: {a: {type: script, entry_point: tests/out.sh}}}\n"
    findings = checked(tmp_path, text)
    assert [problem.code for problem in findings.problems] == ["testing.entry_point"]
    assert "leads out of the pack" in findings.problems[0].message


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["t/run_tests.sh"], [("shell", "script", "t/run_tests.sh")]),
        (["t/deep/run_tests.sh"], []),
        (["t/test_a.py", "t/deep/test_b.py"], [("python", "unittest", "t")]),
        (["t/test_a.py", "t/pytest_style/test_b.py"], [("python", "pytest", "t")]),
        (["t/test_a.py", "t/conftest.py"], [("python", "pytest", "t")]),
        (["t/a.test.js"], [("node", "node", "t/a.test.js")]),
        (["t/a.test.js", "t/b.test.mjs", "t/c.test.ts"], [("node", "node", "t")]),
        (["t/actions_test.py", "t/test.js", "t/readme.md"], []),
        (["t/a.test.mjs", "t/run_tests.sh", "t/test_a.py"], [
            ("shell", "script", "t/run_tests.sh"), ("python", "unittest", "t"), ("node", "node", "t/a.test.mjs"),
        ]),
    ],
)  # fmt: skip
def test_suites_found_by_convention(files: list[str], found: list[tuple[str, str, str]]) -> None:
    """One suite for each way of running that the files ask for, each with what it is started with."""

    def source(path: str) -> str:
        return "def test_it():\n    pass\n" if "pytest_style" in path else "class T:\n    def test_it(self): ...\n"

    suites = suites_by_convention("t", files, source)
    assert [(suite.name, suite.runner_type, suite.entry_point) for suite in suites] == found


@pytest.mark.parametrize(
    ("source", "runner_type"),
    [
        ("import unittest\nclass T(unittest.TestCase):\n    def test_a(self): ...\n", "unittest"),
        ("import pytest\n", "pytest"),
        ("    from pytest import fixture\n", "pytest"),
        ("async def test_a(): ...\n", "pytest"),
        ("class T(Shared):\n    __test__ = True\n    def test_a(self): ...\n", "pytest"),
        ("__test__ = {}\n# import pytest would be nice\nx = 'def test_'\nimport pytestish\n", "unittest"),
    ],
)
def test_pytest_is_chosen_where_only_it_would_do(source: str, runner_type: str) -> None:
    """An import of pytest, a test that is a plain function, or a class that says whether it holds tests needs pytest; all
    else runs on the standard library."""
    assert suites_by_convention("", ["test_a.py"], lambda _: source)[0].runner_type == runner_type


def test_convention_reads_the_real_folder(tmp_path: Path) -> None:
    """Installed packages and hidden folders hold no tests of the pack."""
    files = (
        "tests/test_a.py",
        "tests/node_modules/x/a.test.js",
        "tests/.venv/test_b.py",
        "tests/__pycache__/test_c.py",
    )
    (tmp_path / "tests").mkdir()
    suites = section_of(checked(tmp_path, HEAD + "testing: {}\n", files)).suites
    assert suites == (Suite(name="python", runner_type="unittest", entry_point="tests"),)


def test_finding_nothing_names_what_was_looked_for(tmp_path: Path) -> None:
    """The message lists the file names that would have been found, and where."""
    checked(tmp_path, HEAD, ("tests/readme.md",))
    for text, where in (("testing: {}", "'tests/' holds none"), ("testing: {discovery: {path: t}}", "no folder 't/'")):
        findings = checked(tmp_path, HEAD + text, ())
        assert [problem.code for problem in findings.problems] == ["testing.no_suites"]
        for word in ("run_tests.sh", "test_*.py", "*.test.js", "*.test.mjs", where):
            assert word in findings.problems[0].message
