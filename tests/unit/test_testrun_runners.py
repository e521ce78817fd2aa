"""Every runner type on a real pack: the cases that it finds, and the sentence when it can't be run."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import venv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from packd.domain.manifest import Suite
from packd.testrun.basic import BasicSandbox
from packd.testrun.executor import CancelToken, Limits
from packd.testrun.sandbox import SandboxFailed
from tests.attacks import rungs
from tests.unit.testrun_ground import Ground, made_ground, shell
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import SuiteReport
    from packd.testrun.sandbox import OpenCell, Order


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    yield from made_ground(tmp_path)


def ended(suite: SuiteReport) -> dict[str, str]:
    return {case.name: case.status for case in suite.test_cases}


def suite_of(kind: str, entry: str | None = None, **more: object) -> Suite:
    # Only what is tested here: plugins that happen to be installed take a second to import.
    env = (("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"),)
    return Suite(name="s", runner_type=kind, entry_point=entry, env=env, **more)  # type: ignore[arg-type]


def one(ground: Ground, kind: str, entry: str | None = None, **more: object) -> SuiteReport:
    return ground.run(suite_of(kind, entry, **more)).test_suites[0]


# --- script and command ----------------------------------------------------------------------------------------------


def test_a_script_that_only_has_an_exit_status_is_one_case(ground: Ground) -> None:
    """Nothing to count: the suite is the case."""
    ground.write("tests/run_tests.sh", "#!/bin/sh\necho fine\n", mode=0o755)
    suite = one(ground, "script", "tests/run_tests.sh")
    assert (suite.status, suite.total, suite.passed) == ("passed", 1, 1)
    assert suite.test_cases[0].name == "s"
    assert suite.test_cases[0].stdout == "fine\n"


def test_a_script_that_fails_says_how(ground: Ground) -> None:
    """The exit status is in the report, and what was printed."""
    ground.write("run.sh", "#!/bin/sh\necho oh no >&2\nexit 3\n", mode=0o755)
    suite = one(ground, "script", "run.sh")
    assert (suite.status, suite.reason, suite.exit_code, suite.failed) == ("failed", "failures", 3, 1)
    assert suite.test_cases[0].error_message == "it ended with exit status 3"
    assert "oh no" in suite.output_tail


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        ("run.sh", "#!/bin/sh\nexit 0\n", 0o644),
        ("run.sh", "exit 0\n", 0o644),
        ("run", "#!/usr/bin/env python3\nimport sys; sys.exit(sys.version_info < (3, 8))\n", 0o755),
        ("run.py", "import sys; sys.exit(0)\n", 0o644),
        ("run.sh", "#!/bin/sh -eu\ntrue\n", 0o755),
        ("run.sh", "#!\t/bin/sh\t-eu\ntrue\n", 0o755),
    ],
)
def test_a_script_is_started_by_what_it_says(ground: Ground, name: str, text: str, mode: int) -> None:
    """The first line decides, executable or not; without one, the ending does."""
    ground.write(name, text, mode=mode)
    assert one(ground, "script", name).status == "passed"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.sh", "#!/opt/none/bin/zsh\n", "/opt/none/bin/zsh"),
        ("run.sh", "#!/usr/bin/env no-such-shell\n", "no-such-shell"),
        ("run.sh", "#!/bin/sh\r\nexit 0\r\n", "carriage return"),
        ("run.xyz", "hello\n", "does not say what runs it"),
    ],
)
def test_a_script_that_can_not_be_started_is_unavailable(ground: Ground, name: str, text: str, said: str) -> None:
    """Not a failure of the tests: the machine, or the first line, is at fault, and the sentence says which."""
    (ground.tree / name).write_bytes(text.encode())
    suite = one(ground, "script", name)
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert said in (suite.detail or "")


@pytest.mark.parametrize("entry", ["missing.sh", "../outside.sh", "/bin/true", "link.sh", "loop", "a\0b"])
@pytest.mark.parametrize("kind", ["script", "unittest", "pytest", "node"])
def test_only_files_of_the_pack_are_run(ground: Ground, tmp_path: Path, entry: str, kind: str) -> None:
    """Missing, outside, or a link that leads outside: not run."""
    (tmp_path / "outside.sh").write_text("#!/bin/sh\n")
    (ground.tree / "link.sh").symlink_to("/bin/true")
    (ground.tree / "loop").symlink_to("loop")
    suite = one(ground, kind, entry)
    assert (suite.status, suite.reason) == ("error", "unavailable")


def test_a_printed_summary_is_counted(ground: Ground) -> None:
    """Counts in any colours; the exit status agrees."""
    suite = ground.shell(r"printf '\033[1mTotal Tests:\033[0m 36\n\033[32mPassed:\033[0m 35\nFailed: 0\nSkipped: 1\n'")
    assert (suite.status, suite.total, suite.passed, suite.skipped) == ("passed", 36, 35, 1)


def test_success_by_exit_status_does_not_hide_reported_failures(ground: Ground) -> None:
    """Exit status 0 and failures in the report: failed."""
    suite = ground.shell("echo 'Total Tests: 3, Passed: 2, Failed: 1'")
    assert (suite.status, suite.reason) == ("failed", "failures")
    assert "although its exit status is 0" in (suite.detail or "")


def test_a_green_report_does_not_hide_a_failing_exit_status(ground: Ground) -> None:
    """The exit status decides."""
    suite = ground.shell("echo 'Total Tests: 3, Passed: 3, Failed: 0'; exit 1")
    assert (suite.status, suite.reason) == ("failed", "inconsistent")


def test_counts_that_do_not_add_up_are_an_error(ground: Ground) -> None:
    """Nobody knows what was meant."""
    suite = ground.shell("echo 'Total Tests: 5, Passed: 3, Failed: 0'")
    assert (suite.status, suite.reason) == ("error", "inconsistent")


def test_a_suite_that_dies_by_a_signal_crashed(ground: Ground) -> None:
    """Also when it reported success before."""
    suite = ground.shell("echo 'Total Tests: 3, Passed: 3, Failed: 0'; kill -SEGV $$")
    assert (suite.status, suite.reason, suite.exit_code) == ("failed", "crash", -11)
    assert "SIGSEGV" in (suite.detail or "")


def test_a_plain_unittest_run_in_a_script_is_recognised(ground: Ground) -> None:
    """Real cases without the pack's help."""
    ground.write(
        "tests/test_a.py",
        "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): self.skipTest('no')\n",
    )
    suite = ground.shell(f"{sys.executable} -m unittest -v tests/test_a.py")
    assert ended(suite) == {"tests.test_a.T.test_a": "passed", "tests.test_a.T.test_b": "skipped"}


