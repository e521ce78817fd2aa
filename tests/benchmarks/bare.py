"""The work of a drop done bare, by a process of its own: what no daemon that keeps packd's promises can leave out.

Copy the pack's files and make them durable, run its shell test, commit one row durably, POST one signed webhook on a
connection that is kept. No watching, no validation, no private copy for the tests, no history. Started by `Bare`; as
a program it reads lines of names of packs and answers each line when all of its packs are done.
"""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from standardwebhooks.webhooks import Webhook

EVENT = "bare.registered"


class Bare:
    """The other process, seen from here."""

    def __init__(self, folder: Path, url: str, secret: str, *, workers: int) -> None:
        self.packs = folder / "bare-packs"
        self.packs.mkdir()
        (folder / "bare-store").mkdir()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.packs), str(folder / "bare-store"), url, secret, str(workers)],
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
        test = ["/bin/sh", str(tree / "tests" / "run_tests.sh")]
        ran = subprocess.run(test, cwd=tree, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        with self._one_writer:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT INTO packs VALUES (?, ?, ?)", (name, str(tree), ran.stdout.decode()))
            self._database.execute("COMMIT")
        self._post(name)

    def _post(self, name: str) -> None:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port)
        body = json.dumps({"type": EVENT, "seq": 0, "data": {"pack": {"ref": name}}})
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": f"evt_{name}",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(f"evt_{name}", now, body),
        }
        connection.request("POST", self._url.path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 204, response.status


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


def main(packs: str, store: str, url: str, secret: str, workers: str) -> None:
    work = Work(Path(packs), Path(store), url, secret)
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
