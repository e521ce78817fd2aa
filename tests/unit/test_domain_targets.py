"""What may be asked of an endpoint's URL and extra headers."""

from __future__ import annotations

import pytest

from packd.domain.masking import masked_url
from packd.domain.targets import headers_fault, url_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/in?team=a%20b",
        "http://localhost:8080",
        "HTTP://[::1]:9/x",
        "https://bücher.example/haken",
    ],
)
def test_an_ordinary_url_has_no_fault(url):
    """http and https, any host, any port."""
    assert url_fault(url) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must be an http or https"),
        ("hooks.example.org", "must be an http or https"),
        ("ftp://hooks.example.org", "must be an http or https"),
        ("file:///etc/passwd", "must be an http or https"),
        ("unix:///run/x.sock", "must be an http or https"),
        ("//u:hunter2@hooks.example.org", "must not hold credentials"),
        ("https://", "must be an http or https"),
        ("https:///path", "must be an http or https"),
        ("https://:443/", "must be an http or https"),
        ("https://u:hunter2@hooks.example.org/", "must not hold credentials"),
        ("https://hunter2@hooks.example.org/", "must not hold credentials"),
        ("https://example.org\\@10.0.0.1/", "must be percent-encoded"),
        ("https://example.org/a b", "must be percent-encoded"),
        ("https://example.org/\r\nHost: evil", "must be percent-encoded"),
        ("https://exam\tple.org/", "must be percent-encoded"),
        (" https://example.org/", "must be percent-encoded"),
        ("https://example.org:99999/", "is no address"),
        ("https://example.org:http/", "is no address"),
        ("https://[::1/", "is no address"),
        ("https://example.org:0/", "must be an http or https"),
    ],
)
def test_a_url_that_could_mislead_is_refused_and_passwords_are_not_quoted(url, says):
    """What is wrong is said, credentials are not."""
    fault = url_fault(url)
    assert fault is not None
    assert says in fault
    assert "hunter2" not in fault


def test_ordinary_headers_have_no_fault():
    """Credentials of the endpoint go here."""
    assert headers_fault((("Authorization", "Bearer abc"), ("X-Team", "a, b\tc"), ("x-empty-looking", "-"))) is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("X-A\r\nHost", "v", "is no header name"),
        ("X A", "v", "is no header name"),
        ("", "v", "is no header name"),
        ("Host:", "v", "is no header name"),
        ("X-Ü", "v", "is no header name"),
        ("Host", "evil", "packd sets itself"),
        ("content-LENGTH", "0", "packd sets itself"),
        ("Transfer-Encoding", "chunked", "packd sets itself"),
        ("Webhook-Signature", "v1,x", "packd sets itself"),
        ("webhook-other", "x", "packd sets itself"),
        ("X-A", "hunter2\r\nX-B: 1", "printable ASCII"),
        ("X-A", "hunter2\n", "printable ASCII"),
        ("X-A", "hunter2\x00", "printable ASCII"),
        ("X-A", " hunter2", "printable ASCII"),
        ("X-A", "hünter2", "printable ASCII"),
        ("X-A", "", "printable ASCII"),
    ],
)
def test_a_header_that_could_inject_is_refused_and_its_value_not_quoted(name, value, says):
    """No line break, no second framing, no second signature."""
    fault = headers_fault((("X-Fine", "1"), (name, value)))
    assert fault is not None
    assert says in fault
    assert "hunter2" not in fault


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter2@x.example/in?a=hunter2",
        "https://hunter2@x.example/",
        "postgresql://ada:hunter2@db.example/packd?password=hunter2",
        "postgresql://ada:hun/hunter2@db.example/packd",
        "postgresql://ada:1/hunter2@db.example/packd",
        "postgresql://ada:1#hunter2@db.example/packd",
    ],
)
def test_what_is_shown_of_a_url_holds_no_secret(url: str) -> None:
    """Neither the password, wherever its reader takes it to end, nor the query."""
    assert "hunter2" not in masked_url(url)


@pytest.mark.parametrize("url", ["https://x.example:8443/@team/in", "postgresql://ada@db.example:5432/packd", "words"])
def test_what_holds_no_secret_is_shown_as_it_is(url: str) -> None:
    """So that it can be recognised."""
    assert masked_url(url) == url
