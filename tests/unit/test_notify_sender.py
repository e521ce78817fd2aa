"""One attempt, against real servers on loopback, friendly and hostile ones."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from standardwebhooks.webhooks import Webhook

from packd.flow.courier import _new_loop
from packd.notify import sender as sender_module
from packd.notify.attempt import Attempt
from packd.notify.line import Line
from packd.notify.sender import ANSWER_LIMIT, Sender
from packd.notify.signature import encode_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SECRET = bytes(range(32))
BODY = b'{"type":"webhook.test","endpoint_seq":1}'


@dataclass
class Server:
    """What came in."""

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)  # somebody has

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"


@asynccontextmanager
async def serving(answer: Callable[[asyncio.StreamWriter], Awaitable[None]], tls: Any = None) -> AsyncIterator[Server]:
    """A server that reads each request whole and then lets `answer` write whatever it likes."""
    running: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        server.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
                server.requests.append(head + await reader.readexactly(length))
                await answer(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            server.hung_up.set()
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    server = Server(port=listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def saying(text: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(text)

    return answer


OK = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def attempt(url: str, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {"event_id": "evt_1", "body": BODY, "secrets": (SECRET,), "allow_private": True}
    return Attempt(url=url, **(fields | changes))


def sender(**changes: Any) -> Sender:
    return Sender(user_agent="packd/9.9", **changes)


def sent_to(answer: Any, tls: Any = None, scheme: str = "http", **changes: Any) -> tuple[Any, Server]:
    """One attempt to a server of its own."""

    async def run() -> tuple[Any, Server]:
        async with serving(answer, tls) as server, sender() as one:
            url = server.url.replace("http", scheme, 1)
            return await one.send(attempt(url, **changes)), server

    return asyncio.run(run())


def test_a_webhook_arrives_as_the_standard_says():
    """The exact bytes, three signed headers, JSON, our name; nothing else of us, and a known verifier agrees."""
    outcome, server = sent_to(OK, headers=(("X-Team", "blue"), ("Authorization", "Bearer abcdefgh")))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert lines[0] == "POST /in HTTP/1.1"
    assert body == BODY
    assert Webhook(encode_secret(SECRET)).verify(body, headers) == {"type": "webhook.test", "endpoint_seq": 1}
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "packd/9.9"
    assert headers["accept-encoding"] == "identity"
    assert headers["x-team"] == "blue"
    assert headers.keys() == {
        "host", "accept", "content-type", "user-agent", "accept-encoding", "content-length", "webhook-id",
        "webhook-timestamp", "webhook-signature", "x-team", "authorization",
    }  # fmt: skip
    assert (outcome.status, outcome.error, outcome.arrived) == (200, None, True)
    assert outcome.duration_ms > 0
    assert outcome.response_head == "HTTP 200 OK\nContent-Length: 2\n\nok"


def test_an_aiohttp_server_gets_it_too_and_its_answers_are_understood():
    """200, 204, 301 (not followed), 410, 429 with Retry-After, 500, and what the headers ask for."""
    followed: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        assert await request.read() == BODY
        followed.append(request.path)
        return {
            "/200": web.Response(text="<p>hi", content_type="text/html"),
            "/204": web.Response(status=204),
            "/301": web.Response(status=301, headers={"Location": "/elsewhere"}),
            "/410": web.Response(status=410),
            "/429": web.Response(status=429, headers={"Retry-After": "120"}),
            "/503": web.Response(status=503, headers={"Retry-After": "Thu, 01 Jan 1970 00:03:00 GMT"}),
            "/500": web.Response(status=500, headers={"Webhook-Delivery": "Disable"}),
            "/422": web.Response(status=422, headers={"Webhook-Delivery": "abort-message"}),
            "/400": web.Response(status=400, headers={"Webhook-Delivery": "explode", "Retry-After": "soon"}),
        }[request.path]

    async def run() -> dict[int, Any]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with sender(clock=lambda: 60.0) as one:
            codes = (200, 204, 301, 410, 429, 503, 500, 422, 400)
            outcomes = {code: await one.send(attempt(f"http://127.0.0.1:{port}/{code}")) for code in codes}
        await runner.cleanup()
        return outcomes

    outcomes = asyncio.run(run())
    assert all(outcome.status == code and outcome.error is None for code, outcome in outcomes.items())
    assert {code for code, outcome in outcomes.items() if outcome.arrived} == {200, 204}
    assert outcomes[200].content_type == "text/html"
    assert {code: outcome.retry_after_s for code, outcome in outcomes.items() if outcome.retry_after_s is not None} == {
        429: 120.0,
        503: 120.0,
    }
    assert {code: outcome.directive for code, outcome in outcomes.items() if outcome.directive} == {
        500: "disable",
        422: "abort-message",
    }
    assert "/elsewhere" not in followed


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_the_metadata_address_is_not_followed(status):
    """Not by any of the five."""
    answer = saying(f"HTTP/1.1 {status} Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n".encode())
    outcome, _ = sent_to(answer)
    assert (outcome.status, outcome.error) == (status, None)


def test_connections_are_reused_and_cookies_are_not():
    """Several attempts, one connection, and nothing that one answer sets goes to the next request."""

    async def run() -> Server:
        answer = saying(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
        async with serving(answer) as server, sender() as one:
            for _ in range(5):
                assert (await one.send(attempt(server.url))).arrived
        return server

    server = asyncio.run(run())
    assert (server.connections, len(server.requests)) == (1, 5)
    assert b"cookie" not in server.requests[-1].lower()


def test_a_connection_made_for_a_private_endpoint_does_not_serve_a_public_one():
    """The pools are apart: reuse must not get round the check."""

    async def run() -> tuple[Any, Any, Server]:
        async with serving(OK) as server, sender() as one:
            allowed = await one.send(attempt(server.url))
            refused = await one.send(attempt(server.url, allow_private=False))
        return allowed, refused, server

    allowed, refused, server = asyncio.run(run())
    assert allowed.arrived
    assert "allow_private" in refused.error
    assert len(server.requests) == 1


def test_a_connection_that_one_url_is_told_on_serves_no_other():
    """Behind one host and port may be many receivers, and none of them answers for another."""

    async def run() -> Server:
        async with serving(OK) as server, sender() as one:
            for url in (server.url, f"{server.url}/other", server.url, f"{server.url}/other"):
                assert (await one.send(attempt(url))).arrived
        return server

    assert asyncio.run(run()).connections == 2


NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("head", [NO_CONTENT, b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"], ids=["204", "empty"])
@pytest.mark.parametrize("first", [0, 1, 2, 3, 4], ids=lambda first: f"its-last-{first}-bytes-later")
def test_what_comes_behind_a_whole_answer_spoils_nothing(head, first):
    """A body where there is none to be, as some receivers send one: it arrived, however the bytes are cut into pieces."""
    begin = b"HTTP/1.1 103 Early Hints\r\n\r\n" + head[: len(head) - first]

    async def answer(writer: asyncio.StreamWriter) -> None:
        if first:
            writer.write(begin)
            await asyncio.sleep(0.01)  # so that it goes by itself
            writer.write(head[-first:] + b"hello")
        else:
            writer.write(begin + b"hello")

    outcome, _ = sent_to(answer)
    assert outcome.arrived


@pytest.mark.parametrize("body", [b"zz\r\nabc", b"-1\r\nabc", b"3\r\nabcdef\r\n"])
def test_a_body_that_is_garbled_is_not_waited_for(body):
    """What is wrong with it is said at once, and not that it did not end."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    outcome, _ = sent_to(saying(head + body), total_timeout_s=30.0)
    assert "not HTTP as it should be" in outcome.error
    assert not outcome.arrived


