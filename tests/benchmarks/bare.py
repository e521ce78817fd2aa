"""The work of a drop done bare, by a process of its own: what no daemon that keeps packd's promises can leave out.

Copy the pack's files and make them durable, run its shell test, commit one row durably, POST one signed webhook on a
connection that is kept. No watching, no validation, no private copy for the tests, no history. `Telling` and `Promising`
do more of it, as bare as the rest. Started by `Bare`; as a program it reads lines of names of packs and answers each line when
all of its packs are done.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from standardwebhooks.webhooks import Webhook

EVENT = "bare.registered"


class Bare:
    """The other process, seen from here."""

    def __init__(self, folder: Path, url: str, secret: str, *, workers: int, kind: str = "Work") -> None:
        """`kind` names the class below that does the work."""
        self.packs = folder / "bare-packs"
        self.packs.mkdir()
        (folder / "bare-store").mkdir()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.packs), str(folder / "bare-store"), url, secret, str(workers), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.do([])

    def do(self, names: list[str]) -> None:
        """Returns when all the work on these packs is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(names) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n", "the bare process ended"

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


class Work:
    """What every thread of the process shares."""

    def __init__(self, packs: Path, store: Path, url: str, secret: str) -> None:
        self._packs = packs
        self._store = store
        self._url = urlsplit(url)
        self._webhook = Webhook(secret)
        self._own = threading.local()  # a connection for each thread
        self._one_writer = threading.Lock()
        self._database = sqlite3.connect(store / "bare.db", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE packs (ref TEXT PRIMARY KEY, path TEXT, output TEXT)")

    def carry(self, name: str) -> None:
        tree = self._store / name
        copy_durably(self._packs / name, tree)
        # Read by the shell, not executed: while another thread forks, its child holds the copy open for writing.
        output = _output_of(["/bin/sh", str(tree / "tests" / "run_tests.sh")], tree)
        self._commit([("INSERT INTO packs VALUES (?, ?, ?)", (name, str(tree), output))])
        self._post(name)

    def _commit(self, changes: list[tuple[str, tuple[str, ...]]]) -> None:
        with self._one_writer:
            self._database.execute("BEGIN IMMEDIATE")
            for sql, values in changes:
                self._database.execute(sql, values)
            self._database.execute("COMMIT")

    def _post(self, name: str, event: str = EVENT) -> None:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port)
        body = json.dumps({"type": event, "seq": 0, "data": {"pack": {"ref": name}}})
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": f"evt_{event}_{name}",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(f"evt_{event}_{name}", now, body),
        }
        connection.request("POST", self._url.path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 204, response.status


class Telling(Work):
    """With what packd promises about it, but for isolation: the test has a copy of its own, and what happens is told as it
    happens, each time behind a durable commit: found, passed, registered."""

    def __init__(self, packs: Path, store: Path, url: str, secret: str) -> None:
        super().__init__(packs, store, url, secret)
        self._database.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, type TEXT, ref TEXT)")

    def carry(self, name: str) -> None:
        tree, own = self._store / name, self._store / f"{name}.run"
        copy_durably(self._packs / name, tree)
        row = ("INSERT INTO packs VALUES (?, ?, ?)", (name, str(tree), ""))
        self._commit([row, _told("bare.found", name)])
        self._post(name, "bare.found")
        shutil.copytree(tree, own)
        output = _output_of([*self._around(own), *_TEST], own)
        shutil.rmtree(own)
        passed = ("UPDATE packs SET output = ? WHERE ref = ?", (output, name))
        self._commit([passed, _told("bare.passed", name), _told(EVENT, name)])
        self._post(name, "bare.passed")
        self._post(name)

    def _around(self, own: Path) -> Sequence[str]:
        """What the test's command is run by; nothing, where it is run as it is."""
        return ()


class Promising(Telling):
    """And the test is run in a sandbox."""

    def _around(self, own: Path) -> Sequence[str]:
        return [*_SANDBOX, "--bind", str(own), str(own), "--chdir", str(own)]


_SANDBOX = (
    *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/"),
    *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm", "--tmpfs", "/tmp"),
)
_TEST = ("/bin/sh", "tests/run_tests.sh")


def _told(event: str, name: str) -> tuple[str, tuple[str, ...]]:
    return "INSERT INTO events (type, ref) VALUES (?, ?)", (event, name)


def _output_of(command: Sequence[str], folder: Path) -> str:
    ran = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return ran.stdout.decode()


def copy_durably(source: Path, target: Path) -> None:
    """Every file fsynced, then the folders; whole or not there."""
    fresh = target.with_name(f".{target.name}.tmp")
    for folder, _, files in os.walk(source):
        into = fresh / Path(folder).relative_to(source)
        into.mkdir()
        for name in files:
            _copy_file(Path(folder, name), into / name)
        _fsync_folder(into)
    fresh.rename(target)
    _fsync_folder(target.parent)


def _copy_file(source: Path, target: Path) -> None:
    mode = source.stat().st_mode & 0o777
    reading = os.open(source, os.O_RDONLY)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    while data := os.read(reading, 65536):
        os.write(writing, data)
    os.fsync(writing)
    os.close(writing)
    os.close(reading)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def main(packs: str, store: str, url: str, secret: str, workers: str, kind: str) -> None:
    work: Work = {"Work": Work, "Telling": Telling, "Promising": Promising}[kind](Path(packs), Path(store), url, secret)
    with ThreadPoolExecutor(int(workers)) as pool:
        for line in sys.stdin:
            names = json.loads(line)
            if len(names) == 1:
                work.carry(names[0])
            else:
                for done in [pool.submit(work.carry, name) for name in names]:
                    done.result()
            print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
