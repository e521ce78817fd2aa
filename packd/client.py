"""The HTTP client of the command line: asks the daemon over its Unix socket. Only the standard library."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from packd import __version__
from packd.domain.failures import HTTP_STATUS, Code, Failure
from packd.domain.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

PREFIX: Final = "/api/v1"
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 60.0  # for a question; what is asked to be done may take as long as it takes
_SILENCE_S: Final = 40.0  # a stream that says nothing for longer, not even that it is still here, has died
_PAUSES_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0)  # between attempts to follow on; the last one repeats
_PAGE_SIZE: Final = 100
_STANDARD: Final = frozenset(
    {"type", "title", "status", "detail", "instance", "request_id", "error", "code", "problems"}
)

Query = dict[str, str | int | float | list[str] | None]


class Client:
    """Every method raises Failure: UNREACHABLE when nobody answers, else what the daemon said, with its own code."""

    def __init__(self, socket_path: Path, *, patience_s: float | None = None) -> None:
        """`patience_s`: how long to wait for a connection and for each answer; None: as long as is usual."""
        self._path = socket_path
        self._patience_s = patience_s

    def get(self, path: str, **query: str | int | float | list[str] | None) -> dict[str, Any]:
        """The whole answer to GET `path`, below `/api/v1`; None in the query is left out."""
        return self._ask("GET", _target(path, query))

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer to POST `path`. Waits as long as the daemon works on it."""
        return self._ask("POST", _target(path, {}), body or {})

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The whole answer to PATCH `path`."""
        return self._ask("PATCH", _target(path, {}), body)

    def delete(self, path: str) -> dict[str, Any]:
        """The whole answer to DELETE `path`; empty when there is nothing to say. Waits as long as it takes."""
        return self._ask("DELETE", _target(path, {}))

    def post_live(
        self, path: str, body: dict[str, Any], *, on_message: Callable[[str, dict[str, Any]], None]
    ) -> dict[str, Any]:
        """The whole answer to POST `path`; `on_message` gets what its run tells: each `case` and `suite` as it ends, `progress`."""
        return self._run_ended("POST", path, body, on_message)

    def follow_run(self, ref: str, run_id: str, *, on_message: Callable[[str, dict[str, Any]], None]) -> dict[str, Any]:
        """The same for a run that is under way, or has ended: what it told so far, then what it tells, then its end."""
        return self._run_ended("GET", f"/packs/{part(ref)}/tests/{part(run_id)}/stream", None, on_message)

    def _run_ended(
        self, method: str, path: str, body: dict[str, Any] | None, on_message: Callable[[str, dict[str, Any]], None]
    ) -> dict[str, Any]:
        for name, said in self._messages(method, path, body):
            if name == "run":
                return said
            if name == "problem":
                raise Failure(_code_of(500, str(said.get("code"))), str(said.get("detail")))
            if name != "farewell":
                on_message(name, said)
        raise _broken_off(self._path, None)

    def _messages(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """Named server-sent events, to the end of the stream."""
        connection = _Connection(self._path, timeout=_SILENCE_S)
        try:
            response = self._send(connection, method, _target(path, {}), body, accept="text/event-stream")
            if response.status >= 400:
                raise _failure(response.status, response.read())
            with response:  # whoever stops listening lets go of the connection
                yield from _named_messages(response)
        except (OSError, http.client.HTTPException) as failure:
            raise _broken_off(self._path, failure) from failure
        finally:
            connection.close()

    def post_followed(
        self, path: str, body: dict[str, Any], *, on_message: Callable[[str, dict[str, Any]], None]
    ) -> dict[str, Any]:
        """The whole answer to POST `path`, carried out as a job; `on_message` gets what happens meanwhile by its name.

        Names: `job` (first, the job itself), `revision`, `case`, `suite`, `progress`. What is refused raises Failure as if it was waited for.
        """
        job = self._parsed_job(path, body)
        if "job" in job:
            on_message("job", job["job"])
            job = self._job_ended(job["job"]["id"], on_message)
        status, answer = int(job["status"] or 500), job["result"] or {}
        if status >= 400:
            raise _failure(status, json.dumps(answer).encode())
        return dict(answer)

    def _parsed_job(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._ask("POST", _target(path, {}), body, prefer="respond-async")
        is_job = str(answer.get("data", {}).get("id", "")).startswith("job_")
        return {"job": answer["data"]} if is_job else {"status": 200, "result": answer}

    def _job_ended(self, job_id: str, on_message: Callable[[str, dict[str, Any]], None]) -> dict[str, Any]:
        """Follow it to its end."""
        for name, said in self._messages("GET", f"/jobs/{part(job_id)}/stream"):
            if name == "end":
                return said
            if name != "farewell":
                on_message(name, said)
        raise _broken_off(self._path, None)

    def items(self, path: str, **query: str | int | float | list[str] | None) -> Iterator[Any]:
        """Every item of a list, page by page."""
        page = 1
        while True:
            answer = self.get(path, page=page, page_size=_PAGE_SIZE, **query)
            yield from answer["items"]
            if not answer["pagination"]["has_next"]:
                return
            page += 1

    def follow(
        self, *, after: int | None, types: list[str], packs: list[str], on_gap: Callable[[str], None]
    ) -> Generator[dict[str, Any], None, None]:
        """Events as they happen, for ever: when the stream breaks off it is resumed behind the last event.

        `on_gap` is told, once each time, that the daemon went away. Raises Failure if it is not there at the beginning,
        or when what comes next is not kept any more (GONE).
        """
        if after is None:  # fixed now, so that what happens while the daemon is away is not missed
            after = int(self.get("/events", limit=1)["cursor"]["newest"])
        connected, attempts = False, 0
        while True:
            try:
                for seq, event in self._stream(after, types, packs):
                    connected, attempts = True, 0
                    after = seq
                    if event is not None:
                        yield event
            except (Failure, OSError, http.client.HTTPException) as failure:
                lost = not isinstance(failure, Failure) or failure.code in (Code.UNREACHABLE, Code.UNAVAILABLE)
                if not connected or not lost:
                    raise
            if attempts == 0:
                on_gap("the daemon went away; waiting for it to come back")
            time.sleep(_PAUSES_S[min(attempts, len(_PAUSES_S) - 1)])
            attempts += 1

    def _stream(self, after: int, types: list[str], packs: list[str]) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """One connection's cursors and events; without an event when it stands, and where none is wanted."""
        connection = _Connection(self._path, timeout=_SILENCE_S)
        try:
            response = self._send(
                connection, "GET", _target("/events/stream", {"after": after, "types": types, "pack": packs}), None
            )
            if response.status != 200:
                raise _failure(response.status, response.read())
            yield after, None
            with response:
                yield from _messages(response)
        finally:
            connection.close()

    def _ask(
        self, method: str, target: str, body: dict[str, Any] | None = None, *, prefer: str | None = None
    ) -> dict[str, Any]:
        usual = _ANSWER_S if method == "GET" else None
        connection = _Connection(
            self._path, timeout=self._patience_s or usual, connect_s=self._patience_s or _CONNECT_S
        )
        try:
            response = self._send(connection, method, target, body, prefer=prefer)
            content = response.read()
        except (OSError, http.client.HTTPException) as failure:
            raise _broken_off(self._path, failure) from failure
        finally:
            connection.close()
        if response.status >= 400:
            raise _failure(response.status, content)
        return _parsed(content) if content else {}

    def _send(
        self,
        connection: _Connection,
        method: str,
        target: str,
        body: dict[str, Any] | None,
        *,
        accept: str = "*/*",
        prefer: str | None = None,
    ) -> http.client.HTTPResponse:
        headers = {"User-Agent": f"packd/{__version__}", "Accept": accept} | ({"Prefer": prefer} if prefer else {})
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.connect()
        except OSError as failure:
            raise _unreachable(self._path, failure) from failure
        connection.request(method, target, json.dumps(body) if body is not None else None, headers)
        return connection.getresponse()


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket. Connecting is quick or fails; an answer may take its time."""

    def __init__(self, path: Path, *, timeout: float | None, connect_s: float = _CONNECT_S) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._connect_s = connect_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._connect_s)
        self.sock.connect(os.fspath(self._path))
        self.sock.settimeout(self.timeout)


def _target(path: str, query: Query) -> str:
    given = {key: value for key, value in query.items() if value not in (None, [])}
    asked = f"?{urlencode(given, doseq=True)}" if given else ""
    return f"{PREFIX}{path}{asked}"


def part(name: str) -> str:
    """A name as one step of a path. Bytes that are not UTF-8 stay what they are.

    Raises Failure NOT_FOUND for what is no single step: an empty name, or one with a slash, which servers take for two.
    """
    if not name or "/" in name:
        raise Failure(Code.NOT_FOUND, f"there is nothing called '{name}': a name has no slash in it, and is not empty")
    return quote(name, safe="", errors="surrogateescape")


def _messages(response: http.client.HTTPResponse) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(id, data) of everything on the stream (WHATWG HTML, section 9.2) that has an id, as all events of packd have."""
    seq, data = None, ""
    for raw in response:
        line = raw.decode("utf-8").rstrip("\r\n")
        field, _, value = line.partition(":")
        if field == "id":
            seq = int(value)
        elif field == "data":
            data += value.removeprefix(" ")
        elif not line:
            if seq is not None:
                yield seq, json.loads(data) if data else None
            seq, data = None, ""


