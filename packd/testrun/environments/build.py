"""Build one environment: in a process environment of its own, from copies of the manifest files alone."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from packd.testrun.environments.causes import is_network, last_lines, shown_output
from packd.testrun.environments.installers import Site, node_step, python_steps
from packd.testrun.interpreters import node_programs
from packd.testrun.limits import Limits
from packd.testrun.mark import WORK_VARIABLE, Mark
from packd.testrun.progress import nobody
from packd.testrun.sandbox import Order
from packd.testrun.workspace import remove_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.testrun.cancel import CancelToken
    from packd.testrun.environments.installers import Step
    from packd.testrun.environments.origins import Origins
    from packd.testrun.environments.wanted import Wanted
    from packd.testrun.interpreters import Interpreter
    from packd.testrun.progress import Tell
    from packd.testrun.supervisor import Ending, Supervisor

LOCK: Final = ".lock"  # in an environment's folder; shared by whoever uses it
_TAKES_S: Final = 900.0  # a build, at most: a large package may be compiled
_LIMITS: Final = Limits(memory_mb=8192, processes=512, disk_mb=16_384, output_kb=1024, cpu_s=3600)
_TOO_MUCH: Final = {
    "output": f"printed far more than {_LIMITS.output_kb} KiB",
    "processes": f"ran more than {_LIMITS.processes} processes at once",
    "disk": f"wrote more than {_LIMITS.disk_mb} MiB",
}
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Unbuilt:
    """It could not be had."""

    sentence: str
    output: str = ""  # the installer's
    cause: Literal["pack", "network", "machine", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Runs installers as suites are run: followed, limited, and nothing of them survives."""

    supervisor: Supervisor
    work_dir: Path  # where a killed daemon's leftovers are looked for
    origins: Origins

    def build(
        self,
        wanted: Wanted,
        base: Interpreter,
        target: Path,
        cache: Path,
        cancel: CancelToken,
        *,
        refresh: bool,
        tell: Tell = nobody,
    ) -> Unbuilt | None:
        """Fill `target`, which must not be there; None when it is complete and read-only.

        With `refresh` what is known of indexes is asked again. `tell` gets each step as it begins.
        """
        folder = self.work_dir / f"build-{secrets.token_hex(6)}"
        lines = folder / "pack-yaml.txt"
        site = Site(files=folder / "files", lines=lines, target=target, cache=cache, refresh=refresh)
        try:
            _lay_out(folder, site, wanted)
            steps = self._steps(site, wanted, base)
            if isinstance(steps, Unbuilt):
                return steps
            for step in steps:
                tell(step.does)
                trouble = self._take(step, folder, site, base, cancel)
                if trouble is not None:
                    return trouble
            make_read_only(target)
        except OSError as error:
            return Unbuilt(sentence=f"its environment could not be built: {error}", cause="machine")
        finally:
            _remove(folder)
        return None

    def _steps(self, site: Site, wanted: Wanted, base: Interpreter) -> list[Step] | Unbuilt:
        steps = python_steps(site, wanted, base.path, self.origins) if wanted.python else []
        if wanted.node:
            programs = node_programs()
            if programs is None:
                said = "it declares npm packages, and this machine has no node with npm; install Node.js 20 or later"
                return Unbuilt(sentence=said, cause="machine")
            steps.append(node_step(site, wanted, programs.npm, self.origins))
        return steps

    def _take(self, step: Step, folder: Path, site: Site, base: Interpreter, cancel: CancelToken) -> Unbuilt | None:
        order = Order(
            argv=step.argv,
            cwd=step.cwd,
            env=self._environment(step, folder),
            limits=_LIMITS,
            mark=Mark.of(folder),
            network=not self.origins.offline,
            readable=(base.path.parent.parent, Path(base.base), *self.origins.folders()),
            writable=(folder, site.target, site.cache),
        )
        end = self.supervisor.run(order, timeout_s=_TAKES_S, cancel=cancel, on_events=None)
        if end.exit_code == 0 and end.stopped is None:
            return None
        return _unbuilt(step, end, cancel)

    def _environment(self, step: Step, folder: Path) -> dict[str, str]:
        return {
            "PATH": f"{Path(step.argv[0]).parent}:{_SYSTEM_PATH}",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            **self.origins.reaching(),
            **step.env,
            WORK_VARIABLE: str(folder),
        }


def make_read_only(folder: Path) -> None:
    """For everybody but root, whom modes do not hold back."""
    for path in _inside(folder):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~0o222)


def remove_environment(folder: Path) -> None:
    """A read-only folder with all that is in it. Raises OSError."""
    for path in _inside(folder):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    remove_folder(folder)


def _inside(folder: Path) -> Iterator[Path]:
    """The folder itself first; a folder's content is listed after it was yielded, so that it can be opened then."""
    todo = [folder]
    while todo:
        current = todo.pop()
        yield current
        if current.is_dir() and not current.is_symlink():
            todo.extend(Path(entry.path) for entry in os.scandir(current))


def _lay_out(folder: Path, site: Site, wanted: Wanted) -> None:
    for place in (folder, site.files, folder / "home", folder / "tmp", site.target):
        place.mkdir(mode=0o700)
    site.cache.mkdir(mode=0o700, exist_ok=True)
    for name, content in wanted.files.items():
        path = site.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    site.lines.write_text("\n".join((*wanted.lines, *wanted.supplied)) + "\n", encoding="utf-8")
    if wanted.node:
        site.node.mkdir()
        for name, content in wanted.node.items():
            (site.node / name).write_bytes(content)
    # Readable for whoever the tests run as, where that is not the daemon's own user.
    site.target.chmod(0o755)
    (site.target / LOCK).touch(mode=0o444)


def _unbuilt(step: Step, end: Ending, cancel: CancelToken) -> Unbuilt:
    output = shown_output(end.output)
    if end.stopped == "cancelled":
        return Unbuilt(sentence=cancel.reason or "the run was cancelled", output=output, cause="cancelled")
    if end.stopped == "timeout":
        sentence = f"its environment could not be built: {step.says} did not end within {_TAKES_S:g} s"
        return Unbuilt(sentence=sentence, output=output, cause="network")
    if end.stopped is not None:
        sentence = f"its environment could not be built: {step.says} {_TOO_MUCH[end.stopped]}, and was stopped"
        return Unbuilt(sentence=sentence, output=output, cause="pack")
    network = is_network(output)
    blame = "packages can't be fetched: " if network else ""
    sentence = f"its environment could not be built: {blame}{step.says} ended with exit status {end.exit_code}"
    said = last_lines(output)
    return Unbuilt(
        sentence=f"{sentence}:\n{said}" if said else sentence, output=output, cause="network" if network else "pack"
    )


def _remove(folder: Path) -> None:
    try:
        remove_folder(folder)
    except OSError:  # looked for again at the next start
        return
