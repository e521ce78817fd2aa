"""The filter of system calls, run here by an interpreter of the kernel's machine for it, for every architecture."""

from __future__ import annotations

import errno
import platform
import struct

import pytest

from packd.testrun.seccomp import MACHINES, seccomp_program

ALLOW = 0x7FFF0000
CALLS = {  # number on x86-64, on arm64 (the kernel's headers)
    "read": (0, 63), "execve": (59, 221), "clone": (56, 220), "clone3": (435, 435), "unshare": (272, 97),
    "mount": (165, 40), "ptrace": (101, 117), "bpf": (321, 280), "keyctl": (250, 219), "setns": (308, 268),
    "io_uring_setup": (425, 425), "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29), "futex": (202, 98),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "open_by_handle_at": (304, 265), "chroot": (161, 51),
    "memfd_create": (319, 279), "setuid": (105, 146), "rseq": (334, 293), "membarrier": (324, 283),
}  # fmt: skip


def answer(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """0 when it is allowed, else the error it gets. Raises when the program never returns."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(*arguments, *([0] * (6 - len(arguments)))))
    instructions = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        code, yes, no, value = instructions[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            at += yes if accumulator == value else no
        elif code == 0x35:
            at += yes if accumulator >= value else no
        elif code == 0x45:
            at += yes if accumulator & value else no
        else:
            assert code == 0x06
            return 0 if value == ALLOW else value & 0xFFFF


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(machine: str, call: str, *arguments: int) -> int:
    kind = MACHINES[machine]
    return answer(seccomp_program(machine) or b"", kind.architecture, CALLS[call][kind.column], *arguments)


@pytest.mark.parametrize("call", ["read", "execve", "futex", "memfd_create", "setuid", "rseq", "membarrier"])
def test_ordinary_calls_are_allowed(machine: str, call: str) -> None:
    """Node, Python and Java need them."""
    assert ask(machine, call) == 0


@pytest.mark.parametrize(
    "call",
    [
        "unshare",
        "mount",
        "ptrace",
        "bpf",
        "keyctl",
        "setns",
        "perf_event_open",
        "userfaultfd",
        "open_by_handle_at",
        "chroot",
    ],
)
def test_what_opens_the_kernel_is_refused(machine: str, call: str) -> None:
    """As for lack of a right."""
    assert ask(machine, call) == errno.EPERM


@pytest.mark.parametrize("call", ["clone3", "io_uring_setup"])
def test_what_has_an_older_way_is_missing(machine: str, call: str) -> None:
    """Libraries then take the older way."""
    assert ask(machine, call) == errno.ENOSYS


def test_processes_and_threads_are_made_without_namespaces(machine: str) -> None:
    """fork, vfork and pthread_create pass; each new namespace alone is refused."""
    for flags in (17, 0x4111, 0x3D0F00):
        assert ask(machine, "clone", flags) == 0
    for flag in (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000):
        assert ask(machine, "clone", flag | 17) == errno.EPERM


def test_sockets_of_usual_families(machine: str) -> None:
    """Unix, internet and netlink; nothing that leads to the hypervisor, to hardware or into the kernel's cryptography."""
    assert [ask(machine, "socket", family) for family in (1, 2, 10, 16)] == [0, 0, 0, 0]
    assert {ask(machine, "socket", family) for family in (17, 31, 38, 40, 44)} == {errno.EAFNOSUPPORT}
    assert ask(machine, "socketpair", 1) == 0
    assert ask(machine, "socketpair", 40) == errno.EAFNOSUPPORT


def test_nobody_types_into_the_terminal(machine: str) -> None:
    """TIOCSTI and TIOCLINUX, and nothing else of ioctl."""
    assert ask(machine, "ioctl", 0, 0x5412) == errno.EPERM
    assert ask(machine, "ioctl", 0, 0x541C) == errno.EPERM
    assert ask(machine, "ioctl", 0, 0x5413) == 0


def test_other_sets_of_numbers_lead_nowhere(machine: str) -> None:
    """32-bit programs and x32 have numbers of their own, by which everything above could be had."""
    program = seccomp_program(machine) or b""
    assert answer(program, 0x40000003, 3) == errno.ENOSYS
    if machine == "x86_64":
        assert answer(program, MACHINES[machine].architecture, 0x40000000) == errno.ENOSYS


def test_a_processor_that_is_not_known_has_no_filter() -> None:
    """The rung says so; and this machine's is the default."""
    assert seccomp_program("pdp11") is None
    assert seccomp_program() == seccomp_program(platform.machine())
    assert all(len(seccomp_program(machine) or b"") < 8 * 4096 for machine in MACHINES)