def test_a_plain_pytest_run_in_a_script_is_recognised(ground: Ground) -> None:
    """Its summary line is enough for the counts."""
    ground.write(
        "test_a.py",
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.mark.xfail\ndef test_c(): assert 0\n",
    )
    suite = ground.shell(f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -p no:cacheprovider test_a.py")
    assert (suite.status, suite.total, suite.passed, suite.failed, suite.skipped) == ("failed", 3, 1, 1, 1)


# --- unittest --------------------------------------------------------------------------------------------------------

UNITTEST = """
import sys, unittest
class Cases(unittest.TestCase):
    def test_passes(self): print("said")
    def test_fails(self): self.assertEqual(1, 2)
    def test_breaks(self): raise RuntimeError("broken")
    def test_skips(self): self.skipTest("not here")
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass
    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number): self.assertNotEqual(number, 1)
    def test_exits(self): sys.exit(0)
class Unset(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError("no class")
    def test_never(self): pass
"""
UNITTEST_ENDS = {
    "test_a.Cases.test_breaks": "error",
    "test_a.Cases.test_exits": "error",
    "test_a.Cases.test_expected": "skipped",
    "test_a.Cases.test_fails": "failed",
    "test_a.Cases.test_parts (number=0)": "passed",
    "test_a.Cases.test_parts (number=1)": "failed",
    "test_a.Cases.test_parts (number=2)": "passed",
    "test_a.Cases.test_passes": "passed",
    "test_a.Cases.test_skips": "skipped",
    "test_a.Cases.test_unexpected": "failed",
    "setUpClass (test_a.Unset)": "error",
}


def test_unittest_yields_real_cases(ground: Ground) -> None:
    """One case per test and per sub-test, with its outcome, time, message and output, told as it ends."""
    ground.write("tests/test_a.py", UNITTEST)
    suite = one(ground, "unittest", "tests/test_a.py")
    assert ended(suite) == UNITTEST_ENDS
    assert (suite.total, suite.passed, suite.failed, suite.skipped) == (11, 3, 6, 2)
    assert [case.name for _, case in ground.told] == [case.name for case in suite.test_cases]
    by_name = {case.name: case for case in suite.test_cases}
    assert by_name["test_a.Cases.test_passes"].stdout == "said\n"
    assert "RuntimeError: broken" in (by_name["test_a.Cases.test_breaks"].error_message or "")
    assert by_name["test_a.Cases.test_skips"].error_message == "not here"


def _runs_suites(python: Path) -> bool:
    asked = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 8))"], capture_output=True, check=False
    )
    return asked.stdout.strip() == b"True"


FOUND_PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")) + [
    Path(found) for minor in range(8, 16) if (found := shutil.which(f"python3.{minor}", path="/usr/local/bin:/usr/bin"))
]
OTHER_PYTHONS = [python for python in FOUND_PYTHONS if _runs_suites(python)]


@pytest.mark.parametrize("python", OTHER_PYTHONS, ids=lambda path: path.parts[-3])
def test_unittest_runs_on_other_pythons(ground: Ground, python: Path) -> None:
    """The runner is executed by the pack's interpreter: the same cases from Python 3.8 on."""
    ground.use_python(python)
    ground.write("tests/test_a.py", UNITTEST)
    assert ended(one(ground, "unittest", "tests/test_a.py")) == UNITTEST_ENDS


