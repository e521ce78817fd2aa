"""Endpoints and deliveries over the API: made, tried, changed, silenced, and sent once more."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from packd.domain.deliveries import Outcome
from packd.domain.events import EVENT_TYPES
from packd.domain.failures import Code, Failure
from packd.flow.status import _endpoints as status_endpoints
from packd.notify.signature import decode, public_key
from packd.registry import outbox, queries
from tests.unit.doors_ground import Ground, made_ground
from tests.unit.registry_ground import an_endpoint

ENDPOINTS = "/webhooks/endpoints"
SECRET = "whsec_" + "QUJD" * 11


@pytest.fixture
def ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


def create(ground: Ground, name: str = "ci", **more: Any) -> dict[str, Any]:
    wish = {"name": name, "url": "https://ci.example/hook"} | more
    made: dict[str, Any] = ground.client.post(ENDPOINTS, wish)["data"]
    settle(ground)
    return made


def settle(ground: Ground) -> None:
    assert ground.dispatcher.wait_empty(10)


def show(ground: Ground, name: str = "ci") -> dict[str, Any]:
    shown: dict[str, Any] = ground.client.get(f"{ENDPOINTS}/{name}")["data"]
    return shown


def listed(ground: Ground, **choice: Any) -> list[dict[str, Any]]:
    return list(ground.client.items("/webhooks/deliveries", **choice))


def refused(ground: Ground, call: Any) -> Failure:
    with pytest.raises(Failure) as failure:
        call()
    return failure.value


# --- making ----------------------------------------------------------------------------------------------------------


def test_a_new_endpoint_shows_its_secret_once_and_is_tried(ground: Ground) -> None:
    """The secret is in the answer that made it and in no other; a `webhook.test` has left."""
    made = create(ground)
    assert len(decode(made["secret"])) == 32
    assert [one.event_type for one in ground.postman.carried] == ["webhook.test"]
    everything = json.dumps([show(ground), list(ground.client.items(ENDPOINTS)), listed(ground)])
    assert made["secret"] not in everything
    assert "secret" not in show(ground)
    assert listed(ground)[0]["id"] == made["test_delivery"]


def test_the_fields_come_back_as_they_were_given(ground: Ground) -> None:
    """Except what is secret: of headers the names, of certificates that they are there."""
    wish = {
        "types": ["pack.*", "daemon.started"],
        "packs": ["core", "net*"],
        "ordering": "strict",
        "format": "cloudevents",
        "rate": 2.5,
        "timeout_s": 3,
        "headers": {"Authorization": "Bearer hunter2"},
        "allow_private": True,
        "url": "http://10.0.0.7/in",
    }
    create(ground, secret=SECRET, **wish)
    shown = show(ground)
    assert {name: shown[name] for name in wish} == wish | {"headers": {"Authorization": "***"}}
    assert (shown["origin"], shown["read_only"], shown["signature"], shown["public_key"]) == ("api", False, "v1", None)
    assert "hunter2" not in json.dumps(shown)
    body = ground.postman.carried[0].body
    assert json.loads(body)["specversion"] == "1.0"


def test_an_endpoint_may_be_signed_for_with_a_key_pair(ground: Ground) -> None:
    """`v1a`: the public key is shown always, the private one once."""
    made = create(ground, signature="v1a")
    assert made["secret"].startswith("whsk_")
    assert show(ground)["public_key"] == public_key(made["secret"])


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"name": "Chat Room"}, "name"),
        ({"url": "ftp://x.example/"}, "body url: must be an http or https address"),
        ({"url": "https://ada:hunter2@x.example/"}, "must not hold credentials"),
        ({"url": "http://127.0.0.1/"}, "allow_private"),
        ({"url": "http://169.254.169.254/", "allow_private": True}, "never connects"),
        ({"types": ["pack.registred"]}, "did you mean 'pack.registered'?"),
        ({"types": ["zzz"]}, "`packd webhook examples` lists them"),
        ({"secret": "hunter2"}, "must begin with whsec_"),
        ({"headers": {"webhook-id": "x"}}, "packd sets itself"),
        ({"headers": {"x": "a\r\nb: c"}}, "printable ASCII on one line"),
        ({"rate": 0}, "rate"),
        ({"timeout_s": 500}, "timeout_s"),
        ({"ordering": "random"}, "ordering"),
        ({"tls": {"ca": "no PEM"}}, "authority's certificate can't be read"),
        ({"tls": {"certificate": "x"}}, "belong together"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_wish_is_refused_in_words(ground: Ground, wish: dict[str, Any], said: str) -> None:
    """With the field and the way out, never with a secret, and nothing is made."""
    failure = refused(ground, lambda: create(ground, **wish))
    assert said in failure.sentence
    assert "hunter2" not in failure.sentence
    assert list(ground.client.items(ENDPOINTS)) == []


def test_a_name_is_given_once(ground: Ground) -> None:
    """Unless the endpoint that had it was removed: then it goes on counting where that stopped."""
    create(ground)
    assert refused(ground, lambda: create(ground)).code == Code.CONFLICT
    ground.client.delete(f"{ENDPOINTS}/ci")
    assert refused(ground, lambda: show(ground)).code == Code.NOT_FOUND
    create(ground)
    assert show(ground)["last_endpoint_seq"] == 2


def test_an_unknown_endpoint_gets_the_nearest_name(ground: Ground) -> None:
    """The refusal has a suggestion where a name is nearly right."""
    create(ground, "deploy-bot")
    assert "did you mean 'deploy-bot'?" in refused(ground, lambda: show(ground, "deploybot")).sentence


# --- changing --------------------------------------------------------------------------------------------------------


def test_a_change_says_only_what_is_to_be_another(ground: Ground) -> None:
    """The rest stays, the counter too."""
    create(ground, headers={"X-A": "abcdefg"}, types=["pack.*"])
    ground.client.patch(f"{ENDPOINTS}/ci", {"types": ["*"], "url": "https://new.example/"})
    shown = show(ground)
    assert (shown["types"], shown["url"], shown["headers"]) == (["*"], "https://new.example/", {"X-A": "***"})
    assert shown["last_endpoint_seq"] == 1


def test_the_query_of_a_url_is_used_and_not_shown(ground: Ground) -> None:
    """It holds a token as often as not; sent back as it was shown, the URL stays what it is."""
    url = "https://ci.example/hook?token=s3cret"
    made = create(ground, url=url)
    with ground.registry.read() as connection:
        in_status = status_endpoints(connection)
    assert in_status[0]["url"] == show(ground)["url"] == "https://ci.example/hook?**********"
    assert "s3cret" not in json.dumps([made, in_status, show(ground), *ground.client.items(ENDPOINTS)])
    ground.client.patch(f"{ENDPOINTS}/ci", {"url": show(ground)["url"], "rate": 5})
    with ground.registry.read() as connection:
        kept = queries.endpoint(connection, "ci")
    assert kept is not None
    assert (kept.url, kept.rate) == (url, 5)


def test_what_the_configuration_says_is_changed_there(ground: Ground) -> None:
    """Fields are read-only by API; silencing and trying are not fields."""
    with ground.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint("file", origin="config"))
    assert show(ground, "file")["read_only"]
    for call in (
        lambda: ground.client.patch(f"{ENDPOINTS}/file", {"types": []}),
        lambda: ground.client.delete(f"{ENDPOINTS}/file"),
        lambda: ground.client.post(f"{ENDPOINTS}/file/rotate"),
    ):
        failure = refused(ground, call)
        assert failure.code == Code.CONFLICT
        assert "configuration file" in failure.sentence
    ground.client.post(f"{ENDPOINTS}/file/disable")
    ground.client.post(f"{ENDPOINTS}/file/enable")
    assert ground.client.post(f"{ENDPOINTS}/file/test")["data"]["state"] == "delivered"


def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(ground: Ground) -> None:
    """Two signatures, until the moment that is shown."""
    first = create(ground)["secret"]
    second = ground.client.post(f"{ENDPOINTS}/ci/rotate")["data"]
    assert second["secret"] != first
    assert second["previous_secret_until"] is not None
    with ground.registry.read() as connection:
        endpoint = queries.endpoint(connection, "ci")
    assert endpoint is not None
    assert endpoint.previous_secret_until_s is not None
    assert endpoint.secrets(endpoint.previous_secret_until_s - 1) == (second["secret"], first)
    assert endpoint.secrets(endpoint.previous_secret_until_s) == (second["secret"],)
    same = {"secret": second["secret"]}
    assert refused(ground, lambda: ground.client.post(f"{ENDPOINTS}/ci/rotate", same)).code == Code.CONFLICT


# --- trying and silencing --------------------------------------------------------------------------------------------


def test_a_test_says_what_came_of_it(ground: Ground) -> None:
    """With the heads of request and answer; that it failed is an answer, too."""
    create(ground)
    ground.postman.answer = Outcome(status=500, request_head="POST /", response_head="HTTP 500")
    answer = ground.client.post(f"{ENDPOINTS}/ci/test")
    assert answer["data"]["state"] == "pending"
    assert answer["message"].startswith("answered 500")
    (attempt,) = answer["data"]["attempt_log"]
    assert (attempt["status"], attempt["request_head"], attempt["response_head"]) == (500, "POST /", "HTTP 500")


def test_a_web_page_is_flagged_in_the_log_of_attempts(ground: Ground) -> None:
    """A 200 that is `text/html` is delivered, and odd."""
    create(ground)
    ground.postman.answer = Outcome(
        status=200, content_type="text/html", request_head="POST /", response_head="HTTP 200"
    )
    (attempt,) = ground.client.post(f"{ENDPOINTS}/ci/test")["data"]["attempt_log"]
    assert (attempt["status"], attempt["error"]) == (200, None)
    assert "web page" in attempt["warning"]
    assert attempt["response_head"] == "HTTP 200"


def test_events_for_a_disabled_endpoint_are_held_and_leave_when_it_is_enabled(ground: Ground) -> None:
    """Visible meanwhile, in order afterwards; both are events for the others."""
    create(ground)
    create(ground, "watcher", types=["webhook.*"])
    ground.client.post(f"{ENDPOINTS}/ci/disable")
    ground.say("core", 2)
    settle(ground)
    assert show(ground)["state"] == "disabled"
    assert show(ground)["deliveries"]["held"] == 2
    assert [one["state"] for one in listed(ground, endpoint="ci", state="held")] == ["held"] * 2
    assert "`packd webhook enable ci`" in ready(ground)["warnings"][0]
    assert refused(ground, lambda: ground.client.post(f"{ENDPOINTS}/ci/test")).code == Code.CONFLICT
    ground.client.post(f"{ENDPOINTS}/ci/enable")
    settle(ground)
    assert show(ground)["deliveries"] == {"pending": 0, "held": 0, "delivered": 3, "exhausted": 0, "aborted": 0}
    assert ready(ground)["warnings"] == []
    told = [one.event_type for one in ground.postman.carried if one.endpoint == "watcher"]
    assert told == ["webhook.test", "webhook.endpoint_disabled", "webhook.endpoint_enabled"]
    bodies = [json.loads(one.body)["data"] for one in ground.postman.carried if one.endpoint == "watcher"]
    assert [body.get("actor") for body in bodies[1:]] == [f"uid={os.geteuid()} pid={os.getpid()}"] * 2


def ready(ground: Ground) -> dict[str, Any]:
    """`/readyz`, which is at the root."""
    import http.client
    import socket

    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(ground.socket))
    connection.request("GET", "/readyz")
    said: dict[str, Any] = json.loads(connection.getresponse().read())["data"]
    connection.close()
    return said


# --- once more -------------------------------------------------------------------------------------------------------


def test_a_delivery_is_sent_again_with_the_same_bytes(ground: Ground) -> None:
    """And the same id; its attempts are counted on."""
    create(ground)
    delivery = listed(ground)[0]
    ground.client.post(f"/webhooks/deliveries/{delivery['id']}/resend")
    settle(ground)
    first, second = ground.postman.carried
    assert (first.body, first.event_id) == (second.body, second.event_id)
    again = ground.client.get(f"/webhooks/deliveries/{delivery['id']}")["data"]
    assert [row["number"] for row in again["attempt_log"]] == [1, 2]
    assert (again["attempts"], again["earlier_attempts"], again["state"]) == (1, 1, "delivered")
    assert again["payload"]["endpoint_seq"] == 1


def test_recover_sends_what_did_not_arrive_and_replay_everything(ground: Ground) -> None:
    """Given up, aborted or waiting on the one hand; also delivered, and also from before it was there, on the other."""
    ground.say("early")
    create(ground)
    ground.postman.answer = Outcome(status=422, directive="abort-message")
    ground.say("core")
    settle(ground)
    assert [one["state"] for one in listed(ground, endpoint="ci")] == ["aborted", "delivered"]
    ground.postman.answer = Outcome(status=204)
    assert ground.client.post(f"{ENDPOINTS}/ci/recover", {"since": "2020-01-01"})["data"]["deliveries"] == 1
    settle(ground)
    assert [one["state"] for one in listed(ground, endpoint="ci")] == ["delivered", "delivered"]
    ground.postman.carried.clear()
    assert ground.client.post(f"{ENDPOINTS}/ci/replay", {"since": "2020-01-01"})["data"]["deliveries"] == 3
    settle(ground)
    assert [(one.event_type, one.endpoint_seq) for one in ground.postman.carried if one.subject == "packs/early"] == [
        ("pack.test_failed", 3)
    ]
    assert len(ground.postman.carried) == 3
    assert (
        ground.client.post(f"{ENDPOINTS}/ci/recover", {"since": "2020-01-01T00:00:00+02:00"})["data"]["deliveries"] == 0
    )


def test_a_moment_that_is_none_is_refused(ground: Ground) -> None:
    """With examples."""
    create(ground)
    assert (
        "must be a moment"
        in refused(ground, lambda: ground.client.post(f"{ENDPOINTS}/ci/replay", {"since": "soon"})).sentence
    )


def test_deliveries_can_be_chosen(ground: Ground) -> None:
    """By endpoint, state, type, event and pack; a state that there is not is said to be none."""
    create(ground)
    create(ground, "other")
    ground.say("core")
    ground.say("slack")
    settle(ground)
    assert len(listed(ground)) == 6
    assert len(listed(ground, endpoint="ci")) == 3
    assert len(listed(ground, event_type="webhook.test")) == 2
    assert {one["subject"] for one in listed(ground, pack="core")} == {"packs/core"}
    one = listed(ground, pack="slack", endpoint="ci")[0]
    assert [found["id"] for found in listed(ground, event_id=one["event_id"], endpoint="ci")] == [one["id"]]
    assert listed(ground, state="exhausted") == []
    assert "the states are" in refused(ground, lambda: listed(ground, state="lost")).sentence
    assert refused(ground, lambda: ground.client.get("/webhooks/deliveries/4711")).code == Code.NOT_FOUND


# --- what there is to be told ------------------------------------------------------------------------------------------


def test_every_event_type_has_an_example_and_a_schema(ground: Ground) -> None:
    """Made from the models."""
    types = [one["type"] for one in ground.client.get("/event-types")["items"]]
    assert types == list(EVENT_TYPES)
    for name in types:
        shown = ground.client.get(f"/event-types/{name}")["data"]
        assert shown["example"]["type"] == name
        assert ground.client.get(f"/event-types/{name}/schema")["title"] == name
    assert refused(ground, lambda: ground.client.get("/event-types/pack.nonsense")).code == Code.NOT_FOUND
