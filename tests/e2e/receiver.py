"""A webhook receiver as a consumer would write it: it verifies with a library that is not ours, and remembers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0IHJlY2VpdmVyISEhISE="


@dataclass(frozen=True)
class Received:
    """One POST that verified."""

    webhook_id: str
    body: bytes
    event: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.event["type"])

    @property
    def ref(self) -> str | None:
        pack = self.event["data"].get("pack")
        return pack["ref"] if pack else None


class Receiver:
    """Listens on loopback. `answer` may be replaced to misbehave: it gets the event and returns an HTTP status."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.unverified: list[str] = []
        self.answer: Callable[[dict[str, Any]], int] = lambda _: 204
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(
        self, event_type: str, ref: str | None = None, *, after: int = 0, timeout_s: float = 60.0, **data: Any
    ) -> Received:
        """The first event of this kind that is behind number `after`; fails with all that came when there is none."""

        def found() -> Received | None:
            for one in self.received:
                said = one.event["data"]
                fits = one.type == event_type and one.event["seq"] > after and (ref is None or one.ref == ref)
                if fits and all(said.get(name) == value for name, value in data.items()):
                    return one
            return None

        with self._changed:
            if not self._changed.wait_for(lambda: found() is not None, timeout_s):
                came = "\n".join(f"  {one.event['seq']} {one.type} {one.ref}" for one in self.received)
                raise AssertionError(f"no {event_type} of {ref} within {timeout_s} s; these came:\n{came}")
            result = found()
            assert result is not None
            return result

    def wait_until(self, condition: Callable[[list[Received]], bool], timeout_s: float = 60.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.received), timeout_s), len(self.received)

    def types(self, ref: str) -> list[str]:
        """The types of one pack's events in the order in which they came."""
        return [one.type for one in self.received if one.ref == ref]

    def _came(self, headers: dict[str, str], body: bytes) -> int:
        try:
            Webhook(SECRET).verify(body, headers)
        except Exception as failure:
            self.unverified.append(repr(failure))
            return 401
        event = json.loads(body)
        status = self.answer(event)
        if 200 <= status < 300:
            with self._changed:
                self.received.append(Received(headers["webhook-id"], body, event))
                self._changed.notify_all()
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver._came({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler
