"""The closed list of events."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from packd.domain import events
from packd.domain.event_parts import Part
from packd.domain.events import (
    EVENT_TYPES,
    PackInfo,
    RevisionInfo,
    example,
    json_schema,
    parse,
    subscribes,
    unknown_types,
)
from packd.domain.reports import Reason

DIGEST = "sha256:" + "ab" * 32
LISTED = [
    "pack.discovered", "pack.changed", "pack.validation_failed", "pack.waiting",
    "pack.test_started", "pack.test_passed", "pack.test_failed", "pack.registered",
    "pack.updated", "pack.rolled_back", "pack.unregistered", "pack.drifted", "daemon.started",
    "daemon.stopping", "watch.degraded", "watch.recovered", "webhook.test",
    "webhook.endpoint_disabled", "webhook.endpoint_enabled", "webhook.delivery_failing", "webhook.delivery_recovered",
    "webhook.delivery_exhausted",
]  # fmt: skip


CHECKS = {
    "const": lambda value, rule: value == rule,
    "enum": lambda value, rule: value in rule,
    "pattern": lambda value, rule: not isinstance(value, str) or re.search(rule, value),
    "minimum": lambda value, rule: value >= rule,
    "maximum": lambda value, rule: value <= rule,
    "maxItems": lambda value, rule: len(value) <= rule,
}


def pack(**changes: Any) -> PackInfo:
    return PackInfo(**{"ref": "slack", "version": "1.0.0", "revision": 1, "path": "/p", "digest": DIGEST} | changes)


def said(data: events.EventData, **changes: Any) -> str:
    fields = {
        "id": "evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6D",
        "seq": 1,
        "timestamp": "2026-01-31T09:15:00.118Z",
        "source": "packd",
        "subject": data.subject,
        "correlation_id": "cor_1",
        "causation_id": None,
    }
    return events.envelope_json(data, **fields | changes)


def faults(value: Any, schema: dict[str, Any], whole: dict[str, Any], at: str = "$") -> list[str]:
    """As much of JSON Schema 2020-12 as the schemas of events use; an unknown keyword is a fault."""
    types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    found = []
    for keyword, rule in schema.items():
        match keyword:
            case "$ref":
                found += faults(value, whole["$defs"][rule.rpartition("/")[2]], whole, at)
            case "anyOf":
                if all(faults(value, each, whole, at) for each in rule):
                    found.append(f"{at}: none of {rule}")
            case "type":
                fits = value is None if rule == "null" else isinstance(value, types[rule])
                if not fits or (isinstance(value, bool) and rule != "boolean"):
                    found.append(f"{at}: {value!r} is not {rule}")
            case "properties":
                for name, each in rule.items():
                    if isinstance(value, dict) and name in value:
                        found += faults(value[name], each, whole, f"{at}.{name}")
            case "required":
                found += [f"{at}: no {name}" for name in rule if name not in value]
            case "additionalProperties":
                for name in value.keys() - schema.get("properties", {}).keys():
                    found += faults(value[name], rule, whole, f"{at}.{name}") if rule else [f"{at}: unknown {name}"]
            case "items":
                for number, each in enumerate(value):
                    found += faults(each, rule, whole, f"{at}[{number}]")
            case _ if keyword in CHECKS:
                found += [] if CHECKS[keyword](value, rule) else [f"{at}: {value!r} against {keyword} {rule}"]
            case "title" | "description" | "default" | "examples" | "$schema" | "$id" | "$defs":
                pass
            case _:
                found.append(f"{at}: unknown keyword {keyword}")
    return found


def test_the_list_is_closed():
    """Exactly the documented types, in the documented order."""
    assert list(EVENT_TYPES) == LISTED


@pytest.mark.parametrize("event_type", LISTED)
def test_the_example_of_a_type_fits_its_model_and_its_schema(event_type):
    """Documentation that is true."""
    event = example(event_type)
    assert json.loads(parse(json.dumps(event)).model_dump_json()) == event
    schema = json_schema(event_type)
    assert faults(event, schema, schema) == []
    assert faults(event | {"endpoint_seq": 3}, schema, schema) == []
    assert schema["examples"] == [event]


@pytest.mark.parametrize("event_type", LISTED)
def test_the_schema_of_a_type_refuses_what_is_not_it(event_type):
    """A member too many, one too few, another type."""
    schema = json_schema(event_type)
    event = example(event_type)
    assert faults(event | {"extra": 1}, schema, schema)
    assert faults(event | {"data": event["data"] | {"extra": 1}}, schema, schema)
    assert faults({name: event[name] for name in event if name != "seq"}, schema, schema)
    assert faults(event | {"type": "pack.other"}, schema, schema)


@pytest.mark.parametrize("event_type", LISTED)
def test_every_field_says_what_it_means_and_every_model_has_a_sentence(event_type):
    """The schema is the reference that consumers read."""
    schema = json_schema(event_type)
    assert schema["description"]
    for part in (schema, schema["properties"]["data"], *schema["$defs"].values()):
        assert all(field.get("description") for field in part.get("properties", {}).values())
    assert all(model.__doc__ for model in Part.__subclasses__())


@pytest.mark.parametrize("event_type", LISTED)
def test_members_come_in_the_documented_order(event_type):
    """The text is stable."""
    assert list(example(event_type)) == [
        "type", "timestamp", "id", "seq", "schema_version", "source", "subject", "correlation_id", "causation_id", "data",
    ]  # fmt: skip


@pytest.mark.parametrize("event_type", LISTED)
def test_the_subject_follows_from_the_data(event_type):
    """packs/<ref>, webhooks/<endpoint>, daemon, watch."""
    kind = event_type.partition(".")[0]
    assert example(event_type)["subject"] == {"pack": "packs/slack", "webhook": "webhooks/ci"}.get(kind, kind)


def test_a_drop_that_could_not_be_read_has_no_version_revision_or_digest():
    """Null says so; the members are still there."""
    unread = pack(version=None, revision=None, digest=None)
    data = json.loads(said(events.PackValidationFailed(pack=unread, problems=())))["data"]
    assert data["pack"] == {
        "ref": "slack", "version": None, "revision": None, "path": "/p", "digest": None, "previous": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"id": "evt_1"}, {"id": "01K9Z6T1M0VJ5R8Q4X2C7B3N6D"}, {"seq": 0}, {"timestamp": "2026-01-31T09:15:00Z"},
        {"timestamp": "2026-01-31T09:15:00.118+00:00"},
    ],
)  # fmt: skip
def test_an_envelope_of_another_form_is_refused(change):
    """A mistake of the caller is found where it is made."""
    with pytest.raises(ValidationError):
        said(events.WatchDegraded(reason="overflow", scope="/p"), **change)


def test_lists_and_texts_are_cut_by_the_constructors():
    """At most 20 problems, 10 failures, 4 KiB of output, of which the end is kept."""
    many = tuple(events.ProblemInfo(code="a.b", message=f"m{n}") for n in range(30))
    assert len(events.PackValidationFailed(pack=pack(), problems=many).problems) == 20
    failed = events.PackTestFailed(
        pack=pack(),
        run_id="run_1",
        duration_ms=1,
        tests=events.Counts(total=30, passed=0, failed=30, skipped=0),
        pass_rate=0,
        reason="failures",
        failures=[events.FailureInfo(suite="s", case=f"c{n}", message="x" * 9999) for n in range(30)],
        output_tail="begin" + "x" * 9999 + "end",
    )
    assert [failure.case for failure in failed.failures] == [f"c{n}" for n in range(10)]
    assert failed.output_tail.startswith("…xxx")
    assert failed.output_tail.endswith("xxxend")
    assert len(failed.output_tail.encode()) == 4096


def test_names_that_are_not_utf8_are_told_with_their_bytes_escaped():
    """What the file system gave as surrogates does not keep an event from being told."""
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert pack(path=f"/p/{name}").path == "/p/caf\\udce9"


def test_a_clock_that_was_set_back_does_not_keep_an_event_from_being_told():
    """Durations and counts are cut to what makes sense."""
    data = events.PackRegistered(
        pack=pack(), duration_ms=-5.0, components={"actions": -1}, tests_skipped=False, forced=False
    )
    assert (data.duration_ms, data.components) == (0, {"actions": 0})
    assert events.Counts(total=2**70, passed=1, failed=-1, skipped=0).failed == 0


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"type": "pack.eaten"}', '{"type": "daemon.started"}', '{"type": []}']
)
def test_what_is_no_event_is_not_read_as_one(text):
    """ValueError, whatever is missing."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_every_reason_of_a_report_has_a_word_in_the_event():
    """The event's list is shorter: limits are one word, and so are runs without an answer."""
    words = {reason: events.failed_reason(reason) for reason in get_args(Reason)}
    assert set(words.values()) == set(get_args(events.FailedReason))
    assert words["memory"] == words["cpu"] == words["output"] == "resource_limit"
    assert events.failed_reason(None) == "failures"


