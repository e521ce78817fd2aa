"""Packs get the packages that they declare: built once, shared, used read-only, and told of in the report."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from packd.domain.manifest import Suite
from packd.testrun.environments import installers
from packd.testrun.environments.build import _unbuilt
from packd.testrun.environments.cache import Environments
from packd.testrun.environments.installers import Step
from packd.testrun.environments.origins import Origins, pip_configuration
from packd.testrun.executor import CancelToken
from packd.testrun.interpreters import Interpreters
from packd.testrun.processes import Killed
from packd.testrun.supervisor import Ending, Stopped
from tests.unit.environments_ground import executor_at, made_ground, quiet_origins, records, served_index
from tests.unit.testrun_ground import Ground, shell
from tests.waiting import until_exists, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.reports import Report
    from tests.unit.environments_ground import Index

ALL = -1.0  # seconds unused: also what was used in this very moment


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with served_index(tmp_path / "index") as served:
        served.add("hue", "1.0")
        served.add("hue", "2.0")
        served.add("tint", "1.5", needs=("hue",))
        yield served


@pytest.fixture
def ground(tmp_path: Path, index: Index) -> Iterator[Ground]:
    yield from made_ground(tmp_path, quiet_origins(index))


def unit(**more: object) -> Suite:
    return Suite(name="unit", runner_type="unittest", entry_point="test_a.py", **more)  # type: ignore[arg-type]


def write_test(ground: Ground, *lines: str) -> None:
    body = "".join(f"        {line}\n" for line in lines)
    ground.write("test_a.py", f"import unittest\nclass A(unittest.TestCase):\n    def test(self):\n{body}")


def packages(report: Report) -> tuple[str, ...]:
    assert report.environment is not None
    return report.environment.packages


def environments_of(ground: Ground) -> Path:
    return ground.work_dir.parent / "environments"


# --- what is declared --------------------------------------------------------------------------------------------------


def test_requirements_are_installed(ground: Ground) -> None:
    """What requirements.txt names can be imported, with what that needs, and the report lists it with versions."""
    ground.write("requirements.txt", "tint  # a comment\n")
    write_test(ground, "import hue, tint", "self.assertEqual((hue.VERSION, tint.VERSION), ('2.0', '1.5'))")
    report = ground.run(unit())
    assert report.status == "passed", report.to_dict()
    assert packages(report) == ("hue==2.0", "tint==1.5")
    assert report.to_dict()["environment"]["python"] == Interpreters(Path(os.sys.executable)).default.version  # type: ignore[attr-defined]


def test_included_files_are_followed(ground: Ground) -> None:
    """`-r` and `-c` in a requirements file lead to other files of the pack."""
    ground.write("requirements.txt", "-r parts/base.txt\n-c parts/pins.txt\n")
    ground.write("parts/base.txt", "hue\n")
    ground.write("parts/pins.txt", "hue==1.0\n")
    write_test(ground, "import hue", "self.assertEqual(hue.VERSION, '1.0')")
    assert packages(ground.run(unit())) == ("hue==1.0",)


@pytest.mark.parametrize("line", ["-r ../../etc/passwd", "-r /etc/passwd", "-c ../x"])
def test_includes_stay_in_the_pack(ground: Ground, line: str) -> None:
    """A requirements file can't make packd read what is not the pack's."""
    ground.write("requirements.txt", f"{line}\n")
    write_test(ground, "pass")
    report = ground.run(unit())
    assert (report.status, report.reason) == ("error", "unavailable")
    assert "does not stay inside the pack" in (report.detail or "")
    assert report.environment is not None
    assert report.environment.failed == "pack"


def test_dependencies_of_the_manifest_are_installed(ground: Ground) -> None:
    """`meta.python_dependencies` counts beside the file."""
    write_test(ground, "import hue")
    assert packages(ground.run(unit(), python_dependencies=("hue<2",))) == ("hue==1.0",)


def test_requirements_of_one_suite_are_its_own(ground: Ground) -> None:
    """A runner's `requirements` are there for its suite and for no other; the report tells both apart."""
    ground.write("requirements.txt", "hue==1.0\n")
    ground.write("more.txt", "tint\n")
    write_test(ground, "import hue, importlib.util", "self.assertIsNone(importlib.util.find_spec('tint'))")
    ground.write("test_b.py", "import tint, unittest\nclass B(unittest.TestCase):\n    def test(self): pass\n")
    more = Suite(name="more", runner_type="unittest", entry_point="test_b.py", requirements="more.txt")
    report = ground.run(unit(), more)
    assert report.status == "passed", report.to_dict()
    assert packages(report) == ("hue==1.0",)
    own = report.test_suites[1].environment
    assert report.test_suites[0].environment is None
    assert own is not None
    assert own.packages == ("hue==1.0", "tint==1.5")


