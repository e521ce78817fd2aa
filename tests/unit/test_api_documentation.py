"""The OpenAPI document: complete, true of what is answered, and readable without a network."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from socket import AF_UNIX, socket
from typing import Any

import jsonschema
import pytest

from packd.api.documentation.answers import ANSWERS
from packd.api.documentation.openapi import operations
from packd.domain.events import EVENT_TYPES, example, json_schema
from packd.domain.failures import HTTP_STATUS, Failure
from packd.domain.lifecycle import Phase
from tests.unit.doors_ground import Ground, made_ground, report

# What has to be there for a path to be answered with something.
GIVEN = {
    "ref": "core", "name": "core", "number": "1", "event_type": "pack.registered", "token_id": "ci", "delivery_id": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Nothing here depends on what another test did."""
    with made_ground() as made:
        made.activate("core", 1)
        made.add_run("core", 1, report("core"))
        made.activate("core", 2)
        made.add_run("core", 2, report("core", failed=True))
        made.add_revision("slow", 1, Phase.VALIDATED)
        made.refuse_drop("broken")
        made.client.post("/tokens", {"name": "ci", "scopes": ["packs:read"]})
        made.client.post(
            "/webhooks/endpoints", {"name": "core", "url": "http://127.0.0.1:9/hook", "allow_private": True}
        )
        yield made


def ask(ground: Ground, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, Any]:
    """(status, media type, body)."""
    connection = HTTPConnection("localhost", timeout=20)
    connection.sock = socket(AF_UNIX)
    connection.sock.connect(str(ground.socket))
    content = json.dumps(body) if body is not None else None
    connection.request(method, path, content, {"Content-Type": "application/json", **headers} if content else headers)
    response = connection.getresponse()
    text, kind = response.read(), response.getheader("content-type", "")
    connection.close()
    return response.status, kind.partition(";")[0], json.loads(text) if "json" in kind and text else text.decode()


@pytest.fixture(scope="module")
def document(ground: Ground) -> dict[str, Any]:
    found: dict[str, Any] = ask(ground, "GET", "/openapi.json")[2]
    return found


def schema_of(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    return {**content["schema"], "components": document["components"]}


def test_every_path_is_in_the_table(document: dict[str, Any]) -> None:
    """A path without a row has no documented answer; a row without a path is a promise."""
    assert {(method, path) for method, path, _ in operations(document)} == ANSWERS.keys()


def test_every_answer_has_a_form_and_an_example_of_it(document: dict[str, Any]) -> None:
    """Also every refusal; and each example is valid by the schema beside it."""
    for method, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            for kind, content in answer.get("content", {}).items():
                where = f"{method} {path} {status}"
                if kind in ("text/event-stream", "text/plain"):
                    continue
                assert "example" in content, where
                jsonschema.validate(content["example"], schema_of(document, content))
        assert operation["summary"]
        assert {"401", "500"} <= operation["responses"].keys() or not path.startswith("/api"), path


def test_every_parameter_and_body_has_an_example_or_a_meaning(document: dict[str, Any]) -> None:
    """Nobody has to guess what goes in."""
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            known = parameter.get("description") or "example" in parameter or parameter["schema"].get("description")
            assert known, f"{method} {path}: {parameter['name']}"


def test_every_event_is_among_the_webhooks(document: dict[str, Any]) -> None:
    """Generated from the models: the whole list, each with an example that is valid."""
    assert document["webhooks"].keys() == EVENT_TYPES.keys()
    for item in document["webhooks"].values():
        content = item["post"]["requestBody"]["content"]["application/json"]
        jsonschema.validate(content["example"], content["schema"])


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_every_event_type_has_a_schema(ground: Ground, event_type: str) -> None:
    """Published under its name; a valid JSON Schema 2020-12 that takes the example and nothing without its parts."""
    status, kind, schema = ask(ground, "GET", f"/api/v1/event-types/{event_type}/schema")
    assert (status, kind) == (200, "application/schema+json")
    assert schema == json_schema(event_type)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(example(event_type))
    assert not validator.is_valid(example(event_type) | {"data": {}})


READING = sorted(path for method, path in ANSWERS if method == "GET" and "stream" not in path)


@pytest.mark.parametrize("path", READING)
def test_what_is_read_has_the_form_that_is_promised(ground: Ground, document: dict[str, Any], path: str) -> None:
    """Each path that reads, over a registry with something of every kind in it."""
    asked = _filled(ground, path)
    status, kind, body = ask(ground, "GET", asked)
    promised = document["paths"][path]["get"]["responses"]
    assert str(status) in promised, (asked, status, body)
    if path not in ("/healthz", "/api/v1/webhooks/deliveries/{delivery_id}", "/api/v1/sweep", "/api/v1/audit"):
        assert status == 200, (asked, body)
    content = promised[str(status)]["content"][kind]
    jsonschema.validate(body, schema_of(document, content))


@pytest.mark.parametrize("path", sorted(path for method, path in ANSWERS if method == "GET" and "{" in path))
def test_what_is_not_there_is_a_404_with_a_way_out(ground: Ground, document: dict[str, Any], path: str) -> None:
    """Problem details, as documented."""
    asked = re.sub(r"\{(number|delivery_id)\}", "4711", re.sub(r"\{(?!number|delivery_id)\w+\}", "nowhere", path))
    status, kind, body = ask(ground, "GET", asked)
    assert (status, kind, body["code"], body["error"]) == (404, "application/problem+json", "NOT_FOUND", body["detail"])
    content = document["paths"][path]["get"]["responses"]["404"]["content"][kind]
    jsonschema.validate(body, schema_of(document, content))


@pytest.mark.parametrize("code", list(HTTP_STATUS))
def test_every_refusal_is_told_and_read_back(ground: Ground, code: Any) -> None:
    """One table from code to status, read backwards by the client: for each row of it."""
    ground.asked.refusal = Failure(code, "no, because", members={"oldest": 7})
    try:
        with pytest.raises(Failure) as refused:
            ground.client.post("/packs/core/rollback", {})
    finally:
        ground.asked.refusal = None
    assert (refused.value.code, refused.value.sentence, refused.value.members["oldest"]) == (code, "no, because", 7)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/v1/nowhere", None, 404, "NOT_FOUND"),
        ("GET", "/nowhere", None, 404, "NOT_FOUND"),
        ("PUT", "/api/v1/packs", None, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/api/v1/packs/register", {"path": 7}, 422, "UNPROCESSABLE_ENTITY"),
        ("POST", "/api/v1/packs/register", {"path": "/x", "froce": True}, 422, "UNPROCESSABLE_ENTITY"),
        ("POST", "/api/v1/packs/register", [], 422, "UNPROCESSABLE_ENTITY"),
        ("GET", "/api/v1/packs/core/revisions/seven", None, 422, "UNPROCESSABLE_ENTITY"),
        ("POST", "/api/v1/tokens", {"name": "x", "scopes": ["everything"]}, 422, "UNPROCESSABLE_ENTITY"),
    ],
)
def test_the_framework_s_own_refusals_have_the_same_form(
    ground: Ground, document: dict[str, Any], method: str, path: str, body: Any, status: int, code: str
) -> None:
    """404, 405 and 422, with everything that was wrong, and the request's identity."""
    found, kind, said = ask(ground, method, path, body)
    assert (found, kind, said["code"], said["status"]) == (status, "application/problem+json", code, status)
    assert said["request_id"].startswith("req_")
    assert said["instance"] == path
    jsonschema.validate(said, {"$ref": "#/components/schemas/ProblemDetails", "components": document["components"]})