def test_the_event_says_which_limit_was_met():
    """`resource_limit` has a word for each beside it; every other reason has none."""
    limits = {reason: events.met_limit(reason) for reason in get_args(Reason)}
    assert {reason for reason, limit in limits.items() if limit == reason} == {
        reason for reason in limits if events.failed_reason(reason) == "resource_limit"
    }
    assert events.met_limit(None) is None


@pytest.mark.parametrize(
    ("types", "packs", "event_type", "subject", "wanted"),
    [
        ([], [], "pack.registered", "packs/slack", True),
        ([], [], "pack.test_started", "packs/slack", False),
        ([], [], "daemon.started", "daemon", False),
        ([], [], "webhook.endpoint_disabled", "webhooks/ci", False),
        (["*"], [], "daemon.started", "daemon", True),
        (["*"], [], "pack.test_started", "packs/slack", False),
        (["pack.test_*"], [], "pack.test_started", "packs/slack", False),
        (["pack.test_*"], [], "pack.test_failed", "packs/slack", True),
        (["pack.test_started"], [], "pack.test_started", "packs/slack", True),
        (["pack.updated"], [], "pack.registered", "packs/slack", False),
        (["PACK.*"], [], "pack.registered", "packs/slack", False),
        ([], ["sl*"], "pack.registered", "packs/slack", True),
        ([], ["core"], "pack.registered", "packs/slack", False),
        ([], ["core", "slack"], "pack.registered", "packs/slack", True),
        (["*"], ["core"], "daemon.started", "daemon", True),
        (["watch.*", "pack.*"], ["core"], "watch.degraded", "watch", True),
    ],
)
def test_who_wants_which_event(types, packs, event_type, subject, wanted):
    """Globs over types and packs; none is `pack.*`; `pack.test_started` only by name."""
    assert subscribes(types, packs, event_type, subject) is wanted


