"""Secrets never reach a log, wherever they hide."""

from __future__ import annotations

from typing import Any

import pytest

from packd.logs.redact import redact

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.mark.parametrize(
    "key",
    [
        "secret",
        "token",
        "password",
        "authorization",
        "Authorization",
        "webhook_secret",
        "api-token",
        "secrets",
        "cookie",
    ],
)
@pytest.mark.parametrize("value", ["hunter2", b"hunter2", 12345, ["hunter2"], {"a": "hunter2"}])
def test_keys_that_say_so(key: str, value: Any) -> None:
    """The value of a key named secret, token, password or authorization is starred out, at any depth."""
    assert redact({key: value}) == {key: "***"}
    assert redact({"headers": [{"x": {key: value}}]}) == {"headers": [{"x": {key: "***"}}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"signed with {SECRET}, sent", "signed with whsec_***, sent"),
        (f"signed with {SECRET.replace('whsec', 'whsk')}, sent", "signed with whsk_***, sent"),
        ("Bearer pkd_abc-DEF_123", "Bearer pkd_***"),
        ("postgresql://ada:hunter2@db.example/packd", "postgresql://ada:***@db.example/packd"),
        ("postgresql://ada:hun@ter2@db.example/packd", "postgresql://ada:***@ter2@db.example/packd"),
        (
            "no postgresql://db.example/packd?user=ada&password=hunter2",
            "no postgresql://db.example/packd?user=ada&password=***",
        ),
        (
            "GET https://x.example/in?access_token=hunter2&a=b: 403",
            "GET https://x.example/in?access_token=***&a=b: 403",
        ),
        ("{'Authorization': 'Basic aHVudGVyMg=='}", "{'Authorization': 'Basic ***'}"),
        ("AUTHORIZATION: hunter2", "AUTHORIZATION: ***"),
        ("curl -H 'x: bearer hunter2hunter2'", "curl -H 'x: bearer ***'"),
    ],
)
def test_texts_that_look_like_it(text: str, shown: str) -> None:
    """What looks like one of our secrets, a password in a URL or a credential header is starred out of any text."""
    assert redact({"x": text, text: [{"y": (text,)}]}) == {"x": shown, shown: [{"y": [shown]}]}


@pytest.mark.parametrize(
    "entry",
    [
        {"secret": None, "token": True, "secretary": "ada", "tokenizer": "x", "keys": 3},
        {"url": "https://hooks.example:8443/in?a=b@c", "note": "the bearer of it", "path": "a/whsec/pkd"},
    ],
)
def test_what_is_no_secret_stays(entry: dict[str, Any]) -> None:
    """Words that merely look alike, and whether there is a secret at all, are shown."""
    assert redact(entry) == entry
