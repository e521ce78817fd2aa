"""A request with an idempotency key is carried out once."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from packd.domain.failures import Code, Failure
from packd.flow.once import Once
from tests.unit.doors_ground import Ground, made_ground
from tests.waiting import wait_until


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        made.activate("core", 1)
        made.activate("core", 2)
        made.add_run("core", 2)
        yield made


def post(
    ground: Ground, path: str, body: Any = None, *, key: str = "k-1", method: str = "POST"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(ground.socket))
    headers = {"Idempotency-Key": key} | ({"Content-Type": "application/json"} if body is not None else {})
    said = body if isinstance(body, str | None) else json.dumps(body)
    connection.request(method, f"/api/v1{path}", said, headers)
    with connection.getresponse() as response:
        content = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, content


def asked(ground: Ground, name: str) -> int:
    return sum(1 for call in ground.asked.calls if call[0] == name)


def test_the_same_request_again_gets_the_same_answer(ground: Ground) -> None:
    """Byte for byte, marked as a replay; nothing is carried out."""
    first = post(ground, "/packs/core/rollback", {})
    again = post(ground, "/packs/core/rollback", {})
    assert (first[0], first[2]) == (again[0], again[2])
    assert again[1]["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first[1]
    assert asked(ground, "rollback") == 1


def test_a_body_that_can_not_be_read_is_refused_as_without_a_key(ground: Ground) -> None:
    """It is the caller's mistake, however deep he nests it."""
    deep = 10_000 * "[" + 10_000 * "]"
    assert [post(ground, "/packs/core/rollback", body, key=body[:9])[0] for body in (deep, "{")] == [400, 422]


def test_an_answer_is_kept_for_a_day(ground: Ground) -> None:
    """Who asks again after that asks anew."""
    now_s = [1_000_000.0]
    once = Once(registry=ground.registry, clock=SimpleNamespace(now=lambda: now_s[0]))  # type: ignore[arg-type]
    assert once.begin("me", "k", "a request") is None
    once.end("me", "k", status=200, headers=(), body=b"done")
    now_s[0] += 86_399
    kept = once.begin("me", "k", "a request")
    assert kept is not None
    assert kept.body == b"done"
    now_s[0] += 2
    assert once.begin("me", "k", "another request") is None
    once.forget("me", "k")


def test_a_refusal_is_an_answer_too(ground: Ground) -> None:
    """What was refused once is not tried again behind the caller's back."""
    ground.asked.refusal = Failure(Code.CONFLICT, "no")
    first = post(ground, "/packs/core/retry")
    ground.asked.refusal = None
    again = post(ground, "/packs/core/retry")
    assert (first[0], again[0]) == (409, 409)
    assert first[2] == again[2]
    assert asked(ground, "retry") == 1


def test_the_key_with_another_request_is_refused(ground: Ground) -> None:
    """422: another path, another body; how the JSON is written does not matter."""
    assert post(ground, "/packs/core/rollback", {"to": None})[0] == 200
    status, _, content = post(ground, "/packs/core/rollback", {"to": 1})
    assert (status, json.loads(content)["code"]) == (422, "UNPROCESSABLE_ENTITY")
    assert post(ground, "/packs/core/retry")[0] == 422


def test_the_same_key_at_the_same_time_is_a_conflict(ground: Ground) -> None:
    """409 with Retry-After while the first one is at work, then its answer."""
    ground.asked.hold = threading.Event()
    found: list[tuple[int, dict[str, str], bytes]] = []
    first = threading.Thread(target=lambda: found.append(post(ground, "/packs/core/test", {})))
    first.start()
    wait_until(lambda: asked(ground, "run_tests"), "the first one to be at work")
    status, headers, _ = post(ground, "/packs/core/test", {})
    assert (status, headers["retry-after"]) == (409, "1")
    ground.asked.hold.set()
    first.join(20)
    assert found[0][0] == 200
    assert post(ground, "/packs/core/test", {})[2] == found[0][2]
    assert asked(ground, "run_tests") == 1


def test_packd_s_own_trouble_is_not_kept(ground: Ground) -> None:
    """After a 500 or a 503 the same key tries again."""
    ground.asked.refusal = Failure(Code.UNAVAILABLE, "stopping")
    assert post(ground, "/packs/core/retry")[0] == 503
    ground.asked.refusal = None
    assert post(ground, "/packs/core/retry")[0] == 200


def test_a_name_may_have_any_bytes(ground: Ground) -> None:
    """Also in a request that is carried out once."""
    first, again = post(ground, "/packs/caf%E9/retry"), post(ground, "/packs/caf%E9/retry")
    assert (first[0], first[2]) == (again[0], again[2])
    assert again[1]["idempotency-replayed"] == "true"


def test_a_key_that_is_none_is_refused(ground: Ground) -> None:
    """Up to 255 printable characters."""
    assert post(ground, "/packs/core/retry", key="k" * 256)[0] == 400
    assert post(ground, "/packs/core/retry", key="")[0] == 400
    assert asked(ground, "retry") == 0


def test_reading_takes_no_notice_of_it(ground: Ground) -> None:
    """Only what changes something can happen twice."""
    assert post(ground, "/packs/core", method="GET")[0] == 200
    assert "idempotency-replayed" not in post(ground, "/packs/core", method="GET")[1]
