"""The attacks: what each may come to, and which rungs honestly do not contain it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Verdict = tuple[str, str | None]  # status and reason of the report

PASSED: Final[Verdict] = ("passed", None)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One pack below `packs/`."""

    pack: str
    does: str  # as the table says it
    verdict: Verdict  # of its run where it is contained
    limits: Mapping[str, int] = field(default_factory=dict)  # set low, so that it is over soon
    escapes: frozenset[str] = frozenset()  # rungs that do not contain it
    varies: bool = False  # where a rung does not contain it, the machine's own settings may


def _limited(pack: str, does: str, reason: str, escapes: frozenset[str] = frozenset(), **limits: int) -> Attack:
    return Attack(pack=pack, does=does, verdict=("failed", reason), limits=limits, escapes=escapes)


BASIC: Final = frozenset({"basic"})
WITHOUT_CGROUP: Final = frozenset({"bwrap", "basic"})  # what all processes take together is not limited

# Rungs where what left its parents outlives a killed daemon until the next start.
LEAVE_ORPHANS: Final = BASIC

ATTACKS: Final = (
    _limited("fork_bomb", "multiplies, each process in a session of its own", "processes", processes=20),
    _limited("memory_hog", "takes 10 GiB of memory", "memory", memory_mb=128),
    _limited(
        "memory_crowd",
        "takes memory with many processes, each within the limit",
        "memory",
        WITHOUT_CGROUP,
        memory_mb=96,
        disk_mb=4,
    ),
    _limited("disk_filler", "fills the disk with many files", "disk", disk_mb=4),
    _limited("large_file", "fills the disk with one file", "disk", disk_mb=4),
    _limited("inode_filler", "fills the disk with empty files", "disk", disk_mb=4),
    _limited("output_flood", "prints 1 GiB", "output", output_kb=64),
    _limited("cpu_burner", "burns processor time, and ignores SIGXCPU", "cpu", cpu_s=1),
    Attack(pack="sleeper", does="sleeps for ever, and ignores SIGTERM", verdict=("timed_out", "timeout")),
    Attack(pack="double_fork", does="leaves a double-forked process with an empty environment", verdict=PASSED),
    Attack(pack="setsid_survivor", does="leaves a process in a session of its own", verdict=PASSED),
    Attack(pack="closed_stdout", does="closes its output and every other descriptor", verdict=("failed", "failures")),
    Attack(pack="daemon_secrets", does="reads the daemon's environment and memory", verdict=PASSED, escapes=BASIC),
    Attack(pack="daemon_database", does="reads the daemon's database and secrets", verdict=PASSED, escapes=BASIC),
    Attack(pack="other_pack", does="reads another pack, dropped and in the store", verdict=PASSED, escapes=BASIC),
    Attack(pack="home_folder", does="reads the home folder", verdict=PASSED, escapes=BASIC),
    Attack(pack="drop_writer", does="writes to the folder where it was dropped", verdict=PASSED, escapes=BASIC),
    Attack(pack="store_writer", does="writes to the store and the database", verdict=PASSED, escapes=BASIC),
    Attack(pack="litter", does="leaves files in /tmp, /dev/shm and the home folder", verdict=PASSED, escapes=BASIC),
    Attack(pack="tcp", does="connects to a server on this machine", verdict=PASSED, escapes=BASIC),
    Attack(pack="daemon_socket", does="connects to the daemon's own socket", verdict=PASSED, escapes=BASIC),
    Attack(pack="abstract_socket", does="connects to an abstract socket", verdict=PASSED, escapes=BASIC),
    Attack(pack="kill_parent", does="kills its parent", verdict=PASSED, escapes=BASIC),
    Attack(
        pack="user_namespace",
        does="makes itself root of a user namespace",
        verdict=PASSED,
        escapes=BASIC,
        varies=True,
    ),
    Attack(pack="result_link", does="puts links where its report should be", verdict=("error", "inconsistent")),
    Attack(pack="liar", does="reports success, and exits with 1", verdict=("failed", "inconsistent")),
    Attack(pack="report_bomb", does="writes a report that explodes", verdict=("error", "inconsistent")),
    Attack(pack="locked_folders", does="locks its folders, so that they can't be removed", verdict=PASSED),
)