def test_pages_are_clamped(ground: Ground) -> None:
    """Both numbers are brought into their range, everywhere alike."""
    for path in ("/packs", "/packs/tests", "/packs/core/tests", "/packs/core/revisions", "/jobs", "/tokens"):
        for query, shown in (("page=0&page_size=0", (1, 1)), ("page=-7&page_size=1000", (1, 100)), ("page=9", (9, 50))):
            _, _, body = ask(ground, "GET", f"/api/v1{path}?{query}")
            assert (body["pagination"]["page"], body["pagination"]["page_size"]) == shown, (path, query)


def test_an_endpoint_is_changed_only_by_who_has_seen_it(ground: Ground) -> None:
    """ETag, If-Match and If-None-Match."""
    where = "/api/v1/webhooks/endpoints/core"
    tag = _tag_of(ground, where)
    assert ask(ground, "GET", where, **{"If-None-Match": tag})[0] == 304
    assert ask(ground, "PATCH", where, {"packs": ["x"]}, **{"If-Match": '"other"'})[0] == 412
    assert ask(ground, "DELETE", where, **{"If-Match": '"other"'})[0] == 412
    assert ask(ground, "PATCH", where, {"packs": ["x"]}, **{"If-Match": tag})[0] == 200
    assert ask(ground, "PATCH", where, {"packs": ["y"]}, **{"If-Match": tag})[0] == 412
    assert ask(ground, "PATCH", where, {"packs": ["y"]}, **{"If-Match": "*"})[0] == 200


def test_of_several_who_have_seen_the_same_only_one_changes_it(ground: Ground) -> None:
    """The tag is compared in the transaction of the change: nobody's change is lost, however close they come."""
    where = "/api/v1/webhooks/endpoints/core"
    everybody = 8
    for round_ in range(5):
        tag = _tag_of(ground, where)
        together = threading.Barrier(everybody)

        def change(number: int, tag: str = tag, round_: int = round_, together: threading.Barrier = together) -> int:
            together.wait(20)
            return ask(ground, "PATCH", where, {"packs": [f"p{round_}-{number}"]}, **{"If-Match": tag})[0]

        with ThreadPoolExecutor(everybody) as pool:
            assert sorted(pool.map(change, range(everybody))) == [200, *[412] * (everybody - 1)]


def test_the_page_needs_nothing_from_elsewhere(ground: Ground) -> None:
    """No script, no font, no picture, no style from anywhere; and every path is on it."""
    status, kind, html = ask(ground, "GET", "/docs")
    assert (status, kind) == (200, "text/html")
    assert not re.findall(r"<(?:script|link|img|iframe)\b", html)
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", html)
    for _, path in ANSWERS:
        assert path.replace("{", "{") in html


def _tag_of(ground: Ground, where: str) -> str:
    connection = HTTPConnection("localhost", timeout=20)
    connection.sock = socket(AF_UNIX)
    connection.sock.connect(str(ground.socket))
    connection.request("GET", where)
    response = connection.getresponse()
    tag = response.getheader("etag")
    response.read()
    connection.close()
    assert tag is not None
    return tag


def _filled(ground: Ground, path: str) -> str:
    run = ground.client.get("/packs/core/tests")["items"][0]["id"]
    job = _a_job(ground) if "{job_id}" in path else ""
    known = {**GIVEN, "run_id": run, "job_id": job}
    return re.sub(r"\{(\w+)\}", lambda found: known[found[1]], path)


def _a_job(ground: Ground) -> str:
    jobs = ground.client.get("/jobs")["items"]
    if not jobs:
        ground.client.post_followed("/packs/register", {"path": "/srv/work"}, on_message=lambda *_: None)
        jobs = ground.client.get("/jobs")["items"]
    return str(jobs[0]["id"])
