"""Every "no" is a problem (RFC 9457) with `error` and `code`, and the client reads back what the daemon meant."""

from __future__ import annotations

import errno
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from packd.domain.failures import HTTP_STATUS, Code, Failure, shortage
from packd.domain.problems import Problem
from tests.unit.doors_ground import Ground, made_ground

TOO_MANY = "99999999999999999999999"  # more than a database can count to

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id", "error", "code"}


@pytest.fixture(scope="module")
def one_ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


@pytest.fixture
def ground(one_ground: Ground) -> Ground:
    one_ground.asked.refusal = None
    return one_ground


def ask(
    ground: Ground, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
    """The bare exchange, without packd's client."""
    response, content = bare(ground, method, path, body, **headers)
    return response, json.loads(content)


def bare(
    ground: Ground, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(ground.socket))
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def test_the_table_can_be_read_backwards() -> None:
    """Every code has a status, no two the same."""
    assert HTTP_STATUS.keys() == set(Code)
    assert len(set(HTTP_STATUS.values())) == len(HTTP_STATUS)


@pytest.mark.parametrize("code", list(Code))
def test_a_failure_comes_back_as_it_was(ground: Ground, code: Code) -> None:
    """Code, sentence, problems and further members survive the way through HTTP."""
    problem = Problem(code="some.code", message="Something", file="pack.yaml", line=3, suggestion="else")
    ground.asked.refusal = Failure(code, "No, because", problems=[problem], members={"oldest": 17})
    with pytest.raises(Failure) as caught:
        ground.client.post("/packs/core/retry")
    said = caught.value
    assert (said.code, said.sentence, said.problems) == (code, "No, because", (problem,))
    assert said.members == {"oldest": 17}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nowhere", None, 404, "NOT_FOUND"),
        ("GET", "/api/v1/packs/", None, 404, "NOT_FOUND"),
        ("DELETE", "/api/v1/status", None, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/v1/packs?page=two", None, 422, "UNPROCESSABLE_ENTITY"),
        ("GET", "/api/v1/events?after=-1", None, 422, "UNPROCESSABLE_ENTITY"),
        ("POST", "/api/v1/packs/core/rollback", '{"to": "last"}', 422, "UNPROCESSABLE_ENTITY"),
        ("POST", "/api/v1/packs/core/rollback", '{"too": 1}', 422, "UNPROCESSABLE_ENTITY"),
        ("POST", "/api/v1/packs/core/rollback", "{nonsense", 422, "UNPROCESSABLE_ENTITY"),
        ("GET", "/api/v1/packs/cor", None, 404, "NOT_FOUND"),
        ("GET", f"/api/v1/packs/core/revisions/{TOO_MANY}", None, 422, "UNPROCESSABLE_ENTITY"),
        ("POST", "/api/v1/packs/core/rollback", f'{{"to": {TOO_MANY}}}', 422, "UNPROCESSABLE_ENTITY"),
        ("GET", f"/api/v1/webhooks/deliveries/{TOO_MANY}", None, 422, "UNPROCESSABLE_ENTITY"),
        ("POST", f"/api/v1/webhooks/deliveries/{TOO_MANY}/resend", None, 422, "UNPROCESSABLE_ENTITY"),
    ],
)
def test_the_form(ground: Ground, method: str, path: str, body: str | None, status: int, code: str) -> None:
    """The framework's own refusals have the same form as ours, and name the request as its header does."""
    response, content = ask(ground, method, path, body, **{"Content-Type": "application/json"})
    assert (response.status, content["status"], content["code"]) == (status, status, code)
    assert response.getheader("Content-Type") == "application/problem+json"
    assert content.keys() >= MEMBERS
    assert content["error"] == content["detail"]
    assert content["request_id"] == response.getheader("X-Request-Id")
    assert content["instance"] == path.partition("?")[0]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/packs/core", "GET, HEAD, DELETE"),
        ("DELETE", "/api/v1/packs", "GET, HEAD"),
        ("GET", "/api/v1/packs/core/retry", "POST"),
        ("HEAD", "/api/v1/packs/core/retry", "POST"),
        ("PUT", "/api/v1/webhooks/endpoints", "GET, HEAD, POST"),
        ("PUT", "/api/v1/webhooks/endpoints/ci", "GET, HEAD, PATCH, DELETE"),
        ("POST", "/metrics", "GET, HEAD"),
    ],
)
def test_what_is_allowed_is_all_that_is_possible(ground: Ground, method: str, path: str, allowed: str) -> None:
    """Over all routes of the path, not only the first (RFC 9110, 15.5.6)."""
    response, _ = bare(ground, method, path, None, **{"Content-Type": "application/json"})
    assert (response.status, response.getheader("Allow")) == (405, allowed)