def test_unittest_finds_every_file_of_a_folder(ground: Ground) -> None:
    """Files with the same name in two folders, packages with relative imports, modules of the pack's usual roots."""
    test = "import unittest\nimport {what}\nclass T(unittest.TestCase):\n    def test_{name}(self): pass\n"
    ground.write("lib/shared.py", "")
    ground.write("actions/act.py", "")
    ground.write("tests/sibling.py", "")
    ground.write("tests/test_x.py", test.format(what="shared", name="one"))
    ground.write("tests/more/test_x.py", test.format(what="act", name="two"))
    ground.write("tests/more/test-dashed.py", test.format(what="sibling", name="three"))
    ground.write("tests/package/__init__.py", "")
    ground.write("tests/package/near.py", "")
    ground.write("tests/package/test_y.py", "from . import near\n" + test.format(what="os", name="four"))
    ground.write("tests/ignored.py", "raise SystemExit\n")
    suite = one(ground, "unittest", "tests")
    assert sorted(name.rpartition(".")[2] for name in ended(suite)) == [
        "test_four",
        "test_one",
        "test_three",
        "test_two",
    ]
    assert suite.status == "passed"


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_tests_find_what_lies_where_actions_keep_it(ground: Ground, kind: str) -> None:
    """`actions/lib` is on the way of an action twice, by itself and as a package of `actions`; and a folder of the same
    name among the tests, which are a package, does not come before it."""
    for folder in ("actions/lib", "tests", "tests/lib"):
        ground.write(f"{folder}/__init__.py", "")
    ground.write("actions/lib/words.py", "HELLO = 'hello'\n")
    ground.write("actions/greet.py", "from lib import base\ndef run(): return base.hello()\n")
    ground.write("actions/lib/base.py", "import words\ndef hello(): return words.HELLO\n")
    ground.write("tests/lib/support.py", "import unittest\nclass Shared(unittest.TestCase): pass\n")
    ground.write(
        "tests/test_greet.py",
        """
        import greet
        from tests.lib.support import Shared
        class T(Shared):
            def test_greet(self): self.assertEqual(greet.run(), "hello")
        """,
    )
    suite = one(ground, kind, "tests")
    assert (suite.status, suite.passed) == ("passed", 1), suite


def test_unittest_finds_a_neighbour_of_a_test_in_a_package(ground: Ground) -> None:
    """`import helper` works beside it, as where the folder is no package."""
    ground.write("tests/__init__.py", "")
    ground.write("tests/helper.py", "")
    ground.write(
        "tests/test_a.py",
        """
        import unittest
        import helper
        class T(unittest.TestCase):
            def test_a(self): pass
        """,
    )
    assert one(ground, "unittest", "tests").passed == 1


def test_unittest_takes_a_dotted_name(ground: Ground) -> None:
    """As `python -m unittest` does."""
    ground.write("tests/test_a.py", UNITTEST)
    assert ended(one(ground, "unittest", "tests.test_a.Cases.test_passes")) == {
        "tests.test_a.Cases.test_passes": "passed"
    }


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("import no_such_module\n", "error", "No module named 'no_such_module'"),
        ("def broken(:\n", "error", "SyntaxError"),
        ("import sys\nsys.exit(0)\n", "error", "`if __name__ == '__main__':`"),
        ("import unittest\nunittest.main()\n", "error", "`if __name__ == '__main__':`"),
        ("import unittest\nraise unittest.SkipTest('not on Linux')\n", "skipped", "not on Linux"),
    ],
)
def test_a_file_that_can_not_be_imported_is_a_case(ground: Ground, text: str, status: str, said: str) -> None:
    """With its traceback; the other files are run."""
    ground.write("tests/test_a.py", text)
    ground.write("tests/test_b.py", "import unittest\nclass T(unittest.TestCase):\n    def test_b(self): pass\n")
    suite = one(ground, "unittest", "tests")
    assert ended(suite) == {"tests/test_a.py": status, "test_b.T.test_b": "passed"}
    assert said in (suite.test_cases[0].error_message or "")


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_no_test_is_not_a_pass(ground: Ground, kind: str) -> None:
    """A suite that executes nothing says so."""
    ground.write("tests/test_a.py", "x = 1\n")
    report = ground.run(suite_of(kind, "tests"))
    assert (report.status, report.reason) == ("error", "no_tests")


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_only_skipped_tests_are_not_a_pass(ground: Ground, kind: str) -> None:
    """Skipped is a state of its own, and the run executed no test."""
    ground.write(
        "tests/test_a.py",
        "import unittest\n@unittest.skip('no')\nclass T(unittest.TestCase):\n    def test_a(self): pass\n",
    )
    report = ground.run(suite_of(kind, "tests"))
    assert (report.status, report.reason) == ("skipped", "no_tests")


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_the_test_that_was_running_at_a_crash_is_named(ground: Ground, kind: str) -> None:
    """A process that ends in the middle, even with exit status 0, crashed; the running test is an error."""
    ground.write(
        "tests/test_a.py",
        "import os, unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): os._exit(0)\n",
    )
    suite = one(ground, kind, "tests/test_a.py")
    assert (suite.status, suite.reason) == ("failed", "crash")
    assert list(ended(suite).values()) == ["passed", "error"]
    assert "test_b" in suite.test_cases[1].name


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_a_test_may_start_processes_by_multiprocessing(ground: Ground, kind: str) -> None:
    """They import the module of the test, and no program of packd, which is not where they look for modules."""
    ground.write(
        "tests/test_a.py",
        """
        import multiprocessing, unittest
        def square(number): return number * number
        class T(unittest.TestCase):
            def test_a(self):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    self.assertEqual(pool.map(square, [1, 2]), [1, 4])
        """,
    )
    suite = one(ground, kind, "tests/test_a.py", timeout_s=60.0)
    assert (suite.status, suite.passed) == ("passed", 1), suite.output_tail