@asynccontextmanager
async def answering_once_too_often() -> AsyncIterator[tuple[Server, Sender, Callable[[], None]]]:
    """It was told of one event and has said so; `say_again()` says so once more. Whatever comes then, it refuses."""
    writers: list[asyncio.StreamWriter] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(NO_CONTENT if len(writers) == 1 else b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    def say_again() -> None:
        os.write(writers[0].get_extra_info("socket").fileno(), NO_CONTENT)

    async with serving(answer) as server, sender() as one:
        assert (await one.send(attempt(server.url))).status == 204
        yield server, one, say_again


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, _new_loop], ids=["asyncio", "ours"])
@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "not-yet-noticed"])
def test_what_comes_unasked_answers_nothing(loop, noticed, monkeypatch):
    """Whether or not the loop has told of it when the connection would be used again: the next event needs its own."""
    monkeypatch.setattr(sender_module, "_KEEP_ALIVE_S", 3600.0)  # it is not its time that is over

    async def run() -> tuple[Any, Server]:
        async with answering_once_too_often() as (server, one, say_again):
            say_again()
            if noticed:
                await asyncio.wait_for(server.hung_up.wait(), 20)
            return await one.send(attempt(server.url)), server

    with asyncio.Runner(loop_factory=loop) as runner:
        outcome, server = runner.run(run())
    assert (outcome.status, outcome.error) == (500, None)
    assert (server.connections, len(server.requests)) == (2, 2)


