"""Standard Webhooks 1.0.0, both ways against a verifier that we did not write."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from packd.domain.events import EVENT_TYPES, example
from packd.notify import signature
from packd.notify.envelope import body
from packd.notify.signature import BadSecretError, FaultCode, decode_secret, encode_secret

SECRET = bytes(range(32))
OTHER = bytes(range(100, 140))
NOW = 1_769_850_900
BODY = b'{"type":"pack.registered","data":{"pack":{"ref":"caf\xc3\xa9"}}}'


def signed(secrets=(SECRET,), at=NOW, payload=BODY):
    return signature.headers(secrets, "evt_1", at, payload)


def test_a_secret_is_the_base64_of_its_bytes_after_a_prefix():
    """`whsec_` and base64, there and back."""
    assert encode_secret(SECRET) == "whsec_" + base64.b64encode(SECRET).decode()
    assert decode_secret(encode_secret(SECRET)) == SECRET


@pytest.mark.parametrize("length", [24, 25, 26, 64])
def test_padding_and_a_final_newline_may_be_missing_or_there(length):
    """A secret pasted or read from a file works as it is."""
    secret = bytes(length)
    assert decode_secret(encode_secret(secret).rstrip("=") + "\n") == secret


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("c2VjcmV0", "begin with 'whsec_'"),
        ("", "begin with 'whsec_'"),
        ("whsec_", "0"),
        ("whsec_" + "A" * 24, "18"),
        ("whsec_" + "A" * 400, "300"),
        ("whsec_" + "A" * 30 + "-_", "base64"),
        ("whsec_" + "ü" * 40, "base64"),
        ("whsec_A", "base64"),
    ],
)
def test_a_bad_secret_is_refused_in_words_that_do_not_tell_it(text, says):
    """What is wrong is said, the secret is not."""
    with pytest.raises(BadSecretError, match=says) as caught:
        decode_secret(text)
    assert len(text) < 8 or text not in str(caught.value)


@pytest.mark.parametrize("length", [0, 23, 65])
def test_a_secret_of_another_length_is_not_made(length):
    """24 to 64 bytes, as the standard says."""
    with pytest.raises(BadSecretError, match=f"has {length}"):
        encode_secret(bytes(length))


def test_the_signature_is_the_one_of_the_other_implementation():
    """Same id, time, body and secret: same signature."""
    theirs = Webhook(encode_secret(SECRET)).sign("evt_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    assert signed()["webhook-signature"] == theirs


def test_what_the_other_implementation_signs_is_verified():
    """The other way round."""
    theirs = Webhook(encode_secret(SECRET)).sign("evt_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    headers = {"Webhook-Id": "evt_1", "Webhook-Timestamp": str(NOW), "Webhook-Signature": theirs}
    assert signature.verify(headers, BODY, [SECRET], NOW) is None


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_type_of_event_is_verified_by_the_other_implementation(event_type):
    """Signed by packd, verified by `standardwebhooks`, whichever of two secrets the receiver has."""
    payload = body(example(event_type), 7)
    headers = signature.headers([OTHER, SECRET], "evt_1", int(time.time()), payload)
    for secret in (SECRET, OTHER):
        assert Webhook(encode_secret(secret)).verify(payload, headers)["endpoint_seq"] == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda headers, payload: (headers, payload.replace(b"caf", b"cat")),
        lambda headers, payload: (headers, payload + b" "),
        lambda headers, payload: (headers | {"webhook-id": "evt_2"}, payload),
        lambda headers, payload: (headers | {"webhook-timestamp": str(int(time.time()) - 1)}, payload),
        lambda headers, payload: (headers | {"webhook-signature": "v1," + "A" * 43 + "="}, payload),
    ],
)
def test_whatever_is_changed_both_implementations_refuse(change):
    """Body, id, time and signature are all bound together."""
    headers, payload = change(signed(at=int(time.time())), BODY)
    fault = signature.verify(headers, payload, [SECRET], time.time())
    assert fault is not None
    assert fault.code == FaultCode.MISMATCH
    with pytest.raises(WebhookVerificationError):
        Webhook(encode_secret(SECRET)).verify(payload, headers, json_parse=False)


def test_rotation_puts_one_signature_a_secret_into_the_header():
    """Receivers with the old and with the new secret both find theirs."""
    headers = signed((OTHER, SECRET))
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert signature.verify(headers, BODY, [SECRET], NOW) is None
    assert signature.verify(headers, BODY, [OTHER], NOW) is None
    assert signature.verify(headers, BODY, [bytes(24)], NOW) is not None


def test_nothing_is_signed_without_a_secret():
    """An unsigned webhook is never sent by accident."""
    with pytest.raises(ValueError, match="without a secret"):
        signature.sign([], "evt_1", NOW, BODY)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"webhook-id": ""}, FaultCode.MISSING_HEADER, "no webhook-id header"),
        (
            {"webhook-signature": "", "webhook-timestamp": ""},
            FaultCode.MISSING_HEADER,
            "no webhook-timestamp and no webhook-s",
        ),
        ({"webhook-timestamp": "yesterday"}, FaultCode.BAD_TIMESTAMP, "whole number"),
        ({"webhook-timestamp": "-5"}, FaultCode.BAD_TIMESTAMP, "whole number"),
        ({"webhook-timestamp": "٣"}, FaultCode.BAD_TIMESTAMP, "whole number"),
        ({"webhook-timestamp": "9" * 5000}, FaultCode.BAD_TIMESTAMP, "whole number"),
        ({"webhook-signature": "v1a,AAAA v2,BBBB"}, FaultCode.NO_SIGNATURE, "scheme 'v1'"),
        ({"webhook-signature": ",,, v1"}, FaultCode.MISMATCH, "no signature matches"),
        ({"webhook-signature": "v1,ü"}, FaultCode.MISMATCH, "no signature matches"),
    ],
)
def test_what_is_wrong_with_the_headers_is_said(change, code, says):
    """Each way to fail has its code and its sentence."""
    fault = signature.verify(signed() | change, BODY, [SECRET], NOW)
    assert fault is not None
    assert fault.code == code
    assert says in fault.sentence


@pytest.mark.parametrize(
    ("age_s", "code"), [(300, None), (301, FaultCode.TOO_OLD), (-300, None), (-301, FaultCode.TOO_NEW)]
)
def test_a_webhook_is_good_for_five_minutes_either_way(age_s, code):
    """Replays are refused, and so are clocks too far apart."""
    fault = signature.verify(signed(), BODY, [SECRET], NOW + age_s)
    assert (fault.code if fault else None) == code


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (BODY + b"\n", "white space"),
        (b'{"type": "pack.registered", "data": {"pack": {"ref": "caf\\u00e9"}}}', "parsed and written again"),
        (b"not json", "was changed"),
        (b"[" * 100_000, "was changed"),
    ],
)
def test_the_usual_mistakes_of_receivers_are_named(payload, says):
    """`packd webhook verify` says what to do about it."""
    fault = signature.verify(signed(), payload, [SECRET], NOW)
    assert fault is not None
    assert says in fault.sentence


def test_a_sender_that_signs_with_the_text_of_the_secret_is_named():
    """The commonest mistake of senders."""
    headers = signature.headers([encode_secret(SECRET).encode()], "evt_1", NOW, BODY)
    fault = signature.verify(headers, BODY, [SECRET], NOW)
    assert fault is not None
    assert "text of the secret" in fault.sentence
