"""The isolation ladder: its rungs, best first, each probed by really running something on it; the best that works is taken.

bwrap+cgroup   bubblewrap, and a control group for each suite
bwrap          bubblewrap
landlock       namespaces and a view made by packd itself, guarded by Landlock; where bubblewrap is missing
basic          limits, a session, a deadline, an environment from nothing
"""

from __future__ import annotations

import os
import pwd
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from packd.testrun.basic import BasicSandbox
from packd.testrun.bwrap import BwrapSandbox
from packd.testrun.cancel import CancelToken
from packd.testrun.cgroup import Delegated, NoCgroup
from packd.testrun.harness import HARNESS
from packd.testrun.landlock import LandlockSandbox
from packd.testrun.leftovers import end_probes
from packd.testrun.limits import Limits
from packd.testrun.mark import WORK_VARIABLE, Mark
from packd.testrun.sandbox import SYSTEM_PATH, Order, Unusable
from packd.testrun.supervisor import Supervisor
from packd.testrun.system_files import Someone
from packd.testrun.workspace import remove_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packd.testrun.sandbox import Sandbox

Wanted = Literal["auto", "bwrap", "basic"]

_PROBE_S: Final = 20.0
_TRIAL: Final = "probe-"  # begins the names of folders in which a rung is tried
_USUAL_USERS: Final = ("packd-tests", "nobody")
_LIMITS: Final = Limits(memory_mb=256, processes=64, disk_mb=16, output_kb=64, cpu_s=10)
# In its folder it may write, and there is room; that it is somewhere else than its parent is for the rung to say.
_PROBE: Final = 'cd "$PACKD_WORK" && echo works > file && test -r file && read -r said < file && echo "$said"'


class NoRung(LookupError):
    """The isolation that is wanted can't be had; the message says why, and the way out."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One rung on this machine."""

    name: str  # as reports say it
    sandbox: Sandbox | None  # None: it does not work here
    why_not: str | None = None

    @property
    def works(self) -> bool:
        return self.sandbox is not None


@dataclass(frozen=True, kw_only=True)
class Footing:
    """What the rungs stand on."""

    folder: Path  # its own: for what is prepared once, and for trying them
    someone: Someone | None = None  # whom suites become, where packd is root
    hidden: tuple[Path, ...] = ()  # never seen by a suite, but for its own folders in there
    state: Path | None = None  # packd's own folder, to be opened a little where suites run as someone else and see it
    python: Path | None = None  # what they have to be able to run packd's own runners with
    must_become: bool = False  # a user was asked for: rather none of the lower rungs than as root


def choose(wanted: Wanted, footing: Footing) -> tuple[Sandbox, tuple[Rung, ...]]:
    """The rung to be used, and those above it that do not work. Raises NoRung.

    To be called by the only daemon that uses the folder: what one before it left there is ended.
    """
    end_probes(footing.folder.glob(f"{_TRIAL}*"))
    missed: list[Rung] = []
    for name, make in _LADDER[-1:] if wanted == "basic" else _LADDER:
        if wanted == "bwrap" and not name.startswith("bwrap"):
            continue
        rung = _probed(name, make, footing)
        if rung.sandbox is not None:
            return rung.sandbox, tuple(missed)
        missed.append(rung)
    why = "; ".join(f"{rung.name}: {rung.why_not}" for rung in missed)
    way_out = "" if wanted == "auto" else ", or set tests.isolation to auto for the best that works"
    raise NoRung(f"tests.isolation is {wanted}, and that does not work here ({why}); install what is missing{way_out}")


def rungs(footing: Footing) -> tuple[Rung, ...]:
    """All of them, best first, each probed now."""
    return tuple(_probed(name, make, footing) for name, make in _LADDER)