def test_a_pack_that_declares_nothing_needs_nothing(ground: Ground) -> None:
    """No environment is made, and the report says which Python it was."""
    ground.write("requirements.txt", "# nothing yet\n\n")
    write_test(ground, "pass")
    report = ground.run(unit())
    assert report.status == "passed"
    assert packages(report) == ()
    assert not environments_of(ground).exists()


def test_nothing_of_packd_is_lent(ground: Ground) -> None:
    """With an environment of its own a pack sees what it declared and not what packd happens to be made of."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "import importlib.util", "self.assertIsNone(importlib.util.find_spec('sqlalchemy'))")
    assert ground.run(unit()).status == "passed"


def test_scripts_get_it_too(ground: Ground) -> None:
    """`python3` in a shell suite is the one with the packages."""
    ground.write("requirements.txt", "hue==1.0\n")
    assert ground.shell("python3 -c 'import hue; print(hue.VERSION)'").output_tail.strip() == "1.0"


def test_the_run_can_not_change_it(ground: Ground) -> None:
    """Nothing in an environment is writable, so what one run does is not what the next one finds."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    assert ground.run(unit()).status == "passed"
    (folder,) = environments_of(ground).glob("*.*/")
    writable = [path for path in folder.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o222]
    assert writable == []


def test_settings_of_the_machine_never_reach_the_run(tmp_path: Path, index: Index) -> None:
    """Addresses and passwords of indexes are for the building; no test sees them."""
    origins = quiet_origins(index)
    secret = {"PIP_EXTRA_INDEX_URL": "http://user:hunter2@localhost:1/", "UV_INDEX_TOKEN_X": "hunter2"}
    for ground in made_ground(tmp_path, Origins(index_url=index.url, environ={**origins.environ, **secret})):
        ground.write("requirements.txt", "hue\n")
        said = ground.shell("env; cat ~/.* 2>/dev/null; ls -a ~").output_tail
        assert "hunter2" not in said
        assert "PIP_" not in said
        assert "UV_" not in said


# --- kept and shared ---------------------------------------------------------------------------------------------------


