"""What packd signs is verified, and nothing else is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from packd.notify import signature

secrets = st.binary(min_size=24, max_size=64)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(secrets, min_size=1, max_size=3),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    st.integers(0, 10**11),
    st.binary(max_size=200),
)
def test_what_is_signed_is_verified_with_any_of_its_secrets(several, event_id, at, body):
    """Any bytes, any id, any time."""
    headers = signature.headers(several, event_id, at, body)
    assert all(signature.verify(headers, body, [secret], at) is None for secret in several)


@settings(max_examples=150, deadline=None)
@given(secrets, secrets, st.binary(max_size=100), st.binary(max_size=100))
def test_another_secret_or_another_body_is_refused(secret, other, body, changed):
    """One bit is enough; but HMAC takes keys that differ only in zero bytes at their end for one (RFC 2104)."""
    headers = signature.headers([secret], "evt_1", 1000, body)
    same = secret.ljust(64, b"\0") == other.ljust(64, b"\0") and body == changed
    assert (signature.verify(headers, changed, [other], 1000) is None) == same


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from([signature.ID, signature.TIMESTAMP, signature.SIGNATURE]), st.text()),
    st.binary(max_size=50),
)
def test_any_headers_get_an_answer(headers, body):
    """Whatever a stranger sends: a fault, never an exception."""
    assert signature.verify(headers, body, [bytes(32)], 1000) is not None


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_any_text_is_a_secret_or_is_refused_in_words(text):
    """No other exception."""
    for candidate in (text, "whsec_" + text):
        try:
            assert 24 <= len(signature.decode_secret(candidate)) <= 64
        except signature.BadSecretError as error:
            assert "secret" in str(error)


@settings(deadline=None)
@given(secrets)
def test_a_secret_survives_being_written_down(secret):
    """There and back."""
    assert signature.decode_secret(signature.encode_secret(secret)) == secret
