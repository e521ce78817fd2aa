"""Serving on a Unix socket of our own, in a thread of our own, and stopping promptly with streams open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from packd.api import socket_file
from packd.api.peer import Peer
from packd.domain.failures import Code, Failure
from packd.domain.health import Pulse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

    from packd.api.tail import Tail

log = structlog.get_logger(__name__)

_START_S: Final = 30.0
_TCP_AT_ONCE: Final = 64  # connections that are taken in before it is looked whether they are too many
_TICK_S: Final = 10.0  # between two signs of life while nobody asks for anything


class Server:
    """Call `start` with the daemon's lock held: a socket file that nobody answers at is taken to be a dead daemon's."""

    def __init__(
        self,
        app: ASGIApp,
        socket_path: Path,
        *,
        tail: Tail,
        listen: str | None = None,
        grace_s: float = 2.0,
        inherited: Sequence[socket.socket] = (),
        bound: socket.socket | None = None,
    ) -> None:
        """`tail` is the one that `app` follows. `listen` is HOST:PORT for TCP as well; port 0 takes a free one, see `address`.

        `inherited`: sockets that listen already, as systemd hands them over; then none is made at `socket_path`.
        `bound`: the one at `socket_path`, where it is made already.
        """
        self._path = socket_path
        self._listen = listen
        self.address: tuple[str, int] | None = None  # on TCP, once it has started
        self._inherited = list(inherited)
        self._bound = bound
        self._tail = tail
        self._serving = _Serving(app, tail, grace_s)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._identity: tuple[int, int] | None = None  # of the socket file that is ours
        self._refused: tuple[tuple[int, int] | None, str] | None = None  # what lies in our place, and what it was told
        self._minding = threading.Lock()

    def start(self, waiting: Sequence[socket.socket] = ()) -> None:
        """Returns when requests are answered. `waiting`: connections that were made before, and not answered yet.

        Raises Failure when the socket can't be made; the message says why and what to do.
        """
        doors = self._inherited or [self._bound or socket_file.bind(self._path)]
        self._identity = None if self._inherited else socket_file.identity(self._path)
        self._serving.waiting = waiting
        try:
            doors = [*doors, *self._tcp()]
        except Failure:
            for door in doors:
                door.close()
            self._remove_file()
            raise
        self._thread = threading.Thread(target=self._run, args=(doors,), name="api", daemon=True)
        self._thread.start()
        if not self._serving.accepting.wait(_START_S) or self._failure is not None:
            self._remove_file()
            raise Failure(Code.INTERNAL, f"the API did not start on {self._path}") from self._failure

    def stop(self) -> None:
        """Says farewell on every stream, gives the answers in hand `grace_s` seconds, and returns when all is closed."""
        if self._thread is None or not self._thread.is_alive():
            return
        with self._minding:
            self._remove_file()
            self._serving.should_exit = True
        self._tail.close()  # wakes the serving loop as well
        self._thread.join()

    def mind_the_file(self) -> None:
        """Make the socket anew when its file was removed, or something put in its place; cheap when it was not."""
        with self._minding:
            serves = self._thread is not None and self._thread.is_alive() and not self._serving.should_exit
            if serves and not self._inherited:
                self._mind_the_file()

    def _mind_the_file(self) -> None:
        found = socket_file.identity(self._path)  # that of ours can't be anybody else's while our socket is open
        if found is not None and found in (self._identity, self._refused and self._refused[0]):
            return
        try:
            bound = socket_file.bind(self._path)
        except Failure as refusal:
            if self._refused is None or self._refused[1] != refusal.sentence:
                log.error("api.unreachable", socket=str(self._path), detail=refusal.sentence)
            self._refused = found, refusal.sentence
            return
        bound.listen()  # whoever calls from now on is kept waiting until the loop takes it up
        self._identity, self._refused = socket_file.identity(self._path), None
        self._serving.move_to(bound)
        log.warning("api.bound_again", socket=str(self._path), lost="replaced" if found else "removed")

    def pulse(self) -> Pulse:
        """Its loop wakes every few seconds."""
        alive = self._thread is not None and self._thread.is_alive()
        return Pulse(part="api", alive=alive, waiting_s=time.monotonic() - self._serving.ticked_at)

    def _tcp(self) -> list[socket.socket]:
        if self._listen is None:
            return []
        bound = bind_tcp(self._listen)
        self.address = bound.getsockname()[:2]
        log.info("api.listening", host=self.address[0], port=self.address[1])
        if not self.address[0].startswith("127.") and self.address[0] != "::1":
            log.warning("api.unencrypted", advice="tokens cross the network in the clear: put a TLS proxy in front")
        return [bound]

    def _run(self, doors: list[socket.socket]) -> None:
        try:
            asyncio.run(self._serving.serve(sockets=doors))
        except BaseException as failure:  # uvicorn leaves by SystemExit when it can't start
            self._failure = failure
            if self._serving.accepting.is_set():  # nobody waits for this any more, so the log has to say it
                log.exception("api.died", socket=str(self._path))
        finally:
            self._serving.accepting.set()

    def _remove_file(self) -> None:
        if self._identity is not None and socket_file.identity(self._path) == self._identity:
            self._path.unlink()


class _Serving(uvicorn.Server):
    """Tells when it accepts, and listens to the feed only while it runs."""

    def __init__(self, app: ASGIApp, tail: Tail, grace_s: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Peer,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(grace_s)),
            )
        )
        self._tail = tail
        self.accepting = threading.Event()
        self.waiting: Sequence[socket.socket] = ()
        self.ticked_at = time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._tail.open(self._loop)
        doors = sockets or []
        await super().startup([door for door in doors if door.family == socket.AF_UNIX])
        for door in doors:
            if door.family != socket.AF_UNIX:
                self.servers.append(await self._loop.create_server(self._protocol, sock=door, backlog=_TCP_AT_ONCE))
        await self._take_in()
        self.accepting.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """What is left behind the time of grace, such as an answer that nobody reads, is cut."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which the loop closes them

    async def _take_in(self) -> None:
        """As `startup` does with those that come later."""
        loop = asyncio.get_running_loop()
        waiting, self.waiting = self.waiting, ()
        for connection in waiting:
            connection.setblocking(False)
            with contextlib.suppress(OSError):  # gone meanwhile
                await loop.connect_accepted_socket(self._protocol, connection)

    def move_to(self, bound: socket.socket) -> None:
        """Take what is asked at this Unix socket, and nothing more at the one before. From any thread."""
        asyncio.run_coroutine_threadsafe(self._move_to(bound), self._loop)

    async def _move_to(self, bound: socket.socket) -> None:
        before = [one for one in self.servers if any(door.family == socket.AF_UNIX for door in one.sockets)]
        there = await self._loop.create_server(self._protocol, sock=bound, backlog=self.config.backlog)
        self.servers.append(there)
        for server in (*before, there) if self.should_exit else before:
            server.close()  # connections that were made stay

    def _protocol(self) -> asyncio.Protocol:
        return Peer(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def main_loop(self) -> None:
        """Wakes rarely, instead of ten times a second, since each request has its Date; and at once when it is to stop."""
        while not await self.on_tick(0):
            self.ticked_at = time.monotonic()
            await self._tail.closed(_TICK_S)


def bind_tcp(listen: str) -> socket.socket:
    """A socket at HOST:PORT that nobody can connect to yet. Raises Failure; the message says why and what to do."""
    host, _, port = listen.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    bound = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((name, int(port)))
    except OSError as failure:
        bound.close()
        sentence = f"can't listen on {listen}: {failure.strerror or failure}; choose another address with --listen"
        raise Failure(Code.BAD_REQUEST, sentence) from failure
    return bound