def test_revisions_share_one(ground: Ground, index: Index) -> None:
    """Another content with the same declarations builds nothing, and asks nobody."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    assert ground.run(unit()).status == "passed"
    before = len(index.asked)
    write_test(ground, "import hue")
    report = ground.run(unit())
    assert (report.status, packages(report)) == ("passed", ("hue==2.0",))
    assert len(index.asked) == before
    assert len(records(environments_of(ground))) == 1


def test_ten_at_once_build_one(tmp_path: Path, index: Index) -> None:
    """Ten packs that want the same environment at the same time wait for one building of it."""
    trees = []
    for number in range(10):
        tree = tmp_path / f"tree{number}"
        tree.mkdir()
        trees.append(Ground(tree=tree, executor=None, work_dir=tmp_path))  # type: ignore[arg-type]
        trees[-1].write("requirements.txt", "tint\n")
        trees[-1].write(
            "test_a.py", f"import tint, unittest\nclass A(unittest.TestCase):\n  def test_{number}(self): pass"
        )
    executor = executor_at(tmp_path, quiet_origins(index), workers=10)
    try:
        futures = [executor.submit(ground.request(unit()), cancel=CancelToken()) for ground in trees]
        assert {future.result(100).status for future in futures} == {"passed"}
    finally:
        executor.close(0)
    assert index.asked.count("/simple/tint/") == 1
    assert len(list((tmp_path / "environments").glob("*.*/"))) == 1


def test_processes_share_it_too(tmp_path: Path, index: Index) -> None:
    """Two users of the folder that know nothing of each other build once."""
    tree = tmp_path / "tree"
    tree.mkdir()
    executors = [
        executor_at(tmp_path / name, quiet_origins(index), workers=1, environments=tmp_path / "environments")
        for name in ("one", "two")
    ]
    ground = Ground(tree=tree, executor=executors[0], work_dir=tmp_path)
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "import hue")
    with ThreadPoolExecutor(2) as threads:
        reports = list(
            threads.map(lambda one: one.submit(ground.request(unit()), cancel=CancelToken()).result(60), executors)
        )
    for executor in executors:
        executor.close(0)
    assert {report.status for report in reports} == {"passed"}
    assert len(list((tmp_path / "environments").glob("*.*/"))) == 1


def test_rebuild(ground: Ground, index: Index) -> None:
    """On demand it is built anew: an unpinned package comes in its newest version, and the old build is swept."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    assert packages(ground.run(unit())) == ("hue==2.0",)
    index.add("hue", "3.0")
    assert packages(ground.run(unit())) == ("hue==2.0",)
    assert packages(ground.run(unit(), rebuild=True)) == ("hue==3.0",)
    assert packages(ground.run(unit())) == ("hue==3.0",)
    assert Environments(environments_of(ground)).sweep(unused_for_s=3600) == 1
    assert packages(ground.run(unit())) == ("hue==3.0",)


def test_sweep(ground: Ground) -> None:
    """What nobody used for a while goes; what was used, or is being used now, stays."""
    folder = environments_of(ground)
    environments = Environments(folder)
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    assert ground.run(unit()).status == "passed"
    assert environments.sweep(unused_for_s=3600) == 0
    go = ground.tree.parent / "go"
    started = ground.tree.parent / "started"
    running = ground.executor.submit(
        ground.request(shell(f"touch {started}; {until_exists(go)}; python3 -c 'import hue'")),
        cancel=CancelToken(),
    )
    wait_until(started.exists)
    assert environments.sweep(unused_for_s=ALL) == 0
    go.touch()
    assert running.result(30).status == "passed"
    assert environments.sweep(unused_for_s=ALL) == 1
    assert list(folder.glob("*.*/")) == []
    assert ground.run(unit()).status == "passed"


