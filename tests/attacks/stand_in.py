"""Stands in for the daemon while packs attack it: `python -m tests.attacks.stand_in FOLDER RUNG TOKEN`.

A process of its own, since an attack may kill it: with a state folder, a secret in its environment, a socket, a server
on this machine, and the real store and executor on the rung that is asked for. Takes orders line by line on stdin, and
answers each with a line: a report and what it noticed itself.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packd.domain.ignore import Ignore
from packd.snapshot.limits import Limits as TreeLimits
from packd.snapshot.store import Snapshot, Store
from packd.testrun.executor import CancelToken, Limits, LocalExecutor, RunRequest, kill_leftovers
from packd.testrun.processes import children
from packd.validate.load import check
from tests.attacks import rungs

if TYPE_CHECKING:
    from concurrent.futures import Future

    from packd.domain.reports import Report


@dataclass
class Doors:
    """Where somebody could come in; who does is counted."""

    visits: list[str] = field(default_factory=list)

    def open(self, name: str, family: socket.AddressFamily, address: Any) -> socket.socket:
        door = socket.socket(family, socket.SOCK_STREAM)
        door.bind(address)
        door.listen()
        threading.Thread(target=self._answer, args=(name, door), daemon=True).start()
        return door

    def _answer(self, name: str, door: socket.socket) -> None:
        while True:
            visitor, _ = door.accept()
            self.visits.append(name)
            visitor.close()


class StandIn:
    """The state folder, the doors and the executor."""

    def __init__(self, folder: Path, rung: str, token: str) -> None:
        self.state = folder / "state"
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.found = kill_leftovers(self.state / "work")
        self.doors = Doors()
        self.store = Store(self.state / "store", TreeLimits())
        self.executor = LocalExecutor(
            self.state / "work",
            1,
            self.store.copy_tree,
            sandbox=rungs.states(folder / "rungs")[rung],
            grace_s=0.3,
            apart=True,  # as the daemon does it; there is no other thread yet
        )
        self.token = token
        self.runs = 0
        own = self.state / "packd.sock"
        own.unlink(missing_ok=True)
        self.doors.open("daemon's socket", socket.AF_UNIX, str(own))
        self.doors.open("abstract socket", socket.AF_UNIX, f"\0{token}")
        self.port = self.doors.open("tcp", socket.AF_INET, ("", 0)).getsockname()[1]

    def take(self, pack: Path) -> Path:
        """Where its snapshot lies."""
        taken = self.store.take(pack, Ignore(()))
        assert isinstance(taken, Snapshot), taken
        return self.store.path(taken.digest)

    def run(self, tree: Path, limits: dict[str, int]) -> dict[str, Any]:
        return self.begin(tree, limits)[1].result().to_dict()

    def begin(self, tree: Path, limits: dict[str, int]) -> tuple[CancelToken, Future[Report]]:
        manifest = check(tree, name="attack").manifest
        assert manifest is not None
        assert manifest.testing is not None
        self.runs += 1
        request = RunRequest(
            run_id=f"attack-{self.token}-{os.getpid()}-{self.runs}",
            ref=manifest.ref,
            version=manifest.version,
            tree=tree,
            suites=manifest.testing.suites,
            default_timeout_s=20,
            limits=Limits(**limits),
            started_at="2024-05-01T10:00:00Z",
        )
        token = CancelToken()
        return token, self.executor.submit(request, cancel=token)


def main() -> None:
    folder, rung, token = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    this = StandIn(folder, rung, token)
    begun: tuple[CancelToken, Future[Report]]
    answer({"pid": os.getpid(), "port": this.port, "isolation": this.executor.isolation})
    for line in sys.stdin:
        order = json.loads(line)
        if "take" in order:
            answer({"tree": str(this.take(Path(order["take"])))})
            continue
        if "look" in order:
            answer(held())
            continue
        if "begin" in order:
            begun = this.begin(Path(order["begin"]), {})
            answer({})
            continue
        if "cancel" in order:
            at = time.monotonic()
            begun[0].cancel("by an operator")
            reason = begun[1].result().reason
            answer({"reason": reason, "took_s": time.monotonic() - at})
            continue
        this.doors.visits.clear()
        report = this.run(Path(order["run"]), order["limits"])
        answer({"report": report, "visits": this.doors.visits})
    this.executor.close(1)


def held() -> dict[str, int]:
    """What this process holds on to."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": len(children(os.getpid())),
        "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
        "memory_mb": pages * os.sysconf("SC_PAGE_SIZE") >> 20,
    }


def answer(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