def test_a_unittest_that_is_interrupted_has_not_passed(ground: Ground) -> None:
    """It is the one that was running when the suite ended."""
    ground.write(
        "test_a.py",
        """
        import unittest
        class T(unittest.TestCase):
            def test_a(self): raise KeyboardInterrupt
            def test_b(self): pass
        """,
    )
    suite = one(ground, "unittest", "test_a.py")
    assert (suite.reason, ended(suite)) == ("crash", {"test_a.T.test_a": "error"})


def test_cases_are_named_alike_in_every_run(ground: Ground) -> None:
    """Also those of files whose name another has, or that is none for a module: runs are compared by it."""
    for place in ("tests/test_x.py", "tests/more/test_x.py", "tests/test-y.py"):
        ground.write(place, "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n")
    first, second = (ended(one(ground, "unittest", "tests")) for _ in range(2))
    assert len(first) == 3
    assert first == second


TRIES_TWICE = """
from _pytest.runner import runtestprotocol
def pytest_runtest_protocol(item):
    for attempt in (1, 2):
        again = False
        for report in runtestprotocol(item, log=False):
            if report.failed and attempt == 1:
                report.outcome, again = "rerun", True
            if not (again and {stops} and report.when == "teardown"):
                item.ihook.pytest_runtest_logreport(report=report)
        if not again: break
        item._initrequest()
    return True
"""


@pytest.mark.parametrize("stops", [True, False])
def test_a_test_that_is_tried_again_is_one_case(ground: Ground, stops: bool) -> None:
    """What counts is the last attempt; plugins that try again leave out the teardown of those before it, or do not."""
    ground.write("conftest.py", TRIES_TWICE.replace("{stops}", str(stops)))
    ground.write(
        "test_a.py",
        """
        attempts = []
        def test_flaky():
            attempts.append(1)
            assert len(attempts) == 2
        def test_bad(): assert False
        """,
    )
    suite = one(ground, "pytest", "test_a.py")
    assert ended(suite) == {"test_a.py::test_flaky": "passed", "test_a.py::test_bad": "failed"}
    assert suite.total == 2, suite.test_cases


def test_pytest_that_only_sets_tests_up_has_executed_none(ground: Ground) -> None:
    """`--setup-only` in the pack's configuration ends with exit status 0, and says nothing of the pack."""
    ground.write("pytest.ini", "[pytest]\naddopts = --setup-only\n")
    ground.write("test_a.py", "def test_a(): assert False\n")
    suite = one(ground, "pytest", "test_a.py")
    assert (suite.status, suite.reason, suite.total) == ("error", "no_tests", 0)


@pytest.mark.parametrize("how", ["pytest.exit('bye', returncode=0)", "raise KeyboardInterrupt"])
@pytest.mark.parametrize("where", ["test_b", "test_between"])
def test_a_pytest_session_that_stops_early_does_not_pass(ground: Ground, how: str, where: str) -> None:
    """Whatever exit status it chose: tests behind it were never executed, and the one that stopped it did not pass."""
    ground.write(
        "conftest.py", f"import pytest\ndef pytest_runtest_logfinish(nodeid):\n    if 'between' in nodeid: {how}\n"
    )
    ground.write(
        "test_a.py",
        f"import pytest\ndef test_a(): pass\ndef {where}():\n    if '{where}' == 'test_b': {how}\ndef test_c(): assert 0\n",
    )
    suite = one(ground, "pytest", "test_a.py")
    assert (suite.status, suite.reason) == ("failed", "crash")
    assert "before its tests were done" in (suite.detail or "")
    assert "test_c" not in str(suite.test_cases)


def test_pytest_that_stops_after_a_failure_tells_of_the_failure(ground: Ground) -> None:
    """It was asked to; that is no crash."""
    ground.write("pytest.ini", "[pytest]\naddopts = --exitfirst\n")
    ground.write("test_a.py", "def test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pass\n")
    suite = one(ground, "pytest", "test_a.py")
    assert (suite.reason, list(ended(suite).values())) == ("failures", ["passed", "failed"])


PATCHED = """
import unittest, unittest.mock
class T(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in {names}: unittest.mock.patch(name, **{how}).start()
    def test_a(self): pass
    def test_b(self): pass
"""


@pytest.mark.parametrize("how", ["{'return_value': 'never'}", "{'side_effect': [0.0, 1.5]}"])
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("unittest", ["time.perf_counter", "time.time", "json.dumps", "os.write", "os.fstat", "os.getpid"]),
        ("pytest", ["os.write"]),  # it uses the others itself, json for its cache
    ],
)
def test_what_a_pack_puts_into_modules_is_not_what_the_runner_uses(
    ground: Ground, kind: str, names: list[str], how: str
) -> None:
    """A pack may leave its stand-ins there to the end, such as that of a clock."""
    ground.write("test_a.py", PATCHED.replace("{how}", how).replace("{names}", str(names)))
    suite = one(ground, kind, "test_a.py")
    assert (suite.status, list(ended(suite).values())) == ("passed", ["passed", "passed"])


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_an_action_may_have_the_name_of_a_module_of_pythons(ground: Ground, kind: str) -> None:
    """It hides nothing from the runner and the tests, which find its neighbours, also in what they start."""
    for name in ("email", "json", "random", "types"):
        ground.write(f"actions/{name}.py", "def run(): pass\n")
    ground.write("actions/greet.py", "def run(): return 'hello'\n")
    ground.write(
        "test_a.py",
        """
        import email.message, greet, os, unittest
        class T(unittest.TestCase):
            def test_a(self): self.assertEqual(greet.run(), "hello")
            def test_b(self): self.assertIn("actions", os.environ["PYTHONPATH"])
        """,
    )
    suite = one(ground, kind, "test_a.py")
    assert (suite.status, suite.passed) == ("passed", 2), suite