def test_what_comes_unasked_answers_nothing_even_when_its_connection_was_just_chosen(monkeypatch):
    """It is looked at once more right before the request is written, which then goes out on another one."""
    chosen = Line.is_connected

    async def run() -> tuple[Any, Server]:
        async with answering_once_too_often() as (server, one, say_again):

            def choose(line: Line) -> bool:
                monkeypatch.setattr(Line, "is_connected", chosen)
                is_good = line.is_connected()
                say_again()
                return is_good

            monkeypatch.setattr(Line, "is_connected", choose)
            return await one.send(attempt(server.url)), server

    outcome, server = asyncio.run(run())
    assert (outcome.status, outcome.error) == (500, None)
    assert (server.connections, len(server.requests)) == (2, 2)


def test_what_speaks_first_gives_no_answer():
    """As a mail server does, or SSH: nothing is asked there."""

    async def run() -> bytes:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(loop), sock=near)
        with far:
            far.send(NO_CONTENT)
            with pytest.raises(HttpProcessingError, match="it came before the request"):
                await line.read()
            assert not line.asks()
            return await loop.sock_recv(far, 1)

    assert asyncio.run(run()) == b""


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    """What the daemon was started with does not decide where webhooks go."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    outcome, _ = sent_to(OK)
    assert outcome.arrived


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", "in the middle of the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "in the middle of the answer"),
        (b"", "before the answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP as it should be"),
        (b"HTTP/1.1 200 OK\r\nBad Header\x00\r\n\r\n", "not HTTP as it should be"),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(100_000)) + b"\r\n", "not HTTP as it should be"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000_000 + b"\r\n\r\n", "not HTTP as it should be"),
    ],
)  # fmt: skip
def test_a_broken_answer_is_a_failure_in_words(answer, error):
    """Cut off, empty, not HTTP, or a flood of headers."""

    async def and_close(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    outcome, _ = sent_to(and_close)
    assert error in outcome.error
    assert not outcome.arrived


def test_a_reset_is_a_failure_in_words():
    """The other side aborts."""

    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    outcome, _ = sent_to(reset)
    assert (outcome.status, outcome.arrived) == (None, False)
    assert "before the answer" in outcome.error


def test_nobody_there_is_a_failure_in_words():
    """Which host and port refused is said."""

    async def run() -> tuple[Any, int]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        async with sender() as one:
            return await one.send(attempt(f"http://localhost:{port}/")), port

    outcome, port = asyncio.run(run())
    assert outcome.error == f"connection refused by localhost:{port}"


def test_a_name_that_leads_nowhere_is_a_failure_in_words():
    """DNS has the last word, and a name without an address is none."""

    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def run(lookup: Any) -> Any:
        async with sender(lookup=lookup) as one:
            return await one.send(attempt("http://hooks.example.org/"))

    assert (
        asyncio.run(run(unknown)).error == "the name 'hooks.example.org' cannot be resolved: Name or service not known"
    )
    assert "the name has no address" in asyncio.run(run(lambda host, port: [])).error


def test_a_lookup_that_hangs_costs_the_connect_timeout_and_holds_up_nobody():
    """Others are looked up meanwhile, and closing does not wait."""
    released = threading.Event()

    def lookup(host: str, port: int) -> list[str]:
        if host == "slow.example.org":
            released.wait(60)
        return ["127.0.0.1"]

    async def run() -> tuple[Any, Any, float]:
        async with serving(OK) as server, sender(lookup=lookup) as one:
            slow = asyncio.create_task(one.send(attempt("http://slow.example.org/", connect_timeout_s=0.2)))
            await asyncio.sleep(0)
            quick = await one.send(attempt(f"http://quick.example.org:{server.port}/"))
            result = await slow
            began = time.perf_counter()
        return result, quick, time.perf_counter() - began

    try:
        slow, quick, closing_s = asyncio.run(run())
    finally:
        released.set()
    assert slow.error == "no connection within 0.2 s"
    assert quick.arrived
    assert closing_s < 5


def test_a_server_that_never_answers_costs_the_total_timeout():
    """Silence is bounded."""

    async def never(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    outcome, _ = sent_to(never, total_timeout_s=0.3)
    assert outcome.error == "no answer within 0.3 s"
    assert 250 < outcome.duration_ms < 10_000


def test_an_answer_that_drips_costs_the_total_timeout():
    """Each byte arrives in time, the whole does not; what is known of it is kept."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    outcome, _ = sent_to(drip, total_timeout_s=0.3)
    assert (outcome.status, outcome.error, outcome.arrived) == (200, "the answer did not end within 0.3 s", False)
    assert outcome.response_head.startswith("HTTP 200 OK")