@pytest.mark.parametrize(
    "path",
    [
        "/livez", "/readyz", "/healthz", "/metrics", "/docs", "/openapi.json", "/api/v1/packs", "/api/v1/packs/nobody",
        "/api/v1/events/stream",
    ],
)  # fmt: skip
def test_head_is_get_without_the_body(ground: Ground, path: str) -> None:
    """Everywhere, also where the answer is no, and where GET would not come to an end."""
    head, body = bare(ground, "HEAD", path)
    assert body == b""
    if path != "/api/v1/events/stream":
        got, _ = bare(ground, "GET", path)
        assert (head.status, head.getheader("Content-Type")) == (got.status, got.getheader("Content-Type"))
    else:
        assert (head.status, head.getheader("Content-Type")) == (200, "text/event-stream; charset=utf-8")


def test_not_understood_names_the_place(ground: Ground) -> None:
    """What could not be understood is listed, each with where it stands in the request."""
    _, content = ask(ground, "GET", "/api/v1/packs?page=two&page_size=many")
    assert [problem["message"].partition(":")[0] for problem in content["problems"]] == [
        "query page",
        "query page_size",
    ]


def test_a_broken_handler_is_a_problem(ground: Ground) -> None:
    """A bug of packd's own is a 500 of the same form, without a traceback in it."""
    ground.asked.refusal = RuntimeError("secret inside")
    response, content = ask(ground, "POST", "/api/v1/packs/core/retry")
    assert (response.status, content["code"]) == (500, "INTERNAL")
    assert content["request_id"] in content["detail"]
    assert "secret" not in json.dumps(content)


@pytest.mark.parametrize(
    "surprise", [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread")]
)
def test_a_machine_that_is_short_of_something_is_not_a_bug_of_packds(ground: Ground, surprise: Exception) -> None:
    """Asking again can help, so the answer says that, by its status as well."""
    ground.asked.refusal = surprise
    response, content = ask(ground, "POST", "/api/v1/packs/core/retry")
    assert (response.status, content["code"]) == (503, "UNAVAILABLE")
    assert content["detail"].startswith("this machine has not enough for it at the moment (")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO, None])
def test_other_errors_of_the_system_are_no_shortage(number: int | None) -> None:
    """Of which asking again would make no end."""
    assert shortage(OSError(number, "no")) is None


def test_members_never_replace_the_standard_ones(ground: Ground) -> None:
    """A further member of the name of a standard one is left out."""
    ground.asked.refusal = Failure(Code.CONFLICT, "No", members={"status": 200, "detail": "yes"})
    _, content = ask(ground, "POST", "/api/v1/packs/core/retry")
    assert (content["status"], content["detail"]) == (409, "No")


def test_requests_are_told_apart(ground: Ground) -> None:
    """Every answer carries an identity of its own."""
    seen = {ask(ground, "GET", "/livez")[0].getheader("X-Request-Id") for _ in range(3)}
    assert len(seen) == 3
    assert all(identity and identity.startswith("req_") for identity in seen)


def test_no_documentation_from_elsewhere(ground: Ground) -> None:
    """OpenAPI is served, and a page made of it; those that would load scripts from a CDN are not."""
    _, content = ask(ground, "GET", "/openapi.json")
    assert "/api/v1/packs/{ref}/tests/latest" in content["paths"]
    assert ask(ground, "GET", "/redoc")[0].status == 404
