"""What the machine offers: watches, descriptors, a clock that can be trusted, programs, isolation."""

from __future__ import annotations

import os
import resource
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.flow.clock_sync import WARNING, is_synchronised
from packd.flow.diagnosis.answers import Answer, ok, skipped, warning, wrong
from packd.flow.diagnosis.places import is_folder
from packd.watch.advice import kernel_setting
from packd.watch.scan import count_folders
from packd.watch.usage import in_use

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from packd.domain.ignore import Ignore

_TIGHT: Final = 0.8  # of a limit
_FEW_FILES: Final = 1024
_AHEAD_S: Final = 60.0
_SYSCTL: Final = "/etc/sysctl.d/90-packd.conf"


def watches(packs_dir: Path, ignore: Ignore) -> Iterator[Answer]:
    """Without a daemon: would there be enough inotify watches for the tree, beside what this user has already?"""
    about = "inotify"
    limit, instances = kernel_setting("max_user_watches"), kernel_setting("max_user_instances")
    if limit is None or instances is None:
        yield skipped(about, "the kernel does not say how many watches there may be")
        return
    needed = count_folders(packs_dir, ignore) if is_folder(packs_dir) else 1
    used = in_use()
    yield _enough(about, needed=needed, free=limit - used.watches, limit=limit)
    if used.instances + 1 > instances * _TIGHT:
        yield (wrong if used.instances >= instances else warning)(
            about,
            f"{used.instances} of {instances} inotify instances of this user are in use",
            _raise("max_user_instances", max(1024, instances * 2)),
        )


def watches_of_daemon(watch: Mapping[str, Any]) -> Iterator[Answer]:
    """With a daemon: what it says of itself. Troubles that have nothing to do with limits are told by its own checks."""
    about = "inotify"
    limit = watch["limit"] or 0
    said = f"{watch['watches']} of {watch['folders']} folders are watched, and this user may watch {limit}"
    if "limit" in watch["troubles"]:
        yield wrong(about, f"watches ran out: {said}", _raise("max_user_watches", max(watch["folders"], limit) * 2))
    elif watch["state"] != "watching" and not watch["troubles"]:
        yield wrong(about, f"the watcher has stopped: {said}", "restart the daemon")
    elif limit and watch["watches"] > limit * _TIGHT:
        yield warning(about, f"{said}: the limit is near", _raise("max_user_watches", limit * 2))
    else:
        yield ok(about, said)


def _enough(about: str, *, needed: int, free: int, limit: int) -> Answer:
    wanted = "1 watch is" if needed == 1 else f"{needed} watches are"
    said = f"{wanted} needed for the packs directory, {max(free, 0)} of {limit} are free"
    fix = _raise("max_user_watches", max(limit * 2, needed * 2))
    if needed > free:
        return wrong(about, said, fix)
    return warning(about, f"{said}: that is tight", fix) if needed > free * _TIGHT else ok(about, said)


def _raise(setting: str, to: int) -> str:
    return f"echo fs.inotify.{setting}={to} | sudo tee -a {_SYSCTL} && sudo sysctl --system"


def open_files() -> Answer:
    """How many descriptors a process of this user may have."""
    about = "open files"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FEW_FILES and soft != resource.RLIM_INFINITY:
        return warning(
            about, f"only {soft} files may be open at once", f"ulimit -n {max(_FEW_FILES, soft)} (at most {hard} now)"
        )
    return ok(about, f"{soft} may be open at once")


def clock(folder: Path, newest_event: float | None) -> Iterator[Answer]:
    """`newest_event`: Unix seconds of the newest event that was written down, None when there is none."""
    about, now = "clock", time.time()
    if newest_event is not None and newest_event - now > _AHEAD_S:
        yield wrong(
            about,
            f"the newest event is {newest_event - now:.0f} s in the future: the clock was set back",
            "set the clock right: `timedatectl set-ntp true`",
        )
        return
    if is_synchronised() is False:
        said, _, fix = WARNING.partition("; ")
        yield warning(about, said, fix)
        return
    ahead = _newest(folder) - now
    if ahead > _AHEAD_S:
        yield warning(
            about,
            f"something in {folder} was changed {ahead:.0f} s in the future: two clocks differ",
            "synchronise the clock of the machine that copies packs here",
        )
        return
    yield ok(about, time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)))


def _newest(folder: Path) -> float:
    """When the youngest child was changed; 0 when there is none."""
    try:
        with os.scandir(folder) as found:
            return max((item.stat(follow_symlinks=False).st_mtime for item in found), default=0.0)
    except OSError:
        return 0.0


def git() -> Answer:
    """Needed for packs that come from a repository."""
    path = shutil.which("git")
    if path is None:
        return warning("git", "git is not installed: packs can't be installed from repositories", "apt install git")
    return ok("git", path)


def node() -> Answer:
    """Needed for packs in JavaScript only."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        return skipped("node", f"{' and '.join(missing)} not installed: only packs in JavaScript need it")
    return ok("node", shutil.which("node") or "")


def user(daemon: int | None = None) -> Answer:
    """Who runs other people's code: the daemon with this process number, else whoever would start one here."""
    about = "user"
    uid = os.geteuid() if daemon is None else _user_of(daemon)
    if uid is None:
        return skipped(about, "the system does not say whom the daemon runs as")
    if uid == 0:
        return warning(
            about,
            f"{'this is' if daemon is None else 'the daemon runs as'} root, and packd needs no such rights",
            "give it a user of its own; the service does (`packd service install`)",
        )
    return ok(about, f"uid {uid}" if daemon is None else f"the daemon runs with uid {uid}")


def _user_of(pid: int) -> int | None:
    """None when it is no packd's: a daemon in a container has another number there."""
    process = Path("/proc") / str(pid)
    try:
        if b"packd" not in (process / "cmdline").read_bytes():
            return None
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[2]) for line in lines if line.startswith("Uid:")), None)  # the effective one
