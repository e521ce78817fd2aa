"""Where attacks are carried out: a stand-in for the daemon on one rung, bait around it, and a look at all of it after."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.processes import is_alive
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.attacks.declared import Attack, Verdict

PACKS: Final = Path(__file__).parent / "packs"
ROOT: Final = Path(__file__).parents[2]
_SPARE: Final = {"descriptors": 0, "threads": 0, "children": 0, "mounts": 0, "memory_mb": 64}
LITTERED: Final = ("/tmp", "/var/tmp", "/dev/shm")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attack."""

    verdict: Verdict | None  # None: there is no report, since whoever should give it is gone
    reached: list[str] = field(default_factory=list)  # by its own account, by the doors and by the bait
    left: list[str] = field(default_factory=list)  # behind it
    report: dict[str, Any] | None = None

    def contained(self, expected: Verdict) -> bool:
        return self.verdict == expected and not self.reached and not self.left


class Arena:
    """One rung, used for one attack after another."""

    def __init__(self, folder: Path, rung: str) -> None:
        self.folder = folder
        self.rung = rung
        self.token = f"tok{secrets.token_hex(6)}"
        self.secret = f"hush{secrets.token_hex(8)}"
        self.packs = folder / "packs"
        self.home = folder / "home"
        self.process: subprocess.Popen[str] | None = None
        self._bait()
        self._start()

    # --- attacking ---------------------------------------------------------------------------------------------------

    def carry_out(self, attack: Attack) -> Outcome:
        """Drop it, run it, look around, clean up."""
        if self.process is None or self.process.poll() is not None:
            self._start()
        drop = self._drop(attack.pack)
        tree = self._ask({"take": str(drop)})["tree"]
        before = self._bait_digests(drop, Path(tree))
        try:
            said = self._ask({"run": tree, "limits": dict(attack.limits)})
        except BrokenPipeError:
            said = {"report": None, "visits": []}
        try:
            return self._outcome(said, changed=self._changed(before, drop, Path(tree)))
        finally:
            self._clean(drop)

    def kill_in_the_middle(self) -> Iterator[list[str]]:
        """Kill the stand-in while a pack runs: what of the run is alive a while later, and after the next start."""
        drop = self._begin("lingerer")
        assert self.process is not None
        self.process.kill()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not list(self._alive()), deadline_s=5)
        yield [what for _, what in self._alive()]
        self._start()
        yield self._left()
        self._clean(drop)

    def cancel_in_the_middle(self) -> tuple[dict[str, Any], list[str]]:
        """Stop a run that is under way: what the stand-in says of it, and what is left."""
        drop = self._begin("lingerer")
        said = self._ask({"cancel": True})
        left = [what for _, what in self._alive()] + self._left()
        self._clean(drop)
        return said, left

    def _begin(self, pack: str) -> Path:
        """Returns when two processes that know their token are at work."""
        drop = self._drop(pack)
        self._ask({"begin": self._ask({"take": str(drop)})["tree"]})
        wait_until(lambda: sum(self.token in what for _, what in self._alive()) >= 2)
        return drop

    def complaints(self) -> list[str]:
        """What is wrong with the stand-in: it should live, run an ordinary pack as ever, and hold on to nothing."""
        if self.process is None or self.process.poll() is not None:
            return ["it is dead"]
        drop = self._drop("harmless")
        report = self._ask({"run": self._ask({"take": str(drop)})["tree"], "limits": {}})["report"]
        self._clean(drop)
        found = [] if report["status"] == "passed" else [f"an ordinary pack does not pass: {report['detail']}"]
        held: dict[str, Any] = {}

        def let_go() -> bool:
            held.update(self._ask({"look": True}))
            return all(held[name] <= most for name, most in self.held.items())

        with contextlib.suppress(AssertionError):
            wait_until(let_go, deadline_s=5)
        return found + [f"{name}: {held[name]}, not {most}" for name, most in self.held.items() if held[name] > most]

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()  # type: ignore[union-attr]
            self.process.wait(30)
            self.process.stdout.close()  # type: ignore[union-attr]

    # --- looking around ----------------------------------------------------------------------------------------------

    def _outcome(self, said: dict[str, Any], *, changed: list[str]) -> Outcome:
        report = said["report"]
        text = json.dumps(report)
        printed = [line for suite in (report or {}).get("test_suites", []) for line in suite["output_tail"].split("\n")]
        reached = [line for line in printed if line.startswith("REACHED")]
        reached += [f"visited: {door}" for door in said["visits"]] + changed
        reached += ["the secret is in the report"] if self.secret in text else []
        reached += ["a foreign report was read"] if "of-somebody-else" in text else []
        reached += ["the daemon is dead"] if report is None else []
        if report is None:
            self._start()  # its leftovers are what the next start finds
        left = [f"litter: {path}" for path in self._litter()] + self._left()
        verdict = (report["status"], report["reason"]) if report else None
        return Outcome(verdict=verdict, reached=reached, left=left, report=report)

    def _left(self) -> list[str]:
        """Processes and folders that are still there a while after the report."""

        def there() -> list[str]:
            folders = os.listdir(self.folder / "state" / "work")
            return [f"folder {name}" for name in folders] + [f"process {pid}: {what}" for pid, what in self._alive()]

        with contextlib.suppress(AssertionError):
            wait_until(lambda: not there(), deadline_s=5)
        return there()

    def _alive(self) -> Iterator[tuple[int, str]]:
        """Processes of runs here: by the arguments that they were given, or by the environment.

        While the stand-in lives, those that carry out its runs are none of them.
        """
        assert self.process is not None
        own = _command(self.process.pid) if self.process.poll() is None else None
        for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
            if pid in (os.getpid(), self.process.pid) or not is_alive(pid):
                continue
            with contextlib.suppress(OSError):
                command = _command(pid)
                if command != own and self.token.encode() in command + Path(f"/proc/{pid}/environ").read_bytes():
                    yield pid, command.decode(errors="replace")

    def _litter(self) -> list[Path]:
        return [path for place in (*LITTERED, self.home) if (path := Path(place, self.token)).exists()]

    # --- bait --------------------------------------------------------------------------------------------------------

    def _bait(self) -> None:
        self.home.mkdir(parents=True)
        (self.home / ".netrc-of-packd").write_text(self.secret)
        (self.folder / "foreign").mkdir()
        (self.folder / "foreign" / "report.xml").write_text(
            '<testsuite tests="1"><testcase name="of-somebody-else"/></testsuite>'
        )
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        (state / "packd.db").write_text(f"endpoint secret {self.secret}")
        (state / "secret").write_text(self.secret)
        shutil.copytree(PACKS / "harmless", self.packs / "other")

    def _bait_digests(self, drop: Path, tree: Path) -> dict[str, str]:
        """Everything that no attack may change."""
        places = (drop, tree, Path(self.other), self.packs, self.folder / "state" / "packd.db")
        files = (path for place in places for path in (place.rglob("*") if place.is_dir() else [place]))
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}

    def _changed(self, before: dict[str, str], drop: Path, tree: Path) -> list[str]:
        after = self._bait_digests(drop, tree)
        return [f"changed: {path}" for path in sorted(before.items() ^ after.items())]

    def _drop(self, pack: str) -> Path:
        drop = self.packs / "attack"
        shutil.copytree(PACKS / pack, drop)
        state = self.folder / "state"
        targets = {
            "token": self.token,
            "daemon": "tests.attacks.stand_in",
            "pid": self.pid,
            "state": str(state),
            "database": str(state / "packd.db"),
            "secret_file": str(state / "secret"),
            "home": str(self.home),
            "packs": str(self.packs),
            "drop": str(drop),
            "other_drop": str(self.packs / "other"),
            "other_snapshot": self.other,
            "store": str(state / "store"),
            "port": self.port,
            "address": _address(),
            "socket": str(state / "packd.sock"),
            "abstract": self.token,
            "foreign_report": str(self.folder / "foreign" / "report.xml"),
        }
        (drop / "targets.json").write_text(json.dumps(targets))
        return drop

    def _clean(self, drop: Path) -> None:
        for path in self._litter():
            path.unlink()
        for place in (self.packs, self.folder / "state" / "store"):
            for path in place.rglob("written"):
                path.unlink()
        (self.folder / "state" / "packd.db").write_text(f"endpoint secret {self.secret}")
        shutil.rmtree(drop)

    # --- the stand-in ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.process is not None:
            self.process.wait(30)
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
        command = [sys.executable, "-m", "tests.attacks.stand_in", str(self.folder), self.rung, self.token]
        environment = {**os.environ, "PACKD_SECRET": self.secret, "HOME": str(self.home)}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        hello = self._answer()
        self.pid, self.port, self.isolation = hello["pid"], hello["port"], hello["isolation"]
        self.other = self._ask({"take": str(self.packs / "other")})["tree"]
        self._ask({"run": self.other, "limits": {}})
        self.held = {name: count + _SPARE[name] for name, count in self._ask({"look": True}).items()}

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise BrokenPipeError
        said: dict[str, Any] = json.loads(line)
        return said


def _address() -> str:
    """The address that this machine has for others, if it has one."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
