"""Runs a program in namespaces of its own, in a view of the machine that is described to it, under Landlock.

    python -I -S confine.py DESCRIPTOR INFO_DESCRIPTOR

DESCRIPTOR holds JSON; see packd.testrun.landlock, which writes it. Two processes: this one waits for the other,
which is the first in its namespace of processes and ends all that is in there when it ends, and becomes the program.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any, NoReturn

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import kernel  # type: ignore[import-not-found]

_APART = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)
# Any folder that is everywhere; what is made in there is seen by nobody else.
_BASE = "/tmp"  # noqa: S108
_OLD, _NEW = "/old", "/new"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_TAKEN_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # which it ignores; a program has them as usual
_LINKS = {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}


def main() -> int:
    wanted = _described(int(sys.argv[1]))
    info = int(sys.argv[2])
    kernel.die_with_parent(signal.SIGKILL)
    user, group = os.getuid(), os.getgid()
    kernel.unshare(_APART | (0 if wanted["network"] else kernel.CLONE_NEWNET))
    if not wanted["mapped_from_outside"]:
        kernel.map_user(f"{user} {user} 1", f"{group} {group} 1")
    first = os.fork()
    if first == 0:
        os.close(info)
        _guarded(lambda: _first(wanted))
    os.write(info, json.dumps({"child-pid": first}).encode())
    os.close(info)
    return _status(os.waitpid(first, 0)[1])


def _first(wanted: dict[str, Any]) -> NoReturn:
    """The first process inside: makes the view, and becomes the program."""
    kernel.die_with_parent(signal.SIGKILL)
    if wanted["mapped_from_outside"] and not os.read(0, 1):
        raise OSError("nobody said who is who inside")
    if not wanted["network"]:
        kernel.loopback_up()
    socket.sethostname(wanted["hostname"])
    _make_view(wanted["mounts"])
    os.setsid()
    _become(wanted)


def _become(wanted: dict[str, Any]) -> NoReturn:
    """Give everything up, then be the program."""
    kernel.drop_bounding_set()  # which takes a right that a change of the user gives up
    if wanted["user"] is not None:
        os.setgroups([])
        os.setgid(wanted["group"])
        os.setuid(wanted["user"])
    kernel.die_with_parent(signal.SIGKILL)  # which a change of the user would undo
    kernel.no_more_rights()
    kernel.landlock(wanted["readable"], wanted["writable"])
    if wanted["filter"]:
        kernel.filter_calls(bytes.fromhex(wanted["filter"]))
    for number in _TAKEN_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    os.execv(wanted["argv"][0], wanted["argv"])  # noqa: S606


# --- the view --------------------------------------------------------------------------------------------------------


def _make_view(mounts: list[dict[str, Any]]) -> None:
    """Everything is made below a new root, from the old one, which is let go of in the end."""
    usual = os.umask(0)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("tmpfs", _BASE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size=1m")
    for name in (_OLD, _NEW):
        os.mkdir(_BASE + name, 0o755)
    os.chdir(_BASE)
    kernel.pivot_root(_BASE, _BASE + _OLD)
    os.chdir("/")
    kernel.mount("tmpfs", _NEW, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size=1m")
    _make_proc_and_dev()
    for mount in mounts:
        _make(mount)
    kernel.seal(_NEW + "/dev")
    kernel.seal(_NEW)
    kernel.detach(_OLD)
    os.chdir(_NEW)
    kernel.pivot_root(".", ".")
    kernel.detach(".")
    os.chdir("/")
    os.umask(usual)


def _make_proc_and_dev() -> None:
    for name in ("/proc", "/dev"):
        os.mkdir(_NEW + name, 0o755)
    kernel.mount("proc", _NEW + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.mount("tmpfs", _NEW + "/dev", "tmpfs", kernel.MS_NOSUID, "mode=755,size=64k")
    for name in _DEVICES:
        os.close(os.open(f"{_NEW}/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        kernel.bind(f"{_OLD}/dev/{name}", f"{_NEW}/dev/{name}")
    for name, target in _LINKS.items():
        os.symlink(f"/proc/self/{target}", f"{_NEW}/dev/{name}")
    for name in ("shm", "pts"):
        os.mkdir(f"{_NEW}/dev/{name}", 0o755)
    kernel.mount("devpts", _NEW + "/dev/pts", "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", _NEW + "/dev/ptmx")


def _make(mount: dict[str, Any]) -> None:
    kind, path = mount["kind"], _NEW + mount["path"]
    if kind == "folder":
        os.makedirs(path, 0o755, exist_ok=True)
    elif kind == "link":
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.symlink(mount["source"], path)
    elif kind == "empty":
        os.makedirs(path, 0o755, exist_ok=True)
        kernel.tmpfs(path, size=mount["size"], mode=mount["mode"])
    else:
        source = _OLD + mount["source"]
        kernel.make_place(source, path)
        kernel.bind(source, path)
        kernel.restrict(path, read_only=kind == "read", below=True)


# --- small things ----------------------------------------------------------------------------------------------------


def _described(descriptor: int) -> dict[str, Any]:
    with os.fdopen(descriptor, "rb") as file:
        described: dict[str, Any] = json.load(file)
    return described


def _guarded(work: Any) -> None:
    """A forked process never goes back to where its parent goes on."""
    try:
        code = work()
    except BaseException as trouble:
        sys.stderr.write(f"{trouble}\n")
        code = 1
    finally:
        sys.stderr.flush()
    os._exit(code)


def _status(status: int) -> int:
    """As a shell says it: 128 + N for signal N."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as refusal:
        sys.exit(f"confine: {refusal}")
