"""The filter of system calls that contained programs run under: what opens the kernel is refused, the rest is not.

A program for the kernel's classic BPF machine (seccomp(2), linux/filter.h), made here without a library: eight bytes an
instruction. Refused calls fail with an error, as they would for lack of a right; nothing is killed for asking.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from dataclasses import dataclass
from typing import Final

# linux/bpf_common.h: load a word of what is described below; jump if equal, if greater, if a bit is set; return.
_LOAD: Final = 0x20
_IF_EQUAL: Final = 0x15
_IF_AT_LEAST: Final = 0x35
_IF_BIT: Final = 0x45
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_ERROR: Final = 0x00050000

# struct seccomp_data: the call's number, the architecture, the instruction pointer, six arguments (low half first).
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENT: Final = (16, 24, 32, 40, 48, 56)

# clone(2): cgroup, uts, ipc, user, pid, net and mount namespaces.
_NEW_NAMESPACES: Final = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000
_X32: Final = 0x40000000  # a second set of numbers on x86-64
_FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_TIOCSTI: Final = 0x5412  # types into the terminal
_TIOCLINUX: Final = 0x541C

_REFUSED: Final = {
    # other processes' memory; the kernel's key rings, programs and counters; memory faults handled by oneself
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "syslog": (103, 116),
    "lookup_dcookie": (212, 18),
    # mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "fanotify_init": (300, 262),
    # the machine
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
# Programs fall back when these are missing altogether: libuv and the C library to their older ways.
_MISSING: Final = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),  # its flags lie in memory, where a filter can't look
}
_CLONE: Final = (56, 220)
_SOCKET: Final = (41, 198)
_SOCKETPAIR: Final = (53, 199)
_IOCTL: Final = (16, 29)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A processor's architecture (linux/audit.h) and the column of its system call numbers above."""

    architecture: int
    column: int


MACHINES: Final = {
    "x86_64": Machine(architecture=0xC000003E, column=0),
    "aarch64": Machine(architecture=0xC00000B7, column=1),
}


def seccomp_program(machine: str | None = None) -> bytes | None:
    """The filter for this machine; None for an architecture whose numbers are not known here."""
    kind = MACHINES.get(machine or platform.machine())
    return None if kind is None else b"".join(_instructions(kind))


def _instructions(machine: Machine) -> list[bytes]:
    """The kernel goes through the filter once for every number there is, each time a process takes it: so it is a tree."""
    program = [
        _do(_LOAD, _ARCHITECTURE),
        _jump(_IF_EQUAL, machine.architecture, yes=1, no=0),
        _error(errno.ENOSYS),
        _do(_LOAD, _NUMBER),
    ]
    if machine.architecture == MACHINES["x86_64"].architecture:
        program += [_jump(_IF_AT_LEAST, _X32, yes=0, no=1), _error(errno.ENOSYS)]
    return program + _by_number(_ranges(_answers(machine.column)))


def _answers(column: int) -> dict[int, list[bytes]]:
    """What is done about each call, by its number; the others are allowed."""
    answers = {
        numbers[column]: [_error(error)]
        for error, calls in ((errno.EPERM, _REFUSED), (errno.ENOSYS, _MISSING))
        for numbers in calls.values()
    }
    # Where it hangs on an argument, the tests jump to the last two: permission and error, or the other way round.
    refused, allowed = _error(errno.EPERM), _allowed()
    apart = _jump(_IF_BIT, _NEW_NAMESPACES, yes=1, no=0)
    answers[_CLONE[column]] = [_do(_LOAD, _ARGUMENT[0]), apart, allowed, refused]
    typing = [_jump(_IF_EQUAL, _TIOCSTI, yes=2, no=0), _jump(_IF_EQUAL, _TIOCLINUX, yes=1, no=0)]
    answers[_IOCTL[column]] = [_do(_LOAD, _ARGUMENT[1]), *typing, allowed, refused]
    families = [_jump(_IF_EQUAL, family, yes=len(_FAMILIES) - at, no=0) for at, family in enumerate(_FAMILIES)]
    for number in (_SOCKET[column], _SOCKETPAIR[column]):
        answers[number] = [_do(_LOAD, _ARGUMENT[0]), *families, _error(errno.EAFNOSUPPORT), allowed]
    return {number: answer for number, answer in answers.items() if number is not None}


def _ranges(answers: dict[int, list[bytes]]) -> list[tuple[int, list[bytes]]]:
    """(the first number, what is done about it and all up to the next), from 0 on."""
    ranges: list[tuple[int, list[bytes]]] = []
    for number in sorted({0, *answers, *(number + 1 for number in answers)}):
        answer = answers.get(number, [_allowed()])
        if not ranges or ranges[-1][1] != answer:
            ranges.append((number, answer))
    return ranges


def _by_number(ranges: list[tuple[int, list[bytes]]]) -> list[bytes]:
    """By halves. Every answer ends the program, so that nothing follows it."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _by_number(ranges[:middle]), _by_number(ranges[middle:])
    return [_jump(_IF_AT_LEAST, ranges[middle][0], yes=len(below), no=0), *below, *above]


def _allowed() -> bytes:
    return _do(_RETURN, _ALLOW)


def _error(number: int) -> bytes:
    return _do(_RETURN, _ERROR | number)


def _do(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, *, yes: int, no: int) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