STREAMS = """
import sys, unittest
class T(unittest.TestCase):
    def test_asks(self): self.assertEqual((sys.stdout.name, sys.stdout.errors), ("<stdout>", sys.__stdout__.errors))
    def test_changes(self): sys.stdout.reconfigure(line_buffering=True)
    def test_closes(self): sys.stdout.close(); sys.stderr.close()
    def test_prints_after_that(self): print("said")
"""


def test_a_unittest_test_may_do_with_its_output_what_it_may_without_packd(ground: Ground) -> None:
    """Programs set the encoding of their output, ask for its name, and close it in the end."""
    ground.write("test_a.py", STREAMS)
    suite = one(ground, "unittest", "test_a.py")
    assert (suite.status, suite.passed, suite.test_cases[-1].stdout) == ("passed", 4, "said\n"), suite.output_tail


def test_the_test_that_was_running_at_the_deadline_is_named(ground: Ground) -> None:
    """What took too long is known, and what passed before is not lost."""
    ground.write(
        "tests/test_a.py",
        "import time, unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): time.sleep(60)\n",
    )
    suite = one(ground, "unittest", "tests/test_a.py", timeout_s=2)
    assert (suite.status, suite.reason) == ("timed_out", "timeout")
    assert list(ended(suite).values()) == ["passed", "error"]


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_a_forked_child_does_not_report_a_second_time(ground: Ground, kind: str) -> None:
    """Only the process that was started tells of cases."""
    ground.write(
        "tests/test_a.py", "import os, unittest\nclass T(unittest.TestCase):\n    def test_a(self): os.fork()\n"
    )
    assert len(one(ground, kind, "tests/test_a.py").test_cases) == 1


@pytest.mark.parametrize("kind", ["unittest", "pytest"])
def test_a_pack_that_closes_the_pipe_does_not_pass(ground: Ground, kind: str) -> None:
    """A runner that was silenced is not believed."""
    ground.write(
        "tests/test_a.py",
        "import os, unittest\nclass T(unittest.TestCase):\n    def test_a(self): os.closerange(3, 64)\n",
    )
    assert one(ground, kind, "tests/test_a.py").reason == "crash"


# --- pytest ----------------------------------------------------------------------------------------------------------

PYTEST = """
import pytest
def test_passes(): print("said")
def test_fails(): assert 1 == 2
def test_skips(): pytest.skip("not here")
@pytest.mark.xfail(reason="known")
def test_expected(): assert 0
@pytest.mark.xfail(strict=True)
def test_unexpected(): pass
@pytest.fixture
def broken(): raise RuntimeError("no fixture")
def test_breaks(broken): pass
@pytest.fixture
def untidy():
    yield
    raise RuntimeError("no end")
def test_untidy(untidy): pass
@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number): assert number == 1
"""


def test_pytest_yields_real_cases(ground: Ground) -> None:
    """One case per test, set-up and teardown trouble told apart from a failing assertion."""
    ground.write("tests/test_a.py", PYTEST)
    suite = one(ground, "pytest", "tests")
    assert {name.rpartition("::")[2]: status for name, status in ended(suite).items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_expected": "skipped",
        "test_unexpected": "failed",
        "test_breaks": "error",
        "test_untidy": "error",
        "test_numbers[1]": "passed",
        "test_numbers[2]": "failed",
    }
    messages = {case.name.rpartition("::")[2]: case.error_message or "" for case in suite.test_cases}
    assert "assert 1 == 2" in messages["test_fails"]
    assert "not here" in messages["test_skips"]
    assert messages["test_expected"] == "expected failure: known"
    assert "no fixture" in messages["test_breaks"]
    assert [case.name for _, case in ground.told] == [case.name for case in suite.test_cases]


def test_pytest_sub_tests_are_cases(ground: Ground) -> None:
    """As for unittest: each sub-test, and the test around it only if it fails by itself."""
    ground.write(
        "test_a.py",
        "def test_a(subtests):\n    for n in range(3):\n        with subtests.test('step', n=n): assert n != 1\n",
    )
    suite = one(ground, "pytest", "test_a.py")
    assert list(ended(suite).values()) == ["passed", "failed", "passed"]
    assert all("step" in name for name in ended(suite))


def test_a_file_that_pytest_can_not_import_is_a_case(ground: Ground) -> None:
    """An error with its traceback."""
    ground.write("test_a.py", "import no_such_module\n")
    suite = one(ground, "pytest", "test_a.py")
    assert ended(suite) == {"test_a.py": "error"}
    assert suite.status == "failed"


