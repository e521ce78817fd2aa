"""The bytes of a webhook body."""

from __future__ import annotations

import json

import pytest

from packd.domain.events import EVENT_TYPES, example, parse
from packd.notify.envelope import body


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_text_bytes_and_mapping_give_the_same_bytes(event_type):
    """Whatever form the event comes in, the body is one."""
    event = example(event_type)
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    assert body(text, 3) == body(text.encode(), 3) == body(event, 3)


def test_the_place_among_the_endpoints_deliveries_comes_last_and_the_rest_is_kept():
    """Key order is stable: it is the stored text with one member more."""
    text = '{"b":"ü\\u001b","a":1.50}'
    assert body(text, 12) == '{"b":"ü\\u001b","a":1.50,"endpoint_seq":12}'.encode()


def test_a_body_reads_back_as_the_event():
    """The receiver's reader is the same as the feed's."""
    event = example("pack.test_failed")
    assert json.loads(body(event, 9)) == event | {"endpoint_seq": 9}
    assert parse(body(event, 9)) == parse(json.dumps(event))


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"a":1'])
def test_what_is_no_event_makes_no_body(text):
    """A damaged row is an error here, not at every receiver."""
    with pytest.raises(ValueError, match="JSON object"):
        body(text, 1)