def test_an_interrupted_build_is_no_environment(ground: Ground) -> None:
    """What a killed daemon left half-built is never used, and is swept."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "import hue")
    assert ground.run(unit()).status == "passed"
    folder = environments_of(ground)
    (record,) = folder.glob("*.json")
    half = folder / f"{record.stem}.0000"
    half.mkdir()
    record.unlink()
    assert ground.run(unit()).status == "passed"
    assert Environments(folder).sweep(unused_for_s=3600) == 2
    assert not half.exists()


def test_nothing_is_left_of_what_was_swept(ground: Ground) -> None:
    """No lock and no half-written record outlives its environment, nor those of one that could not be built."""
    folder = environments_of(ground)
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    assert ground.run(unit()).status == "passed"
    (record,) = folder.glob("*.json")
    record.with_name(f"{record.name}.0000").write_text("half")
    ground.write("requirements.txt", "no-such-package-at-all\n")
    assert ground.run(unit()).status == "error"
    assert len(list(folder.glob("*.lock"))) == 2
    Environments(folder).sweep(unused_for_s=3600)
    assert [len(list(folder.glob(kind))) for kind in ("*.json", "*.json.*", "*.lock", "*.*/")] == [1, 0, 1, 1]
    Environments(folder).sweep(unused_for_s=ALL)
    assert [path.name for path in folder.iterdir()] == ["downloads"]
    ground.write("requirements.txt", "hue\n")
    assert ground.run(unit()).status == "passed"


def test_sweeping_while_others_build_disturbs_nobody(tmp_path: Path, index: Index) -> None:
    """Locks come and go under those who wait for them, and still one at a time builds."""
    folder = tmp_path / "environments"
    executor = executor_at(tmp_path, quiet_origins(index), workers=4)
    (tmp_path / "tree").mkdir()
    ground = Ground(tree=tmp_path / "tree", executor=executor, work_dir=tmp_path / "work")
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "import hue")
    stop = threading.Event()

    def sweep() -> None:
        while not stop.wait(0.001):
            Environments(folder).sweep(unused_for_s=0)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        futures = [executor.submit(ground.request(unit()), cancel=CancelToken()) for _ in range(8)]
        assert [future.result(100).status for future in futures] == ["passed"] * 8
    finally:
        stop.set()
        sweeper.join()
        executor.close(0)


def test_what_takes_its_time_is_told(ground: Ground) -> None:
    """Each step of a building as it begins; nothing once it is there."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")

    def told() -> list[str]:
        said: list[str] = []
        request = ground.request(unit())
        ground.executor.submit(request, cancel=CancelToken(), on_progress=said.append).result(60)
        return said

    assert told() == ["making an environment (uv venv)", "installing Python packages (uv pip install)"]
    assert told() == []


