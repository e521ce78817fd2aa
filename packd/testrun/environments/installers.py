"""Command lines of the installers, and the variables that each needs. Nothing of the pack's is executed but what its
packages do while they are built."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.environments.wanted import LOCKS

if TYPE_CHECKING:
    from packd.testrun.environments.origins import Origins
    from packd.testrun.environments.wanted import Wanted


@dataclass(frozen=True, kw_only=True)
class Step:
    """One program to be run."""

    says: str  # what it is called when it fails
    does: str  # what it is called while it runs
    argv: tuple[str, ...]
    cwd: Path
    env: dict[str, str]  # beside what every step has


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where something is built."""

    files: Path  # copies of the requirements files, where they lie in the pack
    lines: Path  # a requirements file of packd's own, with what pack.yaml asks for
    target: Path  # the environment's folder
    cache: Path  # kept between builds
    refresh: bool  # what an index said before is asked again

    @property
    def python(self) -> Path:
        return self.target / "python"

    @property
    def node(self) -> Path:
        return self.target / "node"


def python_steps(site: Site, wanted: Wanted, base: Path, origins: Origins) -> list[Step]:
    """A virtual environment on `base` with the packages: by uv, or by pip where uv is missing."""
    files = [*wanted.requirements, *([str(site.lines)] if wanted.lines or wanted.supplied else [])]
    named = [word for file in files for word in ("-r", file)]
    uv = uv_program()
    return _by_pip(site, named, base, origins) if uv is None else _by_uv(uv, site, named, base, origins)


def node_step(site: Site, wanted: Wanted, npm: str, origins: Origins) -> Step:
    """What the lock says to the letter, if there is one. Scripts of packages never run."""
    verb = "ci" if any(lock in wanted.node for lock in LOCKS) else "install"
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error")
    env = {**origins.for_npm(), "npm_config_cache": str(site.cache / "npm"), "npm_config_update_notifier": "false"}
    online = ("--prefer-online",) if site.refresh else ()
    return Step(
        says=f"npm {verb}",
        does=f"installing npm packages (npm {verb})",
        argv=(npm, verb, *quiet, *online),
        cwd=site.node,
        env=env,
    )


def uv_program() -> str | None:
    """The one that came with packd, else one that is installed."""
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


_UV_OPTIONS: Final = ("--quiet", "--no-progress", "--color", "never")


def _by_uv(uv: str, site: Site, named: list[str], base: Path, origins: Origins) -> list[Step]:
    env = {
        **origins.for_uv(),
        "UV_CACHE_DIR": str(site.cache / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",  # a link would lead what tampers with an environment into the cache
    }
    if origins.for_python().alone:
        named = ["--no-index", *named]
    if site.refresh:
        named = ["--refresh", *named]
    make = (uv, "venv", *_UV_OPTIONS, "--no-project", "--python", str(base), str(site.python))
    python = str(site.python / "bin" / "python")
    # Compiled now: a run can't write to the environment, and would compile everything each time.
    install = (uv, "pip", "install", *_UV_OPTIONS, "--compile-bytecode", "--python", python, *named)
    return [
        Step(says="uv venv", does="making an environment (uv venv)", argv=make, cwd=site.files, env=env),
        Step(
            says="uv pip install",
            does="installing Python packages (uv pip install)",
            argv=install,
            cwd=site.files,
            env=env,
        ),
    ]


def _by_pip(site: Site, named: list[str], base: Path, origins: Origins) -> list[Step]:
    env = {
        **origins.for_python().as_pip(),
        "PIP_CONFIG_FILE": "/dev/null",  # what it says was taken over already
        "PIP_CACHE_DIR": str(site.cache / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        **({"PIP_NO_INDEX": "1"} if origins.offline else {}),
    }
    python = str(site.python / "bin" / "python")
    make = (str(base), "-m", "venv", str(site.python))
    install = (python, "-m", "pip", "install", "--quiet", *named)
    return [
        Step(says="python -m venv", does="making an environment (python -m venv)", argv=make, cwd=site.files, env=env),
        Step(
            says="pip install", does="installing Python packages (pip install)", argv=install, cwd=site.files, env=env
        ),
    ]