def test_informational_answers_without_end_are_given_up_at_once():
    """Nothing else that the loop has to do waits for them; some of them before an answer are what HTTP allows."""

    async def interim(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100)
            await writer.drain()

    async def run() -> tuple[Any, list[Any]]:
        async with serving(interim) as hostile, serving(OK) as good, sender() as one:
            given_up = asyncio.create_task(one.send(attempt(hostile.url)))
            return await given_up, [await one.send(attempt(good.url)) for _ in range(5)]

    given_up, others = asyncio.run(run())
    assert given_up.error == "the answer is not HTTP as it should be: its head does not end within 32 KiB"
    assert all(outcome.arrived for outcome in others)
    few = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 8000 + b"\r\n\r\n"
    outcome, _ = sent_to(saying(few * 2 + b"HTTP/1.1 200 OK\r\nX: " + b"y" * 8000 + b"\r\nContent-Length: 2\r\n\r\nok"))
    assert (outcome.status, outcome.error) == (200, None)


def test_one_long_header_of_an_answer_is_none_too_many():
    """A policy for pages or a cookie that a proxy adds to every answer may be long: the webhook has arrived."""
    head = b"HTTP/1.1 200 OK\r\nContent-Security-Policy: " + b"x" * 20_000 + b"\r\nContent-Length: 2\r\n\r\n"
    outcome, _ = sent_to(saying(head + b"ok"))
    assert (outcome.arrived, outcome.error) == (True, None)


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 99999999999\r\n", b""])
def test_of_an_endless_answer_a_little_is_read(framing):
    """16 KiB, then the connection is closed; it counts as answered."""

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        chunk = b"x" * 65536
        while True:
            writer.write(b"10000\r\n" + chunk + b"\r\n" if b"chunked" in framing else chunk)
            await writer.drain()

    outcome, server = sent_to(endless)
    assert (outcome.status, outcome.error) == (200, None)
    assert server.connections == 1


def test_an_answer_of_exactly_the_limit_keeps_its_connection():
    """Only what is longer is given up."""

    async def run() -> Server:
        answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ANSWER_LIMIT + b"x" * ANSWER_LIMIT)
        async with serving(answer) as server, sender() as one:
            for _ in range(3):
                assert (await one.send(attempt(server.url))).arrived
        return server

    assert asyncio.run(run()).connections == 1


