"""The system calls that the launcher needs and Python does not have. By their numbers where the C library lacks them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

TYPE_CHECKING = False  # typing takes long to import
if TYPE_CHECKING:
    from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 2, 4, 8, 4096, 16384, 1 << 18, 1 << 19
_MNT_DETACH = 2
_ATTR_READ_ONLY, _ATTR_NO_SUID, _ATTR_NO_DEVICES = 1, 2, 4
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 38, 22, 24
_SECCOMP_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522

_NR_MOUNT_SETATTR, _NR_CREATE_RULESET, _NR_ADD_RULE, _NR_RESTRICT_SELF = 442, 444, 445, 446
_NR_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_RULE_PATH_BENEATH = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

# linux/landlock.h: execute, write, read a file, read a folder; the rest makes, removes, moves, truncates, controls.
_READ = 1 | 4 | 8
_RIGHTS_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_OF_FILES = 1 | 2 | 4 | (1 << 14) | (1 << 15)
_SCOPED_SINCE = 6  # abstract sockets and signals to what is outside
_SCOPES = 1 | 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Call:
    """A system call that is to be made later, or several times, with its arguments as the C library takes them.

    Made before a process is forked it costs the new one least: whatever Python touches in there is copied for it.
    """

    __slots__ = ("_arguments", "_function", "_kept", "_what")

    def __init__(self, what: str, function: Any, *arguments: object, keeping: object = None) -> None:
        """`keeping`: what the arguments only have the address of."""
        self._what = what
        self._function = function
        self._arguments = arguments
        self._kept = keeping

    def __call__(self) -> None:
        """Raises OSError."""
        _checked(self._function(*self._arguments), self._what)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def nothing() -> Call:
    """To rehearse with."""
    return Call("getpid", _libc.getpid)


def unsharing(flags: int) -> Call:
    return Call("unshare", _libc.unshare, flags)


def unshare(flags: int) -> None:
    unsharing(flags)()


def entering(descriptor: int, kind: int) -> Call:
    """The namespace that this is open on."""
    return Call("setns", _libc.setns, descriptor, kind)


def mounting(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> Call:
    names = (os.fsencode(source), os.fsencode(target), kind.encode())
    return Call(f"mount {target}", _libc.mount, *names, ctypes.c_ulong(flags), data.encode())


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    mounting(source, target, kind, flags, data)()


def mounting_tmpfs(target: str, *, size: int, mode: int) -> Call:
    """An empty folder in memory; `size` in bytes, 0 for no limit of its own."""
    limit = f"size={size}," if size else ""
    return mounting("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"{limit}mode={mode:o}")


def tmpfs(target: str, *, size: int, mode: int) -> None:
    mounting_tmpfs(target, size=size, mode=mode)()


def make_place(source: str, path: str) -> None:
    """Something of the same kind to mount it on."""
    if os.path.isdir(source):
        os.makedirs(path, 0o755, exist_ok=True)
    elif not os.path.exists(path):
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def bind(source: str, target: str) -> None:
    """With all that is mounted in it."""
    mount(source, target, "", MS_BIND | MS_REC)


def restrict(target: str, *, read_only: bool, below: bool) -> None:
    """No set-uid programs and devices from now on; `below`: also in what is mounted in it."""
    wanted = _ATTR_NO_SUID | _ATTR_NO_DEVICES | (_ATTR_READ_ONLY if read_only else 0)
    _set_attributes(target, wanted, below=below)


def seal(target: str) -> None:
    """Read-only from now on; what is mounted in it stays as it is."""
    _set_attributes(target, _ATTR_READ_ONLY, below=False)


def _set_attributes(target: str, wanted: int, *, below: bool) -> None:
    attributes = struct.pack("=QQQQ", wanted, 0, 0, 0)
    flags = _AT_RECURSIVE if below else 0
    done = _libc.syscall(_NR_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, attributes, len(attributes))
    _checked(done, f"mount_setattr {target}")


def pivot_root(new: str, old: str) -> None:
    _checked(_libc.syscall(_NR_PIVOT_ROOT[os.uname().machine], os.fsencode(new), os.fsencode(old)), "pivot_root")


def detach(target: str) -> None:
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def dying_with_parent(signal_number: int) -> Call:
    return Call("prctl", _libc.prctl, _PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def die_with_parent(signal_number: int) -> None:
    dying_with_parent(signal_number)()


def having_default(signal_number: int) -> Call:
    """The system does with this signal what it does by itself. Python does not hear of it: its own way takes longer."""
    return Call("signal", _libc.signal, int(signal_number), 0)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def forbid_nested_users() -> None:
    """Nobody in this user namespace makes another one from now on (namespaces(7)). Where /proc/sys is closed to us, no."""
    try:
        with open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")
    except OSError:
        return


def be_known_as(user: int, group: int) -> None:
    """In a user namespace of its own, in which the user that this process is has these numbers (user_namespaces(7))."""
    was_user, was_group = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    map_user(f"{user} {was_user} 1", f"{group} {was_group} 1")


def map_user(user: str, group: str) -> None:
    for name, text in (("setgroups", "deny"), ("gid_map", group), ("uid_map", user)):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def drop_bounding_set() -> None:
    """No program that is started from now on can be given any right."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break


def giving_up_rights() -> Call:
    """All that this process has; see `drop_bounding_set` for what it could be given."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    return Call("capset", _libc.capset, header, bytes(24))


def gaining_no_rights() -> Call:
    """Neither by a set-uid program nor by one with rights of its own."""
    return Call("prctl", _libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def no_more_rights() -> None:
    giving_up_rights()()
    gaining_no_rights()()


def hiding_from_own_user() -> Call:
    """Other processes of the user that this one became can't look into it, nor stop it (prctl(2), PR_SET_DUMPABLE)."""
    return Call("prctl", _libc.prctl, _PR_SET_DUMPABLE, 0, 0, 0, 0)


def filtering_calls(program: bytes) -> Call:
    """By a seccomp program; see packd.testrun.seccomp."""
    kept = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(kept))
    return Call("seccomp", _libc.prctl, _PR_SET_SECCOMP, _SECCOMP_FILTER, described, 0, 0, keeping=kept)


def filter_calls(program: bytes) -> None:
    filtering_calls(program)()


def landlock_version() -> int:
    """0 where the kernel has none."""
    return max(0, int(_libc.syscall(_NR_CREATE_RULESET, None, 0, 1)))


def landlock(readable: list[str], writable: list[str]) -> None:
    """From now on nothing can be opened but what lies in these."""
    version = landlock_version()
    rights = _RIGHTS_BY_VERSION[min(version, max(_RIGHTS_BY_VERSION))]
    described = struct.pack("=QQQ", rights, 0, _SCOPES)
    size = len(described) if version >= _SCOPED_SINCE else 8
    ruleset = _checked(_libc.syscall(_NR_CREATE_RULESET, described, size, 0), "landlock")
    for paths, wanted in ((readable, _READ & rights), (writable, rights)):
        for path in paths:
            _allow(ruleset, path, wanted)
    _checked(_libc.syscall(_NR_RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        _checked(_libc.syscall(_NR_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0), f"landlock {path}")
    finally:
        os.close(descriptor)
