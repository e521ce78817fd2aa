"""(g) The API: a page of 10,000 packs, and registering what is in use already, beside bare FastAPI routes."""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bare_api
from measured import running
from packs import write_pack
from table import Figure, Goal, samples

from packd.domain.lifecycle import Phase
from packd.domain.manifest import Component
from packd.domain.moments import rfc3339
from packd.notify.envelope import webhook_body
from packd.registry.database import Database, sqlite_url
from packd.registry.outbox import Outbox
from packd.registry.registry import Registry
from packd.registry.rows import Revision, Run

_GOAL = Goal(says="≤ 3", reached=lambda _, ratio: ratio <= 3)
_PAGE = "/api/v1/packs?page=3&page_size=50"


def measure(folder: Path, *, quick: bool) -> list[Figure]:
    size, rounds = (1000, 300) if quick else (10_000, 2000)
    (folder / "state").mkdir(mode=0o700)
    _fill(folder / "state", size)
    pack = write_pack(folder / "work" / "mine", "mine")
    with running(folder) as daemon:
        door = Door(daemon.socket)
        page = door.ask("GET", _PAGE)
        assert page["pagination"]["total_items"] == size, page["pagination"]
        register = {"path": str(pack), "replace": True}
        door.ask("POST", "/api/v1/packs/register", register)
        time.sleep(3.0)  # until what was just written is old enough for its times to be trusted
        first = door.ask("POST", "/api/v1/packs/register", register)
        assert first["data"]["unchanged"], first
        with Bare(folder, page, first) as bare:
            figures = _figures(door, bare, f"GET /packs, page of 50 of {size:,}", ("GET", _PAGE, None), rounds)
            figures += _figures(
                door, bare, "  the same after a write each time", ("GET", _PAGE, None), rounds // 10, fresh=pack
            )
            asked = ("POST", "/api/v1/packs/register", register)
            return figures + _figures(door, bare, "POST /packs/register, unchanged", asked, rounds)


def _figures(
    door: Door, bare: Bare, what: str, asked: tuple[str, str, Any], rounds: int, *, fresh: Path | None = None
) -> list[Figure]:
    """In turns, one request after another on a kept connection."""
    packd_ms, bare_ms = [], []
    for number in range(rounds + 20):
        if fresh is not None:
            door.ask("POST", "/api/v1/packs/mine/disable" if number % 2 == 0 else "/api/v1/packs/mine/enable")
        ours, theirs = door.timed(*asked), bare.door.timed(*asked)
        if number >= 20:
            packd_ms.append(ours)
            bare_ms.append(theirs)
    p99 = (_p99(packd_ms), _p99(bare_ms))
    goal = _GOAL if fresh is None else None
    return [
        Figure(bench="g", what=what, unit="ms", packd=samples(packd_ms), bare=samples(bare_ms), goal=goal),
        Figure(bench="g", what="  its 99th percentile", unit="ms", packd=samples([p99[0]]), bare=samples([p99[1]])),
        Figure(
            bench="g",
            what="  requests a second, one after another",
            unit="1/s",
            packd=samples([1000 / statistics.fmean(packd_ms)]),
            bare=samples([1000 / statistics.fmean(bare_ms)]),
        ),
    ]


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


@dataclass
class Door:
    """One kept connection over a Unix socket."""

    path: Path

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("localhost", timeout=60)
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.connect(str(self.path))

    def timed(self, method: str, path: str, body: Any) -> float:
        began = time.perf_counter()
        self.ask(method, path, body, parse=False)
        return (time.perf_counter() - began) * 1000

    def ask(self, method: str, path: str, body: Any = None, *, parse: bool = True) -> Any:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = self._connection.getresponse()
        content = response.read()
        assert response.status < 400, content
        return json.loads(content) if parse else None


class Bare:
    """FastAPI and uvicorn in a process of their own, with routes that return what packd returned."""

    def __init__(self, folder: Path, page: Any, registered: Any) -> None:
        answers = folder / "answers.json"
        answers.write_text(json.dumps({"page": page, "registered": registered}))
        self._socket = folder / "bare.sock"
        self._command = [sys.executable, bare_api.__file__, str(answers), str(self._socket)]

    def __enter__(self) -> Bare:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        deadline = time.monotonic() + 60
        while not self._socket.exists():
            assert time.monotonic() < deadline, "the bare API did not start"
            time.sleep(0.02)
        self.door = Door(self._socket)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)


def _fill(state: Path, size: int) -> None:
    """Packs that were registered from elsewhere, straight into the registry: this is about answering, not about taking."""
    database = Database(sqlite_url(state))
    database.prepare()
    outbox = Outbox(source="packd://here", new_id=lambda: "evt_none", webhook_body=webhook_body)
    registry, now = Registry(database, outbox_of=outbox, now=time.time), rfc3339(time.time())
    report = {"total_tests": 12, "passed": 12, "failed": 0, "skipped": 0, "test_suites": []}
    with registry.write() as tx:
        for number in range(size):
            ref = f"pack_{number:05d}"
            tx.claim_pack(ref, drop_name=None, path=f"/srv/packs/{ref}")
            revision = _revision(ref, now)
            tx.add_revision(revision)
            parts = [
                Component(kind="action", ref=f"{ref}.go_{n}", label="Go", path=f"actions/go_{n}.yaml") for n in (1, 2)
            ]
            tx.set_components(revision, parts)
            tx.activate(revision, None, reason="registered", actor="bench")
            run = Run(id=f"run_{ref}", ref=ref, number=1, trigger_reason="install", source="api", actor="bench",
                      started_at=now, finished_at=None, status=None, accepted=None, verdict=None, report=None)  # fmt: skip
            tx.start_run(run)
            tx.finish_run(run.id, status="passed", accepted=True, verdict="12 of 12 tests passed", report=report)
    database.close()


def _revision(ref: str, now: str) -> Revision:
    fields = {"ref": ref, "label": f"The {ref} pack", "description": "Does what it is there for.", "author": "somebody"}
    return Revision(ref=ref, number=1, phase=Phase.TESTED, digest="sha256:" + "a" * 64, version="1.0.0",
                    path=f"/srv/packs/{ref}", trigger="api", source="api", correlation_id="chg_1", causation_id=None,
                    files=20, bytes=4000, fields=fields, needs=(), problems=(), waits_for=(), forced=False,
                    tests_skipped=False, first_change_at_s=time.time(), created_at=now, phase_at=now,
                    origin="registered")  # fmt: skip