def open_the_way(state: Path, someone: Someone) -> None:
    """The user of suites may pass through packd's own folder to where they run, and read nothing else in it."""
    for name in ("work", "environments", "sandbox"):
        (state / name).mkdir(mode=0o711, exist_ok=True)
        (state / name).chmod(0o711)
    for path in state.iterdir():
        if path.name not in ("work", "environments", "sandbox") and not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    os.chown(state, -1, someone.gid)
    state.chmod(0o710)


def suite_user(wanted: str | None) -> Someone | None:
    """Whom suites become: the user of that name or number, else a usual one; None where packd is not root.

    Raises NoRung when there is no such user.
    """
    if os.geteuid() != 0:
        return None
    for name in (wanted,) if wanted is not None else _USUAL_USERS:
        try:
            entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise NoRung("tests.user is root: name a user who may do nothing, or leave it out")
        return Someone(uid=entry.pw_uid, gid=entry.pw_gid)
    if wanted is not None:
        raise NoRung(f"tests.user: there is no user '{wanted}' on this machine (`useradd --system {wanted}`)")
    return None


def _with_cgroup(footing: Footing) -> Sandbox:
    return BwrapSandbox(
        footing.folder / "bwrap+cgroup", someone=footing.someone, hidden=footing.hidden, cgroups=Delegated.take()
    )


def _without_cgroup(footing: Footing) -> Sandbox:
    return BwrapSandbox(footing.folder / "bwrap", someone=footing.someone, hidden=footing.hidden, cgroups=None)


def _landlock(footing: Footing) -> Sandbox:
    return LandlockSandbox(footing.folder / "landlock", someone=footing.someone, hidden=footing.hidden)


def _basic(footing: Footing) -> Sandbox:
    """As someone else where packd is root and that one can get at what is needed."""
    if footing.someone is None:
        return BasicSandbox()
    sandbox = BasicSandbox(someone=footing.someone)
    if footing.state is not None:
        open_the_way(footing.state, footing.someone)
    why = sandbox.as_root or _try(sandbox, footing.folder, python=footing.python)
    if why is None:
        return sandbox
    if footing.must_become:
        raise Unusable(f"the user of tests.user can't run suites: {why}")
    return BasicSandbox(why_nobody=why)


_LADDER: Final[Sequence[tuple[str, Callable[[Footing], Sandbox]]]] = (
    ("bwrap+cgroup", _with_cgroup),
    ("bwrap", _without_cgroup),
    ("landlock", _landlock),
    ("basic", _basic),
)

NAMES: Final = tuple(name for name, _ in _LADDER)  # best first


def _probed(name: str, make: Callable[[Footing], Sandbox], footing: Footing) -> Rung:
    try:
        sandbox = make(footing)
        trouble = _try(sandbox, footing.folder)
    except (Unusable, NoCgroup, OSError) as error:
        return Rung(name=name, sandbox=None, why_not=str(error))
    return Rung(name=name, sandbox=None if trouble else sandbox, why_not=trouble)


def _try(sandbox: Sandbox, folder: Path, *, python: Path | None = None) -> str | None:
    """Why it does not work; None when it does."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=_TRIAL, dir=folder))
    try:
        order = Order(
            argv=("/bin/sh", "-c", f"{_PROBE} && exec {_reaching(python)}" if python else _PROBE),
            cwd=place,
            env={"PATH": SYSTEM_PATH, WORK_VARIABLE: str(place)},
            limits=_LIMITS,
            mark=Mark.of(place),
            private=place,
        )
        supervisor = Supervisor(sandbox, adopting=False, grace_s=0.0)
        end = supervisor.run(order, timeout_s=_PROBE_S, cancel=CancelToken(), on_events=None)
    finally:
        remove_folder(place)
    if end.exit_code == 0 and end.output == "works\n":
        return None
    said = " ".join(end.output.removeprefix("works\n").split())
    return f"a first try ended with exit status {end.exit_code}: {said[-500:]}"


def _reaching(python: Path) -> str:
    """A command that does nothing, for which both the interpreter and packd's own runners have to be got at."""
    return shlex.join((str(python), "-I", "-S", str(HARNESS / "packd_case_stream.py")))
