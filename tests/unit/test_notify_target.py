"""What may be asked of an endpoint's URL and extra headers."""

from __future__ import annotations

import pytest

from packd.notify.target import headers_fault, url_fault


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
        ("", "begin with https://"),
        ("hooks.example.org", "begin with https://"),
        ("ftp://hooks.example.org", "begin with https://"),
        ("file:///etc/passwd", "begin with https://"),
        ("unix:///run/x.sock", "begin with https://"),
        ("//u:hunter2@hooks.example.org", "begin with https://"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://:443/", "names no host"),
        ("https://u:hunter2@hooks.example.org/", "user name or password"),
        ("https://hunter2@hooks.example.org/", "user name or password"),
        ("https://example.org\\@10.0.0.1/", "has no place"),
        ("https://example.org/a b", "has no place"),
        ("https://example.org/\r\nHost: evil", "has no place"),
        ("https://exam\tple.org/", "has no place"),
        (" https://example.org/", "has no place"),
        ("https://example.org:99999/", "cannot be read"),
        ("https://example.org:http/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://example.org:0/", "port 0"),
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
        ("X-A\r\nHost", "v", "cannot be the name"),
        ("X A", "v", "cannot be the name"),
        ("", "v", "cannot be the name"),
        ("Host:", "v", "cannot be the name"),
        ("X-Ü", "v", "cannot be the name"),
        ("Host", "evil", "set by packd"),
        ("content-LENGTH", "0", "set by packd"),
        ("Transfer-Encoding", "chunked", "set by packd"),
        ("Webhook-Signature", "v1,x", "set by packd"),
        ("webhook-other", "x", "set by packd"),
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