@pytest.mark.parametrize(
    ("event_type", "subject", "wanted"),
    [
        ("webhook.delivery_failing", "webhooks/ci", False),
        ("webhook.endpoint_enabled", "webhooks/ci", False),
        ("webhook.delivery_failing", "webhooks/other", True),
        ("webhook.test", "webhooks/ci", True),
        ("webhook.test", "webhooks/other", False),
    ],
)
def test_an_endpoint_is_not_told_about_itself_except_by_its_own_test(event_type, subject, wanted):
    """Telling of a failure must not make the next one."""
    assert subscribes(["webhook.*"], [], event_type, subject, endpoint="ci") is wanted


def test_its_own_test_reaches_an_endpoint_whatever_it_subscribes_to():
    """The test is about the way, not about the subscription."""
    assert subscribes(["pack.updated"], ["core"], "webhook.test", "webhooks/ci", endpoint="ci")


def test_a_subscription_that_can_never_match_is_named_with_a_suggestion():
    """A typing mistake is found when the endpoint is made, not when an event is missed."""
    found = unknown_types(["pack.*", "*", "pack.test_started", "pack.registred", "zzz", "Pack.*"])
    assert [(each.glob, each.suggestion) for each in found] == [
        ("pack.registred", "pack.registered"),
        ("zzz", None),
        ("Pack.*", None),
    ]
    assert "did you mean 'pack.registered'?" in str(found[0])


def test_a_revision_is_described_by_exactly_three_members():
    """`previous`, `failed`, `restored` and `last` have one form."""
    assert list(RevisionInfo.model_fields) == ["version", "revision", "digest"]