def test_a_compressed_bomb_is_not_unpacked():
    """100 MiB in 100 KiB stay 16 KiB, and memory stays small."""
    bomb = gzip.compress(bytes(100 * 1024 * 1024), 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    tracemalloc.start()
    try:
        outcome, _ = sent_to(saying(head + bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.arrived
    assert peak < 10 * 1024 * 1024


def test_plain_http_behind_https_is_a_tls_failure_in_words():
    """The commonest mistake with a port number."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def run() -> Any:
        listener = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with listener, sender() as one:
            return await one.send(attempt(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"))

    outcome = asyncio.run(run())
    assert outcome.error.startswith("TLS failed with 127.0.0.1:")
    assert not outcome.arrived


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return folder


def server_tls(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_a_failure_in_words(certificate):
    """Never a warning, never ignored."""
    outcome, server = sent_to(OK, tls=server_tls(certificate), scheme="https")
    assert outcome.error == "TLS failed: the certificate of 127.0.0.1 is not valid: self-signed certificate"
    assert server.requests == []


def test_an_endpoint_may_have_its_own_authority_and_the_name_must_fit(certificate):
    """With its authority the name is good; the address, which the certificate does not name, is not.

    Such a connection is kept as well, though what TLS says for itself may come at any time.
    """

    async def run() -> tuple[Any, Any]:
        trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        async with serving(OK, server_tls(certificate)) as server, sender() as one:
            for _ in range(3):
                named = await one.send(attempt(f"https://localhost:{server.port}/", tls=trusting))
            assert server.connections == 1
            numbered = await one.send(attempt(f"https://127.0.0.1:{server.port}/", tls=trusting))
        return named, numbered

    named, numbered = asyncio.run(run())
    assert named.arrived
    assert "certificate of 127.0.0.1 is not valid" in numbered.error


SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "0177.1",
    "017700000001", "127.0.0.1.", "127.000.000.001", "①②⑦.⓪.⓪.①", "127。0。0。1", "%31%32%37.0.0.1", "127.255.255.254",
    "localhost", "LOCALHOST", "localhost.", "0.0.0.0", "0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[fe80::5efe:127.0.0.1]", "[fd00:ec2::254]", "169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1%25lo]",
    "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255",
]  # fmt: skip


def test_no_spelling_of_a_private_address_makes_a_connection():
    """Dozens of ways to write it, none of them gets through, each is told in words."""

    async def run() -> tuple[dict[str, Any], Server]:
        async with serving(OK) as server, sender() as one:
            urls = {spelling: f"http://{spelling}:{server.port}/in" for spelling in SPELLINGS}
            attempts = [attempt(url, allow_private=False, connect_timeout_s=3) for url in urls.values()]
            outcomes = await asyncio.gather(*(one.send(each) for each in attempts))
        return dict(zip(urls, outcomes, strict=True)), server

    outcomes, server = asyncio.run(run())
    assert server.connections == 0
    assert [spelling for spelling, outcome in outcomes.items() if not outcome.error or outcome.status] == []
    assert "allow_private" in outcomes["localhost"].error
    assert "cloud metadata service" in outcomes["169.254.169.254"].error


def test_a_resolver_that_changes_its_answer_does_not_get_through():
    """Whatever it said before, the address that would be connected to is the one that is judged."""
    answers = iter(
        [
            ["93.184.215.14"],
            ["127.0.0.1"],
            ["::1"],
            ["::ffff:127.0.0.1"],
            ["127.0.0.1", "10.0.0.1"],
            ["169.254.169.254"],
        ]
    )

    async def run() -> tuple[list[Any], Server]:
        async with serving(OK) as server:
            outcomes = []
            assert next(answers) == ["93.184.215.14"]  # what a check beforehand would have been told
            for found in answers:
                async with sender(lookup=lambda host, port, found=found: found) as one:
                    url = f"http://rebind.example.org:{server.port}/"
                    outcomes.append(await one.send(attempt(url, allow_private=False)))
        return outcomes, server

    outcomes, server = asyncio.run(run())
    assert server.connections == 0
    assert len(outcomes) == 5
    assert all("allow" in outcome.error or "never" in outcome.error for outcome in outcomes)


def test_an_allowed_address_beside_a_forbidden_one_is_used():
    """A name that leads to both is not cut off, and only the allowed one is connected to."""

    async def run() -> tuple[Any, Server]:
        async with serving(OK) as server, sender(lookup=lambda host, port: ["169.254.169.254", "127.0.0.1"]) as one:
            return await one.send(attempt(f"http://both.example.org:{server.port}/")), server

    outcome, server = asyncio.run(run())
    assert outcome.arrived
    assert server.connections == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": (("X-A", "1\r\nX-B: 2"),)},
        {"headers": (("X-A\r\nX-B", "1"),)},
        {"event_id": "evt_1\r\nX-B: 2"},
        {"url": "http://127.0.0.1:1/\r\nX-B: 2"},
        {"url": "http://user:pw@127.0.0.1:1/"},
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://" + "a" * 300 + ".example.org/"},
        {"url": "http://xn--/"},
        {"url": "http://a..b/"},
        {"secrets": ()},
    ],
)
def test_what_cannot_be_sent_safely_is_not_sent(changes):
    """Header injection, credentials, other schemes, impossible names: an outcome in words, never an exception."""

    async def run() -> Any:
        async with serving(OK) as server, sender() as one:
            outcome = await one.send(attempt(**({"url": server.url} | changes)))
            assert server.requests == []
            return outcome

    outcome = asyncio.run(run())
    assert outcome.error
    assert outcome.status is None


def test_secrets_do_not_appear_in_what_is_kept_or_shown():
    """An endpoint that echoes does not put secrets into the attempt log, and an attempt does not print them."""
    echo = b"my-own-password " + encode_secret(SECRET).encode()
    answer = saying(b"HTTP/1.1 400 Bad\r\nX-Echo: my-own-password\r\nContent-Length: %d\r\n\r\n" % len(echo) + echo)
    outcome, _ = sent_to(answer, headers=(("X-Password", "my-own-password"),))
    assert "my-own-password" not in outcome.response_head
    assert "whsec" not in outcome.response_head
    assert "my-own" not in repr(attempt("http://x/", headers=(("X-Password", "my-own-password"),)))
    assert repr(SECRET) not in repr(attempt("http://x/"))


def test_the_query_of_a_url_is_sent_and_not_kept():
    """It holds a token as often as not, and servers like to say what they can't find."""
    echo = b"Cannot POST /hook?token=a%2Fs3cret&v=1: no 'a/s3cret' here"
    answer = saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(echo) + echo)

    async def run() -> tuple[Any, Server]:
        async with serving(answer) as server, sender() as one:
            return await one.send(attempt(f"{server.url}?token=a%2Fs3cret&v=1")), server

    outcome, server = asyncio.run(run())
    assert b"s3cret&v=1" in server.requests[0]
    assert "Cannot POST" in outcome.response_head
    assert "s3cret" not in outcome.request_head + outcome.response_head


def test_a_sender_that_was_not_started_or_is_closed_says_so():
    """A mistake of the caller is no outcome."""

    async def run() -> None:
        one = sender()
        with pytest.raises(RuntimeError, match="not been started"):
            await one.send(attempt("http://127.0.0.1:1/"))
        await one.start()
        await one.close()
        await one.close()
        with pytest.raises(RuntimeError, match="not been started"):
            await one.send(attempt("http://127.0.0.1:1/"))

    asyncio.run(run())


def test_a_hostile_endpoint_does_not_delay_the_others():
    """Two hundred attempts to one that never answers are under way; fifty to a good one go through meanwhile."""

    async def never(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def run() -> tuple[list[Any], list[Any]]:
        async with serving(never) as silent, serving(OK) as good, sender() as one:
            stuck = [asyncio.create_task(one.send(attempt(silent.url, total_timeout_s=30))) for _ in range(200)]
            fine = await asyncio.gather(*(one.send(attempt(good.url)) for _ in range(50)))
            waiting = [task for task in stuck if not task.done()]
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
        return fine, waiting

    fine, waiting = asyncio.run(run())
    assert all(outcome.arrived for outcome in fine)
    assert len(waiting) == 200
