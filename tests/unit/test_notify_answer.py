"""What is kept of an answer."""

from __future__ import annotations

from packd.notify.answer import HEAD_LIMIT, head


def test_status_headers_and_body_are_kept():
    """Enough to see what the endpoint said."""
    text = head("HTTP 500 Oops", [("Content-Type", "text/plain")], b"database\r\nis down", [])
    assert text == "HTTP 500 Oops\nContent-Type: text/plain\n\ndatabase\nis down"


def test_headers_that_sound_secret_and_texts_that_look_secret_are_hidden():
    """Some endpoints answer with what they were sent."""
    sent = ["c2VjcmV0c2VjcmV0", "my-team-password", "short"]
    echo = (
        b"whsec_QUJDREVGRw== c2VjcmV0c2VjcmV0 my-team-password Bearer abcdefghij v1,QUJDREVGR0hJSktMTU5PUFFSUw== "
        b"whsk_QUJDREVGRw== v1a,QUJDREVGR0hJSktMTU5PUFFSUw== short"
    )
    text = head("HTTP 200", [("Set-Cookie", "sid=1"), ("X-Api-Key", "k"), ("X-Echo", "my-team-password")], echo, sent)
    for secret in ("sid=1", ": k", "QUJD", "c2Vj", "team-password", "abcdefghij"):
        assert secret not in text
    assert text.endswith("*** *** *** *** *** *** *** short")


def test_a_flood_is_cut_and_nothing_acts_on_the_readers_terminal():
    """Bounded, printable."""
    text = head("HTTP 200", [(f"X-{n}", "v" * 100) for n in range(10_000)], b"\x1b[2J\x9b\x00\xff" * 10_000, [])
    assert len(text) <= HEAD_LIMIT
    assert "\x1b" not in head("HTTP 200", [], b"\x1b[2J\xc2\x9b", [])
    assert "\x9b" not in head("HTTP 200", [], b"\x1b[2J\xc2\x9b", [])
