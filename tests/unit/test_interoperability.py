"""Verifiers that packd did not write agree with it: about every type of event, in every shape of headers, and about what
was tampered with.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

from packd.domain.events import BODY_LIMIT, EVENT_TYPES, example
from packd.notify import signature
from packd.notify.envelope import content_type, webhook_body

SECRET = signature.new_secret("v1", lambda count: bytes(range(1, count + 1)))
FORMER = signature.new_secret("v1", lambda count: bytes(range(2, count + 2)))
KEY = signature.new_secret("v1a", lambda count: bytes(range(3, count + 3)))
FORMS = ("standard", "cloudevents")

Headers = dict[str, str]
Verify = Callable[[bytes, Headers], Any]


def ed25519(body: bytes, headers: Headers) -> None:
    """As the specification describes it for `v1a`, with nothing of packd but the public key."""
    given = {name.lower(): value for name, value in headers.items()}
    public = base64.b64decode(str(signature.public_key(KEY)).removeprefix("whpk_"))
    if abs(time.time() - int(given["webhook-timestamp"])) > 300:
        raise ValueError("too old")
    signed = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
    values = [one.partition(",")[2] for one in given["webhook-signature"].split() if one.startswith("v1a,")]
    for value in values:
        try:
            return Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(value), signed)
        except InvalidSignature:
            continue
    raise ValueError("no signature matches")


VERIFIERS: Mapping[str, Verify] = {
    "standardwebhooks": lambda body, headers: StandardWebhook(SECRET).verify(
        body, {name.lower(): value for name, value in headers.items()}
    ),
    "svix": lambda body, headers: SvixWebhook(SECRET).verify(body, headers),
    "ed25519": ed25519,
}

# The keys that sign, and how the names of the headers arrive: servers and proxies write them as they like.
SHAPES: Mapping[str, tuple[tuple[str, ...], Callable[[str], str]]] = {
    "lower": ((SECRET, KEY), str.lower),
    "Title": ((SECRET, KEY), str.title),
    "UPPER": ((SECRET, KEY), str.upper),
    "rotating": ((SECRET, FORMER, KEY), str.lower),
    "rotated": ((FORMER, KEY, SECRET), str.lower),
}


def sent(event_type: str, form: str, shape: str, at: int | None = None) -> tuple[bytes, Headers]:
    """What an endpoint gets."""
    secrets, spell = SHAPES[shape]
    body = webhook_body(json.dumps(example(event_type), ensure_ascii=False, separators=(",", ":")), 7, form)
    keys = [signature.decode(text) for text in secrets]
    signed = signature.headers(keys, "evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6E", at or int(time.time()), body)
    return body, {spell(name): value for name, value in signed.items()}


def tampered(body: bytes, headers: Headers) -> dict[str, tuple[bytes, Headers]]:
    """The four ways: another body, another id, another time, another signature."""

    def other(part: str, value: Callable[[str], str]) -> Headers:
        return {name: value(said) if name.lower() == f"webhook-{part}" else said for name, said in headers.items()}

    def forged(said: str) -> str:
        parts = [one.partition(",") for one in said.split()]
        return " ".join(f"{version},{'B' if value[0] == 'A' else 'A'}{value[1:]}" for version, _, value in parts)

    return {
        "body": (body.replace(b'"type":"', b'"type":"x', 1), headers),
        "id": (body, other("id", lambda said: f"{said[:-1]}F")),
        "timestamp": (body, other("timestamp", lambda said: str(int(said) - 10))),
        "signature": (body, other("signature", forged)),
    }


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_event_in_every_shape(event_type: str) -> None:
    """Both libraries and the bare specification take what packd signs, and none of the four kinds of forgery."""
    for form in FORMS:
        for shape in SHAPES:
            body, headers = sent(event_type, form, shape)
            forgeries = tampered(body, headers)
            assert len({repr(one) for one in [(body, headers), *forgeries.values()]}) == 5
            for name, verify in VERIFIERS.items():
                given = headers if name != "svix" else {key.lower(): value for key, value in headers.items()}
                verify(body, given)
                for kind, (other_body, other_headers) in forgeries.items():
                    lowered = {key.lower(): value for key, value in other_headers.items()}
                    with pytest.raises(Exception, match=r".*"):  # each library has its own
                        verify(other_body, lowered)
                    assert signature.verify(other_headers, other_body, [signature.decode(SECRET)], time.time()), kind


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_event_as_a_cloudevent(event_type: str) -> None:
    """The CloudEvents library reads it in structured mode; every member of the envelope has its place there."""
    body, _ = sent(event_type, "cloudevents", "lower")
    event = from_http_event(HTTPMessage(headers={"content-type": content_type(body)}, body=body))
    said = example(event_type)
    assert (event.get_id(), event.get_type(), event.get_source()) == (said["id"], event_type, said["source"])
    assert (event.get_subject(), event.get_specversion()) == (said["subject"], "1.0")
    time_said = event.get_time()
    assert time_said is not None
    assert time_said.isoformat(timespec="milliseconds").replace("+00:00", "Z") == said["timestamp"]
    assert event.get_extension("endpointseq") == 7
    assert event.get_extension("seq") == said["seq"]
    assert event.get_extension("correlationid") == said["correlation_id"]
    assert event.get_extension("causationid") == said["causation_id"]
    data = event.get_data()
    assert (data if isinstance(data, dict) else json.loads(data)) == said["data"]  # type: ignore[arg-type]


@pytest.mark.parametrize("age_s", [-301, 301])
def test_what_is_too_old_or_too_new_is_refused_by_all(age_s: int) -> None:
    """Five minutes is the tolerance of all of them."""
    body, headers = sent("pack.updated", "standard", "lower", int(time.time()) - age_s + (1 if age_s < 0 else -1))
    for verify in VERIFIERS.values():
        with pytest.raises(Exception, match=r".*"):
            verify(body, headers)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
@pytest.mark.parametrize("form", FORMS)
def test_no_example_comes_near_the_limit(event_type: str, form: str) -> None:
    """20 KiB a body; `tests/properties/test_domain_events.py` holds it for whatever a pack says."""
    assert len(sent(event_type, form, "lower")[0]) < BODY_LIMIT