def _named_messages(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """(event, data) of every event on the stream."""
    name = data = ""
    for raw in response:
        field, _, value = raw.decode("utf-8").rstrip("\r\n").partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data += value.removeprefix(" ")
        elif not field and not value and data:
            yield name, json.loads(data)
            name = data = ""


def _broken_off(path: Path, failure: Exception | None) -> Failure:
    if isinstance(failure, TimeoutError):
        return _silent(path)
    said = f"the daemon at {path} broke off its answer: is it stopping? {failure or ''}".rstrip()
    return Failure(Code.UNREACHABLE, said)


def _silent(path: Path) -> Failure:
    said = f"the daemon at {path} is there and does not answer: it hangs, or has too much to do; see its log, and start it again if that goes on"
    return Failure(Code.UNREACHABLE, said)


def _failure(status: int, content: bytes) -> Failure:
    """Problem details read back; the status alone decides when the answer is none."""
    try:
        said = json.loads(content)
        sentence, code = str(said["detail"]), str(said["code"])
        problems = tuple(Problem(**found) for found in said.get("problems", ()))
    except (ValueError, KeyError, TypeError):
        return Failure(_code_of(status, ""), f"the daemon answered {status} without saying why")
    members = {key: value for key, value in said.items() if key not in _STANDARD}
    return Failure(_code_of(status, code), sentence, problems=problems, members=members)


def _code_of(status: int, word: str) -> Code:
    if word in Code.__members__:
        return Code(word)
    known = {known: code for code, known in HTTP_STATUS.items()}
    return known.get(status, Code.BAD_REQUEST if status < 500 else Code.INTERNAL)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Failure(Code.INTERNAL, "what answers there is not packd: its answer is no JSON object")
    return answer


def _unreachable(path: Path, failure: OSError) -> Failure:
    """`absent` among its members: nobody is there at all."""
    if isinstance(failure, PermissionError):
        said = f"you may not talk to the daemon at {path}: become its user, or join the group of its socket"
        return Failure(Code.UNREACHABLE, said)
    if isinstance(failure, (TimeoutError, BlockingIOError)):  # as many as may are waiting to be taken in
        return _silent(path)
    if len(os.fsencode(path)) > 107 or "too long" in str(failure):
        said = f"the socket's path is too long for a Unix socket: {path}; give a shorter one with --socket"
        return Failure(Code.UNREACHABLE, said)
    said = (
        f"no packd daemon answers at {path}: start one with `packd run`, "
        "or say where it is with --socket or --state-dir"
    )
    return Failure(Code.UNREACHABLE, said, members={"absent": True})