def test_the_packs_own_pytest_configuration_holds(ground: Ground) -> None:
    """Its ini file and its conftest are used; nothing above the pack is, though it looks like one."""
    ground.write("pytest.ini", "[pytest]\npython_files = check_*.py\n")
    ground.write("conftest.py", "import pytest\n@pytest.fixture\ndef answer(): return 42\n")
    ground.write("check_a.py", "def test_a(answer): assert answer == 42\n")
    (ground.work_dir / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--no-such-option'\n")
    (ground.work_dir / "conftest.py").write_text("raise RuntimeError\n")
    assert ended(one(ground, "pytest")) == {"check_a.py::test_a": "passed"}


def test_nothing_above_the_pack_configures_pytest(ground: Ground) -> None:
    """A pack without configuration does not get the one of whoever keeps packd's state there."""
    ground.write("test_a.py", "def test_a(): pass\n")
    (ground.work_dir / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--no-such-option'\n")
    (ground.work_dir / "conftest.py").write_text("raise RuntimeError\n")
    assert ended(one(ground, "pytest", "test_a.py::test_a")) == {"test_a.py::test_a": "passed"}


def test_pytest_has_a_cache_that_the_pack_did_not_fill(ground: Ground) -> None:
    """Tests and options may use it, and what failed somewhere else does not choose the tests."""
    ground.write("pytest.ini", "[pytest]\naddopts = --last-failed\ncache_dir = seen\n")
    ground.write("seen/v/cache/lastfailed", '{"test_a.py::test_a": true}')
    ground.write("test_a.py", "def test_a(cache): cache.set('a', 1)\ndef test_b(): assert 0\n")
    assert list(ended(one(ground, "pytest", "test_a.py")).values()) == ["passed", "failed"]


def test_tests_may_print_more_than_is_told_of_them(ground: Ground) -> None:
    """Each of them a little, which is much of all together: it is cut, and they pass."""
    ground.write(
        "test_a.py",
        """
        import pytest
        @pytest.mark.parametrize("number", range(800))
        def test_a(number): print("\u2713" * 16_000)
        """,
    )
    suite = one(ground, "pytest", "test_a.py")
    assert (suite.status, suite.passed) == ("passed", 800), suite.detail


def test_a_pytest_that_refuses_its_configuration_is_unavailable(ground: Ground) -> None:
    """An option of a plugin that is not there is no failing test."""
    ground.write("tests/pytest.ini", "[pytest]\naddopts = --no-such-option\n")
    ground.write("tests/test_a.py", "def test_a(): pass\n")
    suite = one(ground, "pytest", "tests")
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert "--no-such-option" in suite.output_tail


def test_a_missing_interpreter_is_unavailable(ground: Ground) -> None:
    """The sentence names it."""
    ground.use_python(Path("/nowhere/python3"))
    ground.write("test_a.py", "def test_a(): pass\n")
    suite = one(ground, "pytest", "test_a.py")
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert "/nowhere/python3" in (suite.detail or "")


@pytest.fixture
def bare_python(tmp_path: Path) -> Path:
    """An interpreter with nothing installed."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    return tmp_path / "bare" / "bin" / "python"


def test_pytest_is_lent_to_an_interpreter_without_it(ground: Ground, bare_python: Path) -> None:
    """A pack need not bring pytest along."""
    ground.use_python(bare_python)
    ground.write("test_a.py", "import sys\ndef test_a(): assert 'bare' in sys.prefix\n")
    assert ended(one(ground, "pytest", "test_a.py")) == {"test_a.py::test_a": "passed"}


def test_without_pytest_anywhere_the_suite_is_unavailable(
    ground: Ground, bare_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what is missing."""
    monkeypatch.setattr("packd.testrun.runner._pytest_fallback", tuple)
    ground.use_python(bare_python)
    ground.write("test_a.py", "def test_a(): pass\n")
    suite = one(ground, "pytest", "test_a.py")
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert "pytest can't be imported" in (suite.detail or "")


# --- tap, node, jest -------------------------------------------------------------------------------------------------


def test_tap_is_read_from_stdout_alone(ground: Ground) -> None:
    """What goes to stderr does not disturb it."""
    suite = ground.run(
        Suite(name="t", runner_type="tap", command="echo 1..2; echo ok 1 - a >&2; echo ok 1 - a; echo not ok 2 - b")
    ).test_suites[0]
    assert ended(suite) == {"a": "passed", "b": "failed"}


def test_a_printed_report_is_read_whole(ground: Ground) -> None:
    """However little of what is printed is kept for people."""
    command = "echo 1..2000; i=0; while [ $((i+=1)) -le 2000 ]; do echo ok $i - it does what it should; done"
    suite = ground.run(Suite(name="t", runner_type="tap", command=command), limits=Limits(output_kb=16)).test_suites[0]
    assert (suite.status, suite.passed) == ("passed", 2000), suite.detail


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_yields_real_cases(ground: Ground) -> None:
    """Nested ones too."""
    ground.write(
        "tests/a.test.mjs",
        "import {test, describe, it} from 'node:test'; import assert from 'node:assert';\n"
        "test('one', () => {}); describe('group', () => { it('good', () => {}); it('bad', () => assert.equal(1, 2)); });\n",
    )
    suite = one(ground, "node", "tests")
    assert ended(suite) == {"one": "passed", "group > good": "passed", "group > bad": "failed"}
    assert suite.reason == "failures"


NODE_TESTS = """
import {test, describe, it, after} from 'node:test'; import assert from 'node:assert';
test('good', () => {});
test('bad', () => assert.equal(1, 2));
test('left out', {skip: 'no time'}, () => {});
test('planned', {todo: true}, () => { throw new Error('not yet') });
describe('outer', () => { describe('deep', () => { it('good', async () => {}) }); it('bad', () => assert.ok(false)) });
describe('empty', () => {});
describe.skip('whole group', () => { it('never', () => {}) });
test('around', async (t) => { await t.test('a', () => {}); await t.test('b', () => { throw new Error('b broke') }); });
test('itself', async (t) => { await t.test('a', () => {}); throw new Error('itself broke'); });
describe('hooked', () => { after(() => { throw new Error('the hook broke') }); it('good', () => {}) });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_cases_of_node_in_all_their_forms(ground: Ground) -> None:
    """Groups are no cases unless they fail by themselves; skips and todos are neither passed nor failed."""
    ground.write("tests/a.test.mjs", NODE_TESTS)
    ground.write("tests/plain.test.mjs", "if (1 + 1 !== 2) process.exit(1);\n")
    ground.write("tests/broken.test.mjs", "throw new Error('at import');\n")
    suite = one(ground, "node", "tests")
    assert ended(suite) == {
        "good": "passed",
        "bad": "failed",
        "left out": "skipped",
        "planned": "skipped",
        "outer > deep > good": "passed",
        "outer > bad": "failed",
        "whole group": "skipped",
        "around > a": "passed",
        "around > b": "failed",
        "itself > a": "passed",
        "itself": "failed",
        "hooked > good": "passed",
        "hooked": "failed",
        "tests/plain.test.mjs": "passed",
        "tests/broken.test.mjs": "failed",
    }
    messages = {case.name: case.error_message or "" for case in suite.test_cases}
    assert "1 == 2" in messages["bad"]
    assert "tests/a.test.mjs:3" in messages["bad"]
    assert "node:internal" not in messages["bad"]
    assert messages["left out"] == "skip no time"
    assert "b broke" in messages["around > b"]
    assert "the hook broke" in messages["hooked"]
    assert (suite.status, suite.reason) == ("failed", "failures")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_cases_of_node_are_told_while_it_runs(ground: Ground, tmp_path: Path) -> None:
    """The first is known before the second ends; killed in the middle, the suite says where."""
    ground.write(
        "a.test.mjs",
        "import {test} from 'node:test';\n"
        "test('first', () => {}); test('second', () => new Promise(() => setTimeout(() => {}, 60000)));\n",
    )
    told = threading.Event()
    token = CancelToken()
    suite = Suite(name="node", runner_type="node", entry_point="a.test.mjs")
    future = ground.executor.submit(ground.request(suite), cancel=token, on_case=lambda *_: told.set())
    assert told.wait(30)
    assert not future.done()
    token.cancel("seen enough")
    (ran,) = future.result(30).test_suites
    assert ended(ran)["first"] == "passed"
    assert (ran.reason, ran.passed) == ("cancelled", 1)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("rung", rungs.NAMES)
def test_runners_find_what_they_need_on_every_rung(tmp_path: Path, rung: str) -> None:
    """Interpreters, packd's own runners and the report that a script writes, whatever the rung shows of the machine."""
    sandbox = rungs.working(tmp_path / "rungs").get(rung)
    if sandbox is None:
        pytest.skip(f"the rung {rung} does not work on this machine; `packd doctor` says why")
    for ground in made_ground(tmp_path, sandbox=sandbox):
        ground.write("tests/test_a.py", "import unittest\nclass A(unittest.TestCase):\n    def test(self): pass\n")
        ground.write("tests/a.test.mjs", "import {test} from 'node:test'; test('one', () => {});\n")
        suites = [
            *(replace(suite_of(kind, "tests/test_a.py"), name=kind) for kind in ("unittest", "pytest")),
            replace(suite_of("node", "tests/a.test.mjs"), name="node"),
            replace(shell(f'echo "{JUNIT}" > r.xml', result_format="junit-xml", result_path="r.xml"), name="junit"),
        ]
        report = ground.run(*suites)
        assert report.isolation == rung
        assert [(suite.name, suite.passed, suite.detail) for suite in report.test_suites] == [
            ("unittest", 1, None),
            ("pytest", 1, None),
            ("node", 1, None),
            ("junit", 1, "1 of 2 tests failed, although its exit status is 0"),
        ]


def test_jest_must_be_declared(ground: Ground) -> None:
    """An honest sentence instead of a failing test."""
    suite = one(ground, "jest", "tests")
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert "devDependencies" in (suite.detail or "")
    assert "type: node" in (suite.detail or "")


def test_a_folder_without_tests_for_node(ground: Ground) -> None:
    """Node is never left to search the whole pack."""
    ground.write("elsewhere.test.js", "require('node:test')('x', () => {})\n")
    ground.write("tests/readme.txt", "nothing here\n")
    suite = one(ground, "node", "tests")
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert "*.test.js" in (suite.detail or "")


# --- reports in files ------------------------------------------------------------------------------------------------

JUNIT = '<testsuite tests=\\"2\\"><testcase name=\\"a\\"/><testcase name=\\"b\\"><failure message=\\"no\\"/></testcase></testsuite>'


def test_a_junit_report_is_read(ground: Ground) -> None:
    """From a folder, as the manifest says."""
    suite = ground.run(
        shell(f'mkdir -p out/x && echo "{JUNIT}" > out/x/r.xml; exit 1', result_format="junit-xml", result_path="out/")
    ).test_suites[0]
    assert ended(suite) == {"a": "passed", "b": "failed"}


def test_a_report_that_the_pack_brought_along_is_stale(ground: Ground) -> None:
    """Only what this run wrote counts; a promised report that is missing is an error."""
    ground.write("out/r.xml", "<testsuite><testcase name='old'/></testsuite>")
    suite = ground.run(shell("true", result_format="junit-xml", result_path="out/*.xml")).test_suites[0]
    assert (suite.status, suite.reason) == ("error", "inconsistent")
    assert "wrote none" in (suite.detail or "")


def test_a_report_outside_of_the_copy_is_not_read(ground: Ground, tmp_path: Path) -> None:
    """A link out of the pack is not followed."""
    secret = tmp_path / "secret.xml"
    secret.write_text("<testsuite><testcase name='secret'/></testsuite>")
    for path in ("out.xml", "dir/secret.xml", str(secret), "../../../secret.xml"):
        command = f"ln -s {secret} out.xml; ln -s {tmp_path} dir; touch {secret}"
        suite = ground.run(shell(command, result_format="junit-xml", result_path=path)).test_suites[0]
        assert suite.test_cases == ()
        assert suite.reason == "inconsistent"


def test_a_report_that_is_no_file_does_not_hang(ground: Ground) -> None:
    """A FIFO in the place of the report is not opened."""
    suite = ground.run(shell("mkfifo r.json", result_format="json", result_path="r.json")).test_suites[0]
    assert suite.reason == "inconsistent"


def test_a_report_that_claims_success_does_not_hide_the_exit_status(ground: Ground) -> None:
    """The pack writes its own report; the exit status decides."""
    suite = ground.run(
        shell(
            'echo \'{"total": 1, "passed": 1, "failed": 0}\' > r.json; exit 1',
            result_format="json",
            result_path="r.json",
        )
    ).test_suites[0]
    assert (suite.status, suite.reason) == ("failed", "inconsistent")


@pytest.mark.parametrize("form", ["json", "junit-xml", "tap"])
def test_a_promised_report_that_is_not_printed_is_missed(ground: Ground, form: str) -> None:
    """There is none: nobody is told that it is malformed."""
    suite = ground.run(shell("echo nothing >&2", result_format=form)).test_suites[0]
    assert (suite.status, suite.reason) == ("error", "inconsistent")
    assert suite.detail == f"it promised a {form} report, and printed none"


def test_the_packs_format_is_only_a_default(ground: Ground) -> None:
    """A suite that does not write the report that the pack as a whole speaks of is read from its output."""
    report = ground.run(shell("echo 'Total: 2, Passed: 2'"), result_format="junit-xml", result_path="out/r.xml")
    assert (report.status, report.total_tests) == ("passed", 2)


# --- a whole run -----------------------------------------------------------------------------------------------------


def test_suites_make_one_report(ground: Ground) -> None:
    """Some pass and some do not: partial; the report repeats what it was asked with."""
    ground.write("tests/test_a.py", UNITTEST)
    report = ground.run(suite_of("unittest", "tests/test_a.py"), shell("true"))
    assert (report.status, report.reason, report.isolation) == ("partial", "failures", "basic")
    assert (report.pack_ref, report.pack_version, report.execution_time) == ("mypack", "1.2.3", "2024-05-01T10:00:00Z")
    assert report.total_tests == 12


def test_a_pack_without_suites_has_no_tests(ground: Ground) -> None:
    """Never a pass."""
    assert ground.run().reason == "no_tests"


def test_a_copy_that_fails_is_in_the_report(ground: Ground) -> None:
    """A full disk is not the pack's fault, and nothing is left of the attempt."""

    def fail(source: Path, target: Path) -> None:
        target.mkdir()
        raise OSError(28, "No space left on device")

    ground.remake(copy_tree=fail)
    report = ground.run(shell("true"))
    assert (report.status, report.reason) == ("error", "unavailable")
    assert "No space left" in (report.detail or "")
    assert report.notes == (report.detail,)  # the only place for it in an event
    assert report.environment is not None
    assert report.environment.failed == "machine"
    wait_until(lambda: list(ground.work_dir.iterdir()) == [])


class NoRoom(BasicSandbox):
    """A rung on a machine that has no room for one more process."""

    @contextlib.contextmanager
    def cell(self, order: Order) -> Iterator[OpenCell]:
        raise SandboxFailed("the sandbox could not be made")
        yield


def test_a_sandbox_that_fails_is_the_machines_fault(ground: Ground) -> None:
    """Said in the report of the suite, so that it may be tried again."""
    ground.remake(sandbox=NoRoom())
    suite = ground.shell("true")
    assert (suite.status, suite.reason) == ("error", "unavailable")
    assert suite.environment is not None
    assert suite.environment.failed == "machine"


def test_what_identifies_the_run_is_in_the_environment(ground: Ground) -> None:
    """And a suite's own variables can't change it."""
    suite = ground.run(
        shell(
            'echo "$PACKD_PACK_REF $PACKD_PACK_VERSION $COLOUR $PACKD_RUN_ID"',
            env=(("COLOUR", "red"), ("PACKD_RUN_ID", "x")),
        )
    ).test_suites[0]
    assert suite.output_tail.startswith("mypack 1.2.3 red run_")