def test_who_waits_for_another_building_is_told(ground: Ground, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a word about steps that another run takes."""
    asked, release = threading.Event(), threading.Event()
    add = index.asked.append

    class Held(list[str]):
        def append(self, path: str) -> None:
            add(path)
            asked.set()
            release.wait(30)

    monkeypatch.setattr(index, "asked", Held())
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    first = ground.executor.submit(ground.request(unit()), cancel=CancelToken())
    assert asked.wait(30)
    said: list[str] = []
    second = ground.executor.submit(ground.request(unit()), cancel=CancelToken(), on_progress=said.append)
    wait_until(lambda: bool(said))
    release.set()
    assert [future.result(60).status for future in (first, second)] == ["passed", "passed"]
    assert said == ["waiting for another run that installs the same packages"]


# --- what can go wrong -------------------------------------------------------------------------------------------------


def test_a_package_that_does_not_exist(ground: Ground) -> None:
    """The pack's fault: `unavailable`, with the installer's own words, and never tried again by itself."""
    ground.write("requirements.txt", "no-such-package-at-all\n")
    write_test(ground, "pass")
    report = ground.run(unit())
    suite = report.test_suites[0]
    assert (report.status, report.reason, suite.status) == ("error", "unavailable", "error")
    assert "no-such-package-at-all" in suite.output_tail
    assert "no-such-package-at-all" in (suite.detail or "")
    assert report.environment is not None
    assert report.environment.failed == "pack"
    assert list(environments_of(ground).glob("*.*/")) == []


def test_an_index_that_is_broken(ground: Ground, index: Index) -> None:
    """The network's fault is told apart, and once it is over the same pack passes."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    index.broken = True
    report = ground.run(unit())
    assert (report.status, report.reason) == ("error", "unavailable")
    assert report.environment is not None
    assert report.environment.failed == "network", report.detail
    index.broken = False
    assert ground.run(unit()).status == "passed"


def test_an_index_that_is_not_there(tmp_path: Path, index: Index) -> None:
    """Nobody listens: the network's fault, and no password of its address is repeated."""
    origins = quiet_origins(index)
    nowhere = Origins(index_url="http://user:hunter2@127.0.0.1:9/simple", environ=origins.environ)
    for ground in made_ground(tmp_path, nowhere):
        ground.write("requirements.txt", "hue\n")
        write_test(ground, "pass")
        report = ground.run(unit())
        assert report.environment is not None
        assert report.environment.failed == "network", report.detail
        assert "hunter2" not in str(report.to_dict())


@pytest.mark.parametrize(("stopped", "said"), [("output", "KiB"), ("processes", "512 processes"), ("disk", "MiB")])
def test_a_build_that_takes_too_much_says_of_what(stopped: Stopped, said: str) -> None:
    """An installer is limited as well; a package that exceeds it is for the pack's author."""
    end = Ending(
        exit_code=-9, stopped=stopped, duration_ms=1.0, left=Killed(), output="building\n", stdout="", written=9
    )
    step = Step(says="uv pip install", does="installing", argv=("uv",), cwd=Path("/"), env={})
    trouble = _unbuilt(step, end, CancelToken())
    assert trouble.cause == "pack"
    assert "uv pip install" in trouble.sentence
    assert said in trouble.sentence


def test_offline(tmp_path: Path, index: Index) -> None:
    """Nothing is asked of anybody; what was fetched before is enough, what was not is missing for now."""
    for ground in made_ground(tmp_path, quiet_origins(index, offline=True)):
        ground.write("requirements.txt", "hue\n")
        write_test(ground, "pass")
        report = ground.run(unit())
        assert report.environment is not None
        assert report.environment.failed == "network", report.detail
        assert index.asked == []


def test_a_build_is_stopped_with_its_run(ground: Ground, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling does not wait for an installer, and says that it was cancelled."""
    waiting = threading.Event()
    release = threading.Event()
    add = index.asked.append

    class Held(list[str]):
        def append(self, path: str) -> None:
            add(path)
            waiting.set()
            release.wait(30)

    monkeypatch.setattr(index, "asked", Held())
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    cancel = CancelToken()
    running = ground.executor.submit(ground.request(unit()), cancel=cancel)
    assert waiting.wait(30)
    began = time.monotonic()
    cancel.cancel("newer content arrived")
    report = running.result(30)
    release.set()
    assert time.monotonic() - began < 5
    assert (report.status, report.reason) == ("error", "cancelled")
    assert "newer content" in (report.detail or "")


# --- interpreters and installers ---------------------------------------------------------------------------------------


def test_pip_where_uv_is_missing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uv the same comes from pip, from the same index."""
    monkeypatch.setattr(installers, "uv_program", lambda: None)
    ground.write("requirements.txt", "hue<2\n")
    write_test(ground, "import hue", "self.assertEqual(hue.VERSION, '1.0')")
    report = ground.run(unit())
    assert report.status == "passed", report.to_dict()
    assert "hue==1.0" in packages(report)


def test_pip_tells_the_network_apart_too(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause is recognised in pip's words as well."""
    monkeypatch.setattr(installers, "uv_program", lambda: None)
    nowhere = Origins(index_url="http://127.0.0.1:9/simple", environ=quiet_origins(index).environ)
    for ground in made_ground(tmp_path, nowhere):
        ground.write("requirements.txt", "hue\n")
        write_test(ground, "pass")
        environment = ground.run(unit()).environment
        assert environment is not None
        assert environment.failed == "network"


def test_another_python_when_the_pack_asks_for_it(ground: Ground) -> None:
    """`python_version` chooses among the interpreters that are there; the environment is built on that one."""
    default = Interpreters(Path(sys.executable))
    other = next(iter(default.others()), None)
    if other is None:
        pytest.skip("this machine has only one Python")
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "import hue, platform", f"self.assertEqual(platform.python_version(), {other.version!r})")
    report = ground.run(unit(), python_version=f"=={other.version}")
    assert report.status == "passed", report.to_dict()
    assert report.environment is not None
    assert report.environment.python == other.version


def test_no_such_python(ground: Ground) -> None:
    """A version that nobody has is `unavailable`, with a sentence that says which."""
    write_test(ground, "pass")
    report = ground.run(unit(), python_version=">=4.2")
    assert (report.status, report.reason) == ("error", "unavailable")
    assert ">=4.2" in (report.detail or "")


def test_a_folder_that_can_not_be_read_has_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PATH and PYENV_ROOT name them for a daemon that was started with somebody else's environment."""
    not_there = "/" + 300 * "x"  # whoever runs the tests may read everything, but not what no name can be
    monkeypatch.setenv("PATH", f"{not_there}:/usr/bin")
    monkeypatch.setenv("PYENV_ROOT", not_there)
    assert isinstance(Interpreters(Path(sys.executable)).others(), tuple)


def test_pytest_is_supplied(ground: Ground, index: Index) -> None:
    """A pytest suite whose pack declares packages gets pytest beside them, from the same index."""
    index.add("pytest", "8.0")
    ground.write("requirements.txt", "hue\n")
    ground.write("test_a.py", "def test_a(): pass\n")
    report = ground.run(Suite(name="p", runner_type="pytest", entry_point="test_a.py"))
    assert packages(report) == ("hue==2.0", "pytest==8.0")


# --- the machine's own configuration -----------------------------------------------------------------------------------


def test_pips_own_configuration_counts(tmp_path: Path) -> None:
    """pip's files and variables say where packages come from, in pip's order, for uv and for pip."""
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://one.example/simple\nfind-links = /wheels\n  /more\n[install]\ntimeout = 7\n"
    )
    environ = {"PIP_CONFIG_FILE": str(config), "HOME": str(tmp_path), "PIP_INDEX_URL": "https://two.example/simple"}
    assert pip_configuration(environ)["index-url"][-2:] == ["https://one.example/simple", "https://two.example/simple"]
    index = Origins(environ=environ).for_python()
    assert (index.url, index.find_links, index.timeout_s) == ("https://two.example/simple", ("/wheels", "/more"), "7")
    uv = Origins(environ=environ).for_uv()
    assert (uv["UV_DEFAULT_INDEX"], uv["UV_FIND_LINKS"]) == ("https://two.example/simple", "/wheels,/more")
    assert index.as_pip()["PIP_FIND_LINKS"] == "/wheels /more"


def test_packds_configuration_comes_over_the_machines(tmp_path: Path) -> None:
    """An index that is configured takes the place of all others, so that nothing comes from where nobody expects it."""
    environ = {
        "HOME": str(tmp_path),
        "PIP_EXTRA_INDEX_URL": "https://extra.example/simple",
        "UV_DEFAULT_INDEX": "https://uv.example/simple",
        "npm_config_registry": "https://npm.example/",
        "npm_config_prefix": "/usr/local",
    }
    origins = Origins(index_url="https://own.example/simple", npm_registry="https://own.example/npm", environ=environ)
    uv = origins.for_uv()
    assert uv["UV_DEFAULT_INDEX"] == "https://own.example/simple"
    assert "UV_EXTRA_INDEX_URL" not in uv
    assert origins.for_npm() == {"npm_config_registry": "https://own.example/npm"}


def test_uvs_own_variables_come_over_pips(tmp_path: Path) -> None:
    """Who told uv something, told it to uv."""
    environ = {
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "https://pip.example/",
        "UV_DEFAULT_INDEX": "https://uv.example/",
    }
    assert Origins(environ=environ).for_uv()["UV_DEFAULT_INDEX"] == "https://uv.example/"


def test_environments_are_private(ground: Ground) -> None:
    """The folder is the daemon's own."""
    ground.write("requirements.txt", "hue\n")
    write_test(ground, "pass")
    ground.run(unit())
    assert stat.S_IMODE(environments_of(ground).stat().st_mode) == 0o700


def test_an_index_that_is_a_folder_is_seen_with_the_files_beside_it(tmp_path: Path) -> None:
    """Its pages link to what stands next to them; a building without those finds names and no packages."""
    index = tmp_path / "pypi" / "simple"
    index.mkdir(parents=True)
    seen = Origins(index_url=index.as_uri()).folders()
    assert {index, index.parent} <= set(seen)
    assert Path("/") not in Origins(index_url="file:///tmp").folders()
