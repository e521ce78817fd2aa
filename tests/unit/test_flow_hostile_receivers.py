"""Receivers that mean harm, all at once, through the real dispatcher and courier: bounded, and the others don't notice."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest

from packd.domain.deliveries import Decision, Outcome
from packd.flow.clock import Clock
from packd.flow.courier import NetworkCourier
from packd.flow.dispatch import Dispatcher
from packd.notify.sender import Sender
from packd.registry import outbox, queries
from packd.registry.rows import Delivery, Endpoint
from tests.unit.registry_ground import Ground, an_endpoint, discovered, made_ground
from tests.waiting import wait_until

TIMEOUT_S = 4.0  # of every endpoint here; fifteen seconds by default
EVENTS = 40
SLOW_MACHINE_S = 60.0

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
BOMB = gzip.compress(bytes(50_000_000))


async def well(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")


async def bomb(writer: asyncio.StreamWriter) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    writer.write(head + BOMB)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)  # it shares a processor with those that are well


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def informational(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await writer.drain()


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def many_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n")


async def redirect(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n")


HOSTILE: dict[str, Answer] = {
    "bomb": bomb,
    "drip": drip,
    "endless": endless,
    "headers": many_headers,
    "informational": informational,
    "redirect": redirect,
    "reset": reset,
    **{f"silent{number}": silent for number in range(4)},
}


def test_a_courier_that_was_never_started_holds_nothing() -> None:
    """What is only built, as by a command that runs offline, has no sockets that somebody would have to close."""
    before = len(os.listdir("/proc/self/fd"))
    courier = NetworkCourier(lambda: Sender(user_agent="packd/test"))
    assert len(os.listdir("/proc/self/fd")) == before
    courier.stop()


class Servers:
    """Each name at a port of its own, in a thread of their own."""

    def __init__(self, answers: dict[str, Answer], tls: dict[str, SSLContext]) -> None:
        self.ports: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for name, answer in answers.items():
            self.ports[name] = asyncio.run_coroutine_threadsafe(self._listen(answer, tls.get(name)), self._loop).result(
                10
            )

    async def _listen(self, answer: Answer, tls: SSLContext | None) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0]))
                    await answer(writer)
                    await writer.drain()
            except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        self._listening.append(server)
        return int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        async def end() -> None:
            for server in self._listening:
                server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> SSLContext:
    """One that nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    where = ["-days", "2", "-subj", "/CN=other.example", "-keyout", folder / "key", "-out", folder / "cert"]
    subprocess.run([*made, *where], check=True, capture_output=True)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


@contextmanager
def telling(ground: Ground, on_attempt: Callable[[Delivery, Outcome, Decision], None]) -> Iterator[Dispatcher]:
    """The real dispatcher, courier and sender."""
    courier = NetworkCourier(lambda: Sender(user_agent="packd/test"))
    courier.start()
    dispatcher = Dispatcher(registry=ground.registry, courier=courier, clock=Clock(), on_attempt=on_attempt)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop(0.1)
        courier.stop()


@pytest.mark.parametrize("ordering", ["pack", "none"])
def test_hostile_receivers_are_bounded_and_do_not_delay_the_others(
    tmp_path: Path, certificate: SSLContext, ordering: str
) -> None:
    """A bomb, an endless body, `100 Continue` without end, a drip, silence, resets, a wrong certificate, 10,000 headers and
    a redirect to where clouds keep their secrets, all of them told of forty events beside one that is well.
    """
    servers = Servers({**HOSTILE, "tls": well, "well": well}, {"tls": certificate})
    took: dict[str, list[float]] = {}
    all_well = threading.Event()

    def attempted(delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        took.setdefault(delivery.endpoint, []).append(outcome.duration_ms)
        if len(took.get("well", ())) == EVENTS:
            all_well.set()

    before = forget_peak()
    try:
        with made_ground("sqlite", tmp_path) as ground:
            ground.now_s = time.time()
            with ground.registry.write() as tx:
                for name, port in servers.ports.items():
                    outbox.save_endpoint(tx.connection, endpoint(name, port, ordering))
            with telling(ground, attempted) as dispatcher:
                ground.registry.on_commit(dispatcher.committed)
                began = time.monotonic()
                for number in range(EVENTS):
                    with ground.registry.write() as tx:
                        tx.emit(discovered(f"p{number}"), correlation_id="chg_1")
                assert all_well.wait(SLOW_MACHINE_S), took
                delay_s = time.monotonic() - began
                wait_until(
                    lambda: took.keys() >= servers.ports.keys(),
                    lambda: f"every endpoint to be tried: {took}",
                )
            grown = memory("VmHWM") - before
            check(ground, took)
    finally:
        servers.close()
    assert delay_s < SLOW_MACHINE_S / 2
    assert grown < 45_000_000, f"{grown} bytes for a bomb of 50 MB and all the others"


def forget_peak() -> int:
    """The resident size now; from here on `VmHWM` is the most since now (proc_pid_clear_refs(5))."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(name: str) -> int:
    """Bytes of this process, as the kernel counts them."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def check(ground: Ground, took: dict[str, list[float]]) -> None:
    """What the log of attempts says of each of them."""
    for name, durations in took.items():
        assert max(durations) < (TIMEOUT_S + 5) * 1000, (name, max(durations))
        assert len(durations) <= EVENTS + 20, (name, len(durations))
    with ground.registry.read() as connection:
        last = {name: newest(connection, name) for name in took}
    assert last["bomb"]["status"] == 200
    assert "no answer within" in last["silent0"]["error"]
    assert "did not end within" in last["drip"]["error"]
    assert "before the answer" in last["reset"]["error"]
    assert "not HTTP as it should be" in last["headers"]["error"]
    assert "its head does not end" in last["informational"]["error"]
    assert "certificate" in last["tls"]["error"]
    assert (last["redirect"]["status"], last["endless"]["status"]) == (307, 500)
    assert all(len(row["response_head"] or "") <= 2048 for row in last.values())


def newest(connection: Any, name: str) -> dict[str, Any]:
    tried = [one for one in queries.deliveries_to(connection, name, limit=100) if one.attempts]
    return queries.attempts_of(connection, tried[0].id)[-1]


def endpoint(name: str, port: int, ordering: str) -> Endpoint:
    scheme, host = ("https", "localhost") if name == "tls" else ("http", "127.0.0.1")
    return an_endpoint(
        name, url=f"{scheme}://{host}:{port}/in", allow_private=True, timeout_s=TIMEOUT_S, ordering=ordering, headers=()
    )
